"""One client connection on its own: heads, bodies and reading that take too long, with the clocks set short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, cast

import pytest

from coatcheck.front import protocol
from coatcheck.front.protocol import GuardedProtocol
from doubles.served import PATIENCE, Served, answer, closed, hello, serving

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SHORT = 0.15
IDLE = 0.5


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    for name in ("HEAD_SECONDS", "REST_SECONDS", "WRITE_STALL_SECONDS"):
        monkeypatch.setattr(protocol, name, SHORT)
    async with serving(GuardedProtocol) as application:
        yield application


async def until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not there():
            await asyncio.sleep(0.005)


async def trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send a byte at a time until the far side has had enough."""
    for byte in data:
        if writer.is_closing():
            return
        writer.write(bytes([byte]))
        await asyncio.sleep(SHORT / 5)


async def test_a_head_that_never_ends_is_408_however_it_trickles(served: Served) -> None:
    reader, writer = await served.connect()
    sending = asyncio.create_task(trickle(writer, b"GET / HTTP/1.1\r\nX: " + b"a" * 1000))
    status, body = await answer(reader)
    assert status == 408
    assert b"head" in body
    assert await closed(reader)
    sending.cancel()
    assert served.seen == []


async def test_a_connection_that_is_never_used_is_closed_without_a_word(served: Served) -> None:
    reader, _ = await served.connect()
    assert await closed(reader)


