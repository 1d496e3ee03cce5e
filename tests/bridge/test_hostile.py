"""Gateways that send without end or sense, and clients that do: each costs no one but itself."""

from __future__ import annotations

import asyncio
import json

import pytest

from bridge.conversation import conversation
from bridge.scripted import OPEN_STREAM, framed, scripted, writing
from upstream.raw_servers import Request, chunk, plain, result

CALL = {"id": 1, "method": "tools/call", "params": {"name": "x"}}
ENDLESS = b"x" * 65536


async def flood(request: Request, out: asyncio.StreamWriter, head: bytes, piece: bytes) -> None:
    out.write(head)
    while not out.transport.is_closing():
        out.write(piece)
        await out.drain()


@pytest.mark.parametrize(
    ("head", "piece", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(ENDLESS), "longer than 100000 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", ENDLESS, "longer than 100000 bytes"),
        (b"HTTP/1.1 500 Oh\r\nContent-Type: application/json\r\n\r\n", ENDLESS, "longer than 1048576 bytes"),
        (OPEN_STREAM + b"data: ", ENDLESS, "longer than 100000 bytes"),
        (OPEN_STREAM, b"data: x\n" * 1000, "longer than 100000 bytes"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: y\r\n" * 1000, "ended before the answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/9 what\r\n\r\n", b"", "ended before the answer"),
    ],
    ids=["chunks", "no length", "error", "one line", "many lines", "headers", "no HTTP"],
)  # fmt: skip
async def test_an_endless_answer_ends_at_the_limit(head: bytes, piece: bytes, words: str) -> None:
    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        await flood(request, out, head, piece) if piece else out.write(head)

    async with scripted(tools_call=call) as gateway:
        async with conversation(gateway.server.url, reply=100_000) as talk:
            await talk.say(CALL)
            assert words in (await talk.hear())["error"]["message"]
            await talk.say({"id": 2, "method": "ping"})
            assert (await talk.hear())["result"] == {}
        assert len(gateway.server.sent("tools/call")) == 1


async def test_an_answer_as_long_as_the_limit_arrives() -> None:
    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(result(request, {"x": "y" * 99_900}))

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url, reply=100_000) as talk:
        await talk.say(CALL)
        assert len((await talk.hear())["result"]["x"]) == 99_900


async def test_a_stream_of_anything_holds_no_one_else_up() -> None:
    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        rubbish = (
            b": \xff\xfe\n\ndata\ndata: [1]\n\nid: a\x00b\ndata: {}\n\nevent: endpoint\ndata: http://evil\n\n"
        )
        reply = framed({"jsonrpc": "2.0", "id": "other", "result": {}})
        await flood(request, out, OPEN_STREAM, (rubbish + reply) * 50)

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        await talk.say(CALL)
        for _ in range(5):
            await talk.say({"id": 2, "method": "ping"})
            assert (await talk.hear())["id"] == 2
        await talk.say({"method": "notifications/cancelled", "params": {"requestId": 1}})
        assert len(talk.heard) == 5


async def test_a_compressed_answer_is_refused() -> None:
    step = writing(plain(b"\x1f\x8b", "application/json", "200 OK", "Content-Encoding: gzip"))
    async with scripted(tools_call=step) as gateway, conversation(gateway.server.url) as talk:
        await talk.say(CALL)
        assert "compressed" in (await talk.hear())["error"]["message"]


async def test_cookies_are_not_kept() -> None:
    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": request.id, "result": {}}).encode()
        out.write(plain(body, "application/json", "200 OK", "Set-Cookie: a=b; Path=/"))

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        for _ in range(2):
            await talk.say(CALL)
            await talk.hear()
        assert all("cookie" not in request.headers for request in gateway.server.requests)


# --- the client ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code", "id"),
    [
        (b"no json", -32700, None), (b"\xff", -32700, None), (b"[]", -32600, None), (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, None),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600, 1), (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":"a","method":"x","params":"' + b"y" * 5_000 + b'"}', -32600, None),
    ],
)  # fmt: skip
async def test_a_line_that_is_no_message_is_answered_here(line: bytes, code: int, id: object) -> None:
    async with scripted() as gateway, conversation(gateway.server.url, body=4_096) as talk:
        await talk.say(line)
        answer = await talk.hear()
        assert (answer["error"]["code"], answer["id"]) == (code, id)
        assert gateway.server.requests == []


async def test_empty_lines_mean_nothing() -> None:
    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        for line in (b"", b"\r", b"  "):
            await talk.say(line)
        await talk.say(CALL)
        assert (await talk.hear())["result"] == {}
        assert len(talk.heard) == 1


async def test_too_many_requests_and_ids_under_way_are_refused() -> None:
    go = asyncio.Event()

    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        await go.wait()
        out.write(result(request, {}))

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url, requests=3) as talk:
        for id in ("a", "b", "\\u0061", "c", "d"):
            await talk.say(f'{{"jsonrpc":"2.0","id":"{id}","method":"tools/call"}}'.encode())
        same, many = await talk.hear_all(2)
        assert (same["id"], same["error"]["message"]) == ("a", "A request of this id is under way.")
        assert (many["id"], many["error"]["message"]) == ("d", "Too many requests at once.")
        go.set()
        assert {answer["id"] for answer in await talk.hear_all(3)} == {"a", "b", "c"}
        await talk.say(CALL)
        assert (await talk.hear())["result"] == {}


async def test_a_client_that_asks_and_does_not_read_is_not_listened_to_for_ever() -> None:
    reading = asyncio.Event()
    async with scripted() as gateway, conversation(gateway.server.url, requests=5) as talk:
        write = talk.write

        async def blocked(line: bytes) -> None:
            await reading.wait()
            await write(line)

        talk.write = blocked  # type: ignore[method-assign]

        async def ask_on() -> None:
            for id in range(50):
                await talk.say({"id": id, "method": "ping"})

        asking = asyncio.create_task(ask_on())
        await asyncio.sleep(0.3)
        assert not asking.done()
        assert 5 <= len(gateway.server.sent("ping")) <= 10
        reading.set()
        await asking
        assert {answer["id"] for answer in await talk.hear_all(50)} == set(range(50))
