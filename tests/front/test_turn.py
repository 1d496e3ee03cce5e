"""One request and its answer: to the byte what uvicorn's own connection makes of it, and what it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from coatcheck.front.protocol import GuardedProtocol
from coatcheck.mcp.relay import send_json
from doubles.served import PATIENCE, App, Served, answer, closed, serving

BIG = b"x" * 1_000_000


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(GuardedProtocol) as application:
        yield application


def request(first: bytes = b"POST /a HTTP/1.1", *lines: bytes, body: bytes = b"") -> bytes:
    head = [first, b"Host: x", *lines]
    if body:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def sends(status: int, headers: list[tuple[bytes, bytes]], *parts: bytes) -> App:
    """Answer in parts, as ASGI has it."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for part in parts[:-1]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": parts[-1]})

    return app


def sends_json(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> App:
    """Answer at once where that can be done."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send_json(send, status, body, list(headers))

    return app


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Tell what came: the head as it was read, and the body."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    names = ("type", "http_version", "method", "scheme", "path", "raw_path", "query_string", "headers")
    told = repr([(name, scope[name]) for name in names]).encode() + b"\n" + body
    await send_json(send, 200, told, [])


async def fails(_scope: Any, _receive: Any, _send: Any) -> None:
    raise ValueError


async def is_silent(_scope: Any, _receive: Any, _send: Any) -> None:
    return


JSON = (b"content-type", b"application/json")
LENGTH = (b"Content-Length", b"4")
CLOSE = (b"Connection", b"Close")
ANSWERS: dict[str, App] = {
    "json": sends_json(200, b"{}"),
    "json with headers": sends_json(401, b"{}", (b"WWW-Authenticate", b"Bearer"), (b"x-a", b"b")),
    "json that closes": sends_json(400, b"{}", CLOSE),
    "large json": sends_json(200, BIG),
    "nothing": sends_json(202, b""),
    "no content": sends_json(204, b""),
    "with a length": sends(200, [LENGTH, JSON], b"abcd"),
    "with a length, in parts": sends(200, [LENGTH], b"ab", b"", b"cd", b""),
    "without a length": sends(200, [JSON], b"abc"),
    "without a length, in parts": sends(200, [JSON], b"abc", b"", b"d" * 300, b""),
    "without a length, empty": sends(404, [], b""),
    "without a length, large": sends(200, [], BIG, BIG, b""),
    "said to be chunked": sends(200, [(b"Transfer-Encoding", b"Chunked")], b"abc", b""),
    "not modified": sends(304, [(b"etag", b'"1"')], b""),
    "that closes": sends(200, [CLOSE, LENGTH], b"abcd"),
    "of the request": echo,
    "of a defect": fails,
    "that never comes": is_silent,
}
REQUESTS: dict[str, bytes] = {
    "plain": request(body=b"body"),
    "without a body": request(b"GET /a/b-c_D?q=1&r HTTP/1.1", b"X-A: 1", b"x-a: \xff", b"X-B:"),
    "escaped": request(b"GET /a%20b/%C3%A4%2F%FF?%20 HTTP/1.1"),
    "HEAD": request(b"HEAD /a HTTP/1.1"),
    "HTTP/1.0": request(b"POST /a HTTP/1.0", body=b"body"),
    "HTTP/1.0 kept alive": request(b"POST /a HTTP/1.0", b"Connection: keep-alive", body=b"body"),
    "closing": request(b"POST /a HTTP/1.1", b"Connection: close", body=b"body"),
    "chunked": request(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked") + b"2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\n\r\n",
    "two in one go": request(b"POST /a HTTP/1.1", body=b"1") + request(b"POST /b HTTP/1.1", body=b"2"),
    "one behind the last": request(b"GET /a HTTP/1.1", b"Connection: close") + request(b"GET /b HTTP/1.1"),
    "large": request(body=BIG),
}  # fmt: skip


async def told(protocol: Any, app: App, data: bytes) -> tuple[bytes, list[str]]:
    """Return all that a client is sent that asks and then asks to close, and the paths that were served."""
    async with serving(protocol) as served:
        served.app = app
        served.state.default_headers = [(b"date", b"today"), (b"x-always", b"1")]
        reader, writer = await served.connect()
        writer.write(data)
        # Half-closing would end it at once, so the end is a request after which the connection closes.
        writer.write(request(b"GET /last HTTP/1.1", b"Connection: close"))
        async with asyncio.timeout(PATIENCE):
            try:
                return await reader.read(), served.seen
            except ConnectionResetError:
                return b"reset", []


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("asked", REQUESTS)
async def test_the_bytes_are_those_of_uvicorns_own_connection(kind: str, asked: str) -> None:
    app, data = ANSWERS[kind], REQUESTS[asked]
    assert await told(GuardedProtocol, app, data) == await told(HttpToolsProtocol, app, data)


async def test_an_answer_at_once_is_one_write(served: Served) -> None:
    written: list[Any] = []

    class Watched:
        """A transport that takes note of what is written."""

        def __init__(self, transport: Any) -> None:
            self._transport = transport

        def write(self, data: bytes) -> None:
            written.append(bytes(data))
            self._transport.write(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._transport, name)

    class WatchedProtocol(GuardedProtocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(Watched(transport))  # type: ignore[arg-type]

    async with serving(WatchedProtocol) as watched:
        watched.app = sends_json(200, b'{"a":1}')
        reader, writer = await watched.connect()
        writer.write(request(body=b"body"))
        assert await answer(reader) == (200, b'{"a":1}')
    assert len(written) == 1


# --- bodies ---------------------------------------------------------------------------------------------


async def test_a_body_in_pieces_is_whole_however_it_is_cut(served: Served) -> None:
    served.app = echo
    reader, writer = await served.connect()
    chunked = request(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked") + b"1\r\na\r\n3\r\nbcd\r\n0\r\n\r\n"
    for data in (request(body=b"abcd"), chunked):
        for size in (1, 2, 7, 50):
            for start in range(0, len(data), size):
                writer.write(data[start : start + size])
                await asyncio.sleep(0)
            status, told = await answer(reader)
            assert (status, told.rpartition(b"\n")[2]) == (200, b"abcd")


async def test_a_body_is_whole_only_at_its_end(served: Served) -> None:
    found: list[Any] = []
    more = asyncio.Event()

    async def look(scope: Any, receive: Any, send: Any) -> None:
        found.append(receive.whole())
        more.set()
        found.append((await receive())["body"])
        while not (whole := receive.whole()):
            await asyncio.sleep(0.001)
        found.append(whole)
        await send_json(send, 200, b"{}", [])
        found.append(receive.whole())
        found.append((await receive())["type"])

    served.app = look
    reader, writer = await served.connect()
    data = request(body=b"abcd")
    writer.write(data[:-3])
    await more.wait()
    await asyncio.sleep(0.01)
    writer.write(data[-3:])
    assert (await answer(reader))[0] == 200
    assert found == [None, b"a", b"bcd", None, "http.disconnect"]


async def test_a_body_that_nobody_receives_waits_in_the_socket(served: Served) -> None:
    go = asyncio.Event()
    held: list[int] = []

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        size = 0
        while True:
            message = await receive()
            held.append(len(message["body"]))
            size += len(message["body"])
            if not message["more_body"]:
                break
        await send_json(send, 200, b"%d" % size, [])

    served.app = late
    reader, writer = await served.connect()
    writer.write(request(body=BIG * 20))
    await asyncio.sleep(0.1)
    go.set()
    assert await answer(reader) == (200, b"20000000")
    assert held[0] < 2_000_000


async def test_whoever_waits_to_be_asked_for_a_body_is_asked_once_and_only_then(served: Served) -> None:
    served.app = echo
    reader, writer = await served.connect()
    head = request(b"POST /a HTTP/1.1", b"Expect: 100-Continue", b"Content-Length: 4")
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    for part in (b"a", b"bcd"):
        writer.write(part)
        await asyncio.sleep(0.01)
    assert (await answer(reader))[0] == 200
    writer.write(head + b"abcd")  # it did not wait
    assert (await answer(reader))[0] == 200
    served.app = sends_json(401, b"{}")  # and is not asked for a body that nobody wants
    writer.write(head)
    assert (await answer(reader))[0] == 401


# --- ends -----------------------------------------------------------------------------------------------


async def test_what_waits_is_answered_in_order_and_one_at_a_time(served: Served) -> None:
    at_once: list[int] = [0, 0]

    async def count(scope: Any, receive: Any, send: Any) -> None:
        at_once[0] += 1
        at_once[1] = max(at_once)
        await asyncio.sleep(0)
        at_once[0] -= 1
        await send_json(send, 200, scope["path"].encode(), [])

    served.app = count
    reader, writer = await served.connect()
    writer.write(b"".join(request(b"GET /%d HTTP/1.1" % number) for number in range(300)))
    assert [await answer(reader) for _ in range(300)] == [(200, b"/%d" % number) for number in range(300)]
    assert at_once[1] == 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_answer_to_a_client_that_left_goes_nowhere(served: Served, at_once: bool) -> None:
    ended = asyncio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        assert receive.whole() == b"body"
        assert (await receive())["type"] == "http.disconnect"
        assert receive.whole() is None
        await (sends_json(200, b"{}") if at_once else sends(200, [], b"a", b""))(scope, receive, send)
        ended.set()

    served.app = late
    _, writer = await served.connect()
    writer.write(request(body=b"body"))
    while not served.seen:
        await asyncio.sleep(0.001)
    writer.close()
    async with asyncio.timeout(PATIENCE):
        await ended.wait()


async def test_an_answer_waits_for_a_client_that_does_not_read_the_one_before(served: Served) -> None:
    served.app = sends_json(200, BIG * 20)
    reader, writer = await served.connect()
    reader_transport: Any = writer.transport
    reader_transport.pause_reading()
    writer.write(request() * 3)
    while len(served.seen) < 2:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert len(served.seen) == 2  # the second is not written while the first fills the buffer
    reader_transport.resume_reading()
    assert [len((await answer(reader))[1]) for _ in range(3)] == [20_000_000] * 3


async def test_an_answer_is_given_once(served: Served) -> None:
    wrong: list[str] = []

    async def twice(scope: Any, receive: Any, send: Any) -> None:
        await send_json(send, 200, b"{}", [])
        for again in (sends_json(200, b"{}"), sends(200, [], b"")):
            with pytest.raises(RuntimeError) as caught:
                await again(scope, receive, send)
            wrong.append(str(caught.value))

    served.app = twice
    reader, writer = await served.connect()
    for _ in range(2):
        writer.write(request())
        assert await answer(reader) == (200, b"{}")
    assert len(wrong) == 4


@pytest.mark.parametrize(
    "header", [(b"x-a", b"b\r\nset-cookie: 1"), (b"x-a", b"b\x00"), (b"x a", b"b"), (b"x:", b"b")]
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_header_that_would_break_the_head_is_not_sent(
    served: Served, header: tuple[bytes, bytes], at_once: bool
) -> None:
    served.app = sends_json(200, b"{}", header) if at_once else sends(200, [header], b"")
    reader, writer = await served.connect()
    writer.write(request())
    assert await answer(reader) == (500, b"Internal Server Error")
    assert await closed(reader)


@pytest.mark.parametrize("parts", [(b"abcde",), (b"abc",), (b"abc", b"de", b"")])
async def test_a_body_that_has_not_its_length_ends_the_connection(
    served: Served, parts: tuple[bytes, ...]
) -> None:
    served.app = sends(200, [(b"content-length", b"4")], *parts)
    reader, writer = await served.connect()
    writer.write(request())
    async with asyncio.timeout(PATIENCE):
        told = await reader.read()
    assert told.startswith(b"HTTP/1.1 200 ")
    assert len(told.partition(b"\r\n\r\n")[2]) < 4


@pytest.mark.parametrize(
    "first", [(b"CONNECT /a HTTP/1.1",), (b"GET /a HTTP/1.1", b"Connection: Upgrade", b"Upgrade: websocket")]
)
async def test_what_follows_an_attempt_to_leave_http_is_no_request(
    served: Served, first: tuple[bytes, ...]
) -> None:
    served.app = sends_json(405, b"{}")
    reader, writer = await served.connect()
    writer.write(request(*first, b"Content-Length: 100"))
    assert await answer(reader) == (405, b"{}")
    writer.write(request(b"GET /smuggled HTTP/1.1"))
    assert await closed(reader)
    assert served.seen == ["/a"]


async def test_a_server_that_stops_closes_idle_connections_and_the_others_behind_their_answer(
    served: Served,
) -> None:
    go = asyncio.Event()

    async def wait(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await send_json(send, 200, b"{}", [])

    served.app = wait
    idle, _ = await served.connect()
    busy, writer = await served.connect()
    writer.write(request())
    while not served.seen:
        await asyncio.sleep(0.001)
    for connection in list(served.state.connections):
        connection.shutdown()
    assert await closed(idle)
    go.set()
    assert b"connection: close\r\n" in await busy.readuntil(b"\r\n\r\n")
    assert await busy.read() == b"{}"