async def test_the_next_head_of_a_connection_has_no_more_time(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(GET)
    assert await answer(reader) == (200, b"ok")
    sending = asyncio.create_task(trickle(writer, b"GET /second HTTP/1.1\r\nX: " + b"a" * 1000))
    assert (await answer(reader))[0] == 408
    assert await closed(reader)
    sending.cancel()
    assert served.seen == ["/"]


async def test_a_connection_between_requests_is_left_alone(served: Served) -> None:
    reader, writer = await served.connect()
    for _ in range(3):
        writer.write(GET)
        assert await answer(reader) == (200, b"ok")
        await asyncio.sleep(SHORT * 2)
    assert served.seen == ["/"] * 3


async def test_a_connection_that_is_not_used_any_more_is_closed() -> None:
    async with serving(GuardedProtocol, keep_alive=IDLE) as served:
        reader, writer = await served.connect()
        for _ in range(3):
            writer.write(GET)
            assert await answer(reader) == (200, b"ok")
        assert await closed(reader)
        assert served.seen == ["/"] * 3


async def test_a_request_that_takes_longer_than_any_of_the_clocks_is_answered() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(IDLE * 1.3)
        await hello(scope, receive, send)

    async with serving(GuardedProtocol, keep_alive=IDLE) as served:
        reader, writer = await served.connect()
        for app in (hello, slow, hello):  # the clock of the idle time before ticks on in its timer
            served.app = app
            writer.write(GET)
            assert await answer(reader) == (200, b"ok")


async def test_the_time_of_a_head_that_began_behind_a_request_is_not_that_of_an_idle_connection(
    served: Served,
) -> None:
    reader, writer = await served.connect()
    writer.write(GET + b"GET /second HT")  # idle ones have a minute here
    assert await answer(reader) == (200, b"ok")
    assert (await answer(reader))[0] == 408
    assert await closed(reader)


async def test_an_endless_head_is_431(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(b"GET / HTTP/1.1\r\n")
    for number in range(2000):
        writer.write(b"X-%d: " % number + b"a" * 100 + b"\r\n")
    assert (await answer(reader))[0] == 431
    assert await closed(reader)


async def test_line_breaks_between_requests_do_not_hold_a_connection(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(GET)
    assert await answer(reader) == (200, b"ok")
    sending = asyncio.create_task(trickle(writer, b"\r\n" * 1000))
    assert await closed(reader)
    sending.cancel()


async def test_a_body_that_trickles_after_its_answer_does_not_hold_a_connection(served: Served) -> None:
    reader, writer = await served.connect()
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    assert await answer(reader) == (200, b"ok")  # the application did not wait for the body
    sending = asyncio.create_task(trickle(writer, b"a" * 1000))
    assert await closed(reader)
    sending.cancel()


async def test_a_body_that_comes_after_its_answer_is_thrown_away_and_the_next_request_served(
    served: Served,
) -> None:
    reader, writer = await served.connect()
    writer.write(b"POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
    assert await answer(reader) == (200, b"ok")
    writer.write(b"a" * 200_000 + GET)
    assert await answer(reader) == (200, b"ok")
    assert served.seen == ["/first", "/"]
    await asyncio.sleep(SHORT * 2)
    writer.write(GET)  # no clock of the first request ticks on
    assert await answer(reader) == (200, b"ok")


async def test_a_client_that_never_reads_is_cut_off(served: Served) -> None:
    ended = asyncio.Event()

    async def flood(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(512):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        ended.set()

    served.app = flood
    reader, writer = await served.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(GET)
    async with asyncio.timeout(PATIENCE):
        await ended.wait()  # the answer is let go of, not waited for
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(512 * 65_536)


async def test_a_client_that_reads_slowly_gets_everything(served: Served) -> None:
    async def large(_scope: Any, _receive: Any, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8388608")]}
        )
        for _ in range(128):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    served.app = large
    reader, writer = await served.connect()
    writer.write(GET)
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head
    got = 0
    while got < 8_388_608:
        got += len(await reader.read(262_144))
        await asyncio.sleep(0.002)
    assert got == 8_388_608


async def test_the_request_being_answered_hears_that_its_client_left_also_behind_a_pipelined_one(
    served: Served,
) -> None:
    heard: list[str] = []
    told = asyncio.Event()

    async def wait(scope: Any, receive: Any, send: Any) -> None:
        await receive()  # the empty body
        heard.append(scope["path"])
        heard.append((await receive())["type"])
        told.set()
        await hello(scope, receive, send)  # goes nowhere

    served.app = wait
    _, writer = await served.connect()
    writer.write(GET.replace(b" / ", b" /first "))
    while not heard:
        await asyncio.sleep(0.001)
    writer.write(GET)
    await asyncio.sleep(0.01)
    writer.close()
    async with asyncio.timeout(PATIENCE):
        await told.wait()
    assert heard == ["/first", "http.disconnect"]
    assert served.seen == ["/first"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_400_in_json(served: Served, data: bytes) -> None:
    reader, writer = await served.connect()
    writer.write(data)
    status, body = await answer(reader)
    assert status == 400
    assert b'"error"' in body
    assert await closed(reader)
    assert served.seen == []


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("bad", [b"\x00\x01\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000, b"GET / HT"])
async def test_what_is_wrong_behind_requests_that_are_being_answered_does_not_get_into_their_answers(
    served: Served, begun: bool, bad: bytes
) -> None:
    go_on = asyncio.Event()

    async def wait(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-length", b"4")]
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        await go_on.wait()
        if not begun:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"done"})

    served.app = wait
    reader, writer = await served.connect()
    writer.write(GET + GET)
    await until(lambda: served.seen == ["/"])
    writer.write(bad)
    await asyncio.sleep(3 * SHORT)  # beyond the time of a head
    go_on.set()
    async with asyncio.timeout(PATIENCE):
        assert [await answer(reader) for _ in range(2)] == [(200, b"done")] * 2
        assert await reader.read() == b""
    assert served.seen == ["/", "/"]


async def test_a_body_that_breaks_off_behind_a_request_that_is_being_answered_is_no_request(
    served: Served,
) -> None:
    go_on = asyncio.Event()

    async def wait(_scope: Any, _receive: Any, send: Any) -> None:
        await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    served.app = wait
    reader, writer = await served.connect()
    writer.write(GET + b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    await until(lambda: served.seen == ["/"])
    go_on.set()
    async with asyncio.timeout(PATIENCE):
        assert (await answer(reader))[0] == 200
        assert await reader.read() == b""
    assert served.seen == ["/"]


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n"


@pytest.mark.parametrize("together", [True, False])
async def test_a_trailer_is_no_header_whenever_it_comes(served: Served, together: bool) -> None:
    heads: list[list[tuple[bytes, bytes]]] = []

    async def look(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        heads.append(list(scope["headers"]))
        await hello(scope, receive, send)

    served.app = look
    reader, writer = await served.connect()
    trailer = b"Authorization: Bearer x\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n"
    writer.write(CHUNKED + trailer if together else CHUNKED)
    if not together:
        await until(lambda: served.seen == ["/"])
        writer.write(trailer)
    assert (await answer(reader))[0] == 200
    writer.write(GET)
    assert (await answer(reader))[0] == 200
    assert heads == [[(b"host", b"x"), (b"transfer-encoding", b"chunked")], [(b"host", b"x")]]


@pytest.mark.parametrize("line", [b"A: b\r\n", b"a"])
async def test_trailers_without_end_end_the_connection(served: Served, line: bytes) -> None:
    async def refuse(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    served.app = refuse
    reader, writer = await served.connect()
    writer.write(CHUNKED + (b"A: " if line == b"a" else b""))
    assert (await answer(reader))[0] == 401
    sent = 0
    with suppress(ConnectionError):
        while not reader.at_eof() and sent < 4 * 1024 * 1024:
            writer.write(line * (4096 // len(line)))
            await writer.drain()
            sent += 4096
            await asyncio.sleep(0)
    assert sent < 4 * 1024 * 1024
    assert await closed(reader)


async def test_requests_that_wait_are_few_however_many_come(served: Served) -> None:
    go_on = asyncio.Event()

    async def wait(scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        await hello(scope, receive, send)

    served.app = wait
    reader, writer = await served.connect()
    many = 30_000
    writer.write(GET * many)
    await until(lambda: served.seen == ["/"])
    await asyncio.sleep(SHORT)
    most = protocol.MAX_PIPELINED + 1 + protocol._SLICE // len(GET) + 1
    (connection,) = cast("set[GuardedProtocol]", served.state.connections)
    assert len(connection._waiting) <= most
    go_on.set()
    for _ in range(many):
        assert await answer(reader) == (200, b"ok")
        assert len(connection._waiting) <= most
    assert len(served.seen) == many


async def test_bad_bytes_behind_a_good_request_end_the_connection_without_a_second_answer_to_it(
    served: Served,
) -> None:
    reader, writer = await served.connect()
    writer.write(GET)
    assert await answer(reader) == (200, b"ok")
    writer.write(b"\x00\x01\x02\r\n\r\n")
    assert (await answer(reader))[0] == 400
    assert await closed(reader)
