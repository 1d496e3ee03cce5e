"""Replies that are none: each is one fixed sentence about the server, quotes nothing, and does no harm."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from coatcheck.errors import UpstreamBadReply, UpstreamCredentialRefused, UpstreamError, UpstreamLost
from coatcheck.model.call import Fault, Notice, Result
from coatcheck.ports import Ask, State
from coatcheck.upstream.http.egress import Egress, Trust
from coatcheck.upstream.http.limits import HttpLimits
from coatcheck.upstream.http.reading import ReplyLimits
from coatcheck.upstream.http.upstream import HttpUpstream
from doubles.clients import gateway_itself
from upstream.certificates import Authority
from upstream.permits import CALLER, http_server, permit_for, unheard
from upstream.raw_servers import (
    STREAM,
    Peer,
    RawServer,
    Request,
    chunk,
    event,
    fault,
    message,
    plain,
    text_result,
)

CANARY = "canary-8c1f0e"
LIMITS = HttpLimits(reply=ReplyLimits(head=8 * 1024, body=64 * 1024, stream=256 * 1024, linger=0.05))
Bytes = Callable[[Request], bytes]


def reply(value: object, media: str = "application/json", status: str = "200 OK", *lines: str) -> Bytes:
    body = value if isinstance(value, bytes) else message(value)
    return lambda _: plain(body, media, status, *lines)


def good(request: Request, **changes: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": request.id, "result": {"content": [], "c": CANARY}, **changes}


def changed(**changes: object) -> Bytes:
    return lambda request: plain(message(good(request, **changes)))


def stream(*parts: bytes, end: bytes = b"0\r\n\r\n") -> Bytes:
    return lambda _: STREAM + b"".join(map(chunk, parts)) + end


ERROR = {"jsonrpc": "2.0", "id": None, "error": {"code": -32603, "message": CANARY}}
BAD: dict[str, tuple[Bytes, str]] = {
    "500 html": (reply(CANARY.encode(), "text/html", "500 Internal Server Error"), "failed with status 500"),
    "500 error of nobody": (reply(ERROR, status="500 Internal Server Error"), "failed with status 500"),
    "502": (reply(b"<html>", "text/html", "502 Bad Gateway"), "behind its own proxy (502)"),
    "503": (reply(b"", status="503 Service Unavailable"), "not available for now (503)"),
    "418": (reply(b"", status="418 I'm a teapot"), "failed with status 418"),
    "429": (
        reply(b"", "text/plain", "429 Too Many", "Retry-After: 1000000000"),
        "refusing requests for now (429)",
    ),
    "400 html": (reply(CANARY.encode(), "text/html", "400 Bad Request"), "refused the request (400)"),
    "200 empty": (reply(b""), "an empty body"),
    "200 no type": (lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "neither JSON nor"),
    "200 html": (reply(CANARY.encode(), "text/html"), "neither JSON nor"),
    "200 json-ish": (lambda r: plain(message(good(r)), "application/json-seq"), "neither JSON nor"),
    "200 two types": (
        lambda r: plain(message(good(r)), "application/json", "200 OK", "Content-Type: application/json"),
        "neither JSON nor",
    ),
    "202": (lambda _: b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "without answering it (202)"),
    "204": (lambda _: b"HTTP/1.1 204 No Content\r\n\r\n", "without answering it (204)"),
    "garbage": (reply(b'{"jsonrpc": ' + CANARY.encode()), "no JSON-RPC message"),
    "truncated": (lambda r: plain(message(good(r))[:-3]), "no JSON-RPC message"),
    "not utf-8": (
        lambda r: plain(message(good(r)).replace(CANARY.encode(), b"\xff\xfe")),
        "no JSON-RPC message",
    ),
    "bom": (lambda r: plain(b"\xef\xbb\xbf" + message(good(r))), "no JSON-RPC message"),
    "utf-16": (lambda r: plain(json.dumps(good(r)).encode("utf-16")), "no JSON-RPC message"),
    "deep": (
        lambda r: plain(
            b'{"jsonrpc":"2.0","id":%d,"result":{"a":%b' % (r.id, b"[" * 30_000 + b"]" * 30_000 + b"}}")
        ),
        "no JSON-RPC message",
    ),
    "wrong id": (changed(id=999_999), "the id of another request"),
    "id as text": (lambda r: plain(message(good(r, id=str(r.id)))), "the id of another request"),
    "id null": (changed(id=None), "the id of another request"),
    "no id": (reply({"jsonrpc": "2.0", "result": {}}), "the id of another request"),
    "batch": (lambda r: plain(message([good(r)])), "a batch"),
    "no version": (changed(jsonrpc="1.0"), "no JSON-RPC message"),
    "a request": (reply({"jsonrpc": "2.0", "id": 1, "method": "ping"}), "a message that is no reply"),
    "result is a list": (changed(result=[1]), "no JSON-RPC message"),
    "result is null": (changed(result=None), "no JSON-RPC message"),
    "bad error": (
        reply({"jsonrpc": "2.0", "id": 1, "error": {"code": "x", "message": CANARY}}),
        "no JSON-RPC",
    ),
    "gzip": (
        lambda r: plain(
            gzip.compress(b"\0" * 10_000_000), "application/json", "200 OK", "Content-Encoding: gzip"
        ),
        "a content encoding",
    ),
    "gzip events": (
        lambda r: plain(gzip.compress(b"data: 1"), "text/event-stream", "200 OK", "Content-Encoding: gzip"),
        "a content encoding",
    ),
    "too long, said": (
        lambda _: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 209715200\r\n\r\n",
        "more than 65536 bytes",
    ),
    "too long, chunked": (
        lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * 1024) * 80,
        "more than 65536 bytes",
    ),
    "header too long": (lambda _: b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 100_000, "bytes of headers"),
    "header without end": (lambda _: b"HTTP/1.1 200 OK\r\n" + b"a" * 100_000, "bytes of headers"),
    "many headers": (lambda _: b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n", "bytes of headers"),
    "many interim": (lambda _: b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, "bytes of headers"),
    "endless trailer": (
        lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 5000,
        "bytes of headers",
    ),
    "CR in a header": (
        lambda _: b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        "no HTTP/1.1 reply",
    ),
    "NUL in a header": (
        lambda _: b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "no HTTP/1.1 reply",
    ),
    "not http": (lambda _: b"SSH-2.0-OpenSSH_9.9\r\n", "no HTTP/1.1 reply"),
    "two lengths": (
        lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "no HTTP/1.1 reply",
    ),
    "length and chunks": (
        lambda _: (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        ),
        "no HTTP/1.1 reply",
    ),
    "bad chunk": (
        lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        "no HTTP/1.1 reply",
    ),
    "upgrade": (
        lambda _: (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + b"x" * 99
        ),
        "no HTTP/1.1 reply",
    ),
    "event is garbage": (
        lambda r: stream(b"data: {garbage}\n\n", event(good(r)))(r),
        "an event that is no JSON-RPC message",
    ),
    "event with another id": (lambda r: stream(event(good(r, id=0)))(r), "the id of another request"),
    "event is a batch": (lambda r: stream(event([good(r)]))(r), "an event that is no JSON-RPC message"),
    "event without end": (
        lambda _: STREAM + chunk(b"data: " + b"x" * 1000) + chunk(b"x" * 1000) * 80,
        "more than 65536 bytes",
    ),
    "endless stream": (lambda _: STREAM + chunk(b": " + b"x" * 1000 + b"\n") * 300, "bytes on one stream"),
    "events of 500": (
        lambda r: (
            b"HTTP/1.1 500 Oops\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%b"
            % (len(event(good(r))), event(good(r)))
        ),
        "failed with status 500",
    ),
}


async def ask_once(upstream: HttpUpstream) -> Result | Fault:
    return await upstream.forward(permit_for(upstream.server), CALLER, unheard)


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("kind", BAD)
async def test_a_reply_that_is_none_is_one_fixed_sentence(kind: str, era: str) -> None:
    hostile, sentence = BAD[kind]
    bad = [False]

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(hostile(request) if bad[0] else text_result(request, "fine"))

    async with RawServer(Peer(answer, era)) as server:
        upstream = HttpUpstream(http_server(server.url), Egress(True), LIMITS, gateway_itself())
        assert isinstance(await ask_once(upstream), Result)
        bad[0] = True
        calls = len(server.sent("tools/call"))
        with pytest.raises(UpstreamBadReply) as caught:
            await ask_once(upstream)
        error = caught.value
        assert error.message.startswith("weather ")
        assert sentence in error.message
        assert CANARY not in error.message + error.fix + error.detail + upstream.status().last_error
        assert upstream.status().state is State.FAILING
        assert len(server.sent("tools/call")) == calls + 1
        bad[0] = False
        assert isinstance(await ask_once(upstream), Result)
        assert upstream.status().state is State.READY
        assert upstream.status().last_error == ""
        await upstream.close(0)


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent"]
)
async def test_a_redirect_is_never_followed(status: str) -> None:
    async def trap(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(text_result(request, "caught"))

    async with RawServer(trap) as elsewhere:

        async def answer(request: Request, out: asyncio.StreamWriter) -> None:
            out.write(plain(b"", "text/plain", status, f"Location: {elsewhere.url}"))

        async with RawServer(Peer(answer, "modern")) as server:
            upstream = HttpUpstream(
                http_server(server.url, {"Authorization": "Bearer x"}),
                Egress(True),
                HttpLimits(),
                gateway_itself(),
            )
            with pytest.raises(UpstreamBadReply, match=r"redirect .*never followed") as caught:
                await ask_once(upstream)
            assert not caught.value.reached
            assert elsewhere.connections == 0
            await upstream.close(0)


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
@pytest.mark.parametrize("when", ["greeting", "calling"])
async def test_a_refused_credential_is_ours_to_mend_and_not_relayed(status: str, when: str) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        body = message({"jsonrpc": "2.0", "id": request.id, "error": {"code": -1, "message": CANARY}})
        out.write(
            plain(body, "application/json", status, 'WWW-Authenticate: Bearer resource_metadata="http://x"')
        )

    async with RawServer(Peer(answer, "modern") if when == "calling" else answer) as server:
        upstream = HttpUpstream(
            http_server(server.url, {"Authorization": "Bearer x"}),
            Egress(True),
            HttpLimits(),
            gateway_itself(),
        )
        with pytest.raises(
            UpstreamCredentialRefused, match=f"weather refused the credential.*{status[:3]}"
        ) as caught:
            await ask_once(upstream)
        assert CANARY not in caught.value.message + caught.value.detail
        assert len(server.requests) == (2 if when == "calling" else 1)
        await upstream.close(0)


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "400 Bad Request", "404 Not Found", "500 Oops"])
async def test_an_error_with_our_id_is_the_answer_whatever_the_status(status: str) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(fault(request, -32602, "Unknown tool: x", status))

    async with RawServer(Peer(answer, "legacy")) as server:
        upstream = HttpUpstream(http_server(server.url), Egress(True), HttpLimits(), gateway_itself())
        assert await ask_once(upstream) == Fault(-32602, "Unknown tool: x")
        assert len(server.sent("tools/call")) == 1
        await upstream.close(0)


@pytest.mark.parametrize(
    "media", ["Application/JSON ; x", "application/json; charset=utf-8", "APPLICATION/JSON"]
)
@pytest.mark.parametrize("status", ["200 OK", "201 Created"])
async def test_a_media_type_is_compared_without_its_parameters(media: str, status: str) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(plain(message({"jsonrpc": "2.0", "id": request.id, "result": {"a": 1}}), media, status))

    async with RawServer(Peer(answer, "modern")) as server:
        upstream = HttpUpstream(http_server(server.url), Egress(True), HttpLimits(), gateway_itself())
        assert await ask_once(upstream) == Result(b'{"a": 1}')
        assert await upstream.ask(Ask.TOOLS) == Result(b'{"a": 1}')
        await upstream.close(0)


# --- connections that break ---------------------------------------------------------------------------------


async def test_a_reply_cut_at_any_byte_is_a_lost_call_that_may_have_been_acted_on() -> None:
    cut = [0]

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        whole = text_result(request, "x")
        out.write(whole[: cut[0]] if cut[0] < len(whole) else whole)
        await out.drain()
        if cut[0] < len(whole):
            out.close()

    async with RawServer(Peer(answer, "modern")) as server:
        upstream = HttpUpstream(http_server(server.url), Egress(True), HttpLimits(), gateway_itself())
        cut[0] = 10_000
        assert isinstance(await ask_once(upstream), Result)
        for at in range(0, 150, 3):
            cut[0] = at
            calls = len(server.sent("tools/call"))
            with pytest.raises(UpstreamLost) as caught:
                await ask_once(upstream)
            assert caught.value.reached
            assert "closed the connection" in caught.value.message
            assert len(server.sent("tools/call")) == calls + 1
        await upstream.close(0)


@pytest.mark.parametrize("end", ["chunk", "connection"])
async def test_a_stream_that_ends_before_the_answer_is_a_lost_call(end: str) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM + chunk(b": hello\n\n") + chunk(event(good(request))[:-1]))
        if end == "chunk":
            out.write(b"0\r\n\r\n")
        else:
            await out.drain()
            out.close()

    async with RawServer(Peer(answer, "legacy")) as server:
        upstream = HttpUpstream(http_server(server.url), Egress(True), HttpLimits(), gateway_itself())
        with pytest.raises(UpstreamLost) as caught:
            await ask_once(upstream)
        assert caught.value.reached
        assert len(server.sent("tools/call")) == 1
        await upstream.close(0)


async def test_a_flood_of_notifications_is_passed_on_and_not_kept() -> None:
    flood = event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 100}})

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM)
        for _ in range(200):
            out.write(chunk(flood * 100))
            await out.drain()
        out.write(chunk(event(good(request))) + b"0\r\n\r\n")

    heard = [0]

    def notify(notice: Notice) -> None:
        heard[0] += 1

    async with RawServer(Peer(answer, "modern")) as server:
        upstream = HttpUpstream(http_server(server.url), Egress(True), HttpLimits(), gateway_itself())
        await upstream.greet()
        tracemalloc.start()
        try:
            assert isinstance(await upstream.forward(permit_for(upstream.server), CALLER, notify), Result)
            assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
        finally:
            tracemalloc.stop()
        assert heard[0] == 20_000
        await upstream.close(0)


# --- secrets that come back ---------------------------------------------------------------------------------

SECRET = "sk-live-4f9a/+==77c1"
ECHOES: dict[str, str] = {
    "raw": SECRET,
    "with scheme": f"Bearer {SECRET}",
    "base64": base64.b64encode(f"x{SECRET}".encode()).decode(),
    "hex": SECRET.encode().hex(),
    "json in a string": json.dumps({"env": SECRET}),
}


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("shape", ["result", "fault", "stream", "notice", "greeting"])
async def test_a_credential_that_comes_back_is_taken_out(echo: str, shape: str) -> None:
    text = ECHOES[echo]
    heard: list[bytes] = []

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        done = {
            "jsonrpc": "2.0",
            "id": request.id,
            "result": {"t": text if shape in ("result", "stream") else ""},
        }
        if shape == "fault":
            error = {"code": 1, "message": f"bad {text}", "data": {"t": [text]}}
            out.write(plain(message({"jsonrpc": "2.0", "id": request.id, "error": error})))
        elif shape == "greeting" and request.method == "server/discover":
            greeting = {
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"x": text},
                "instructions": text,
            }
            out.write(plain(message({"jsonrpc": "2.0", "id": request.id, "result": greeting})))
        elif shape in ("stream", "notice"):
            note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": text}}
            whole = event(note) + event(done)
            out.write(
                STREAM + b"".join(chunk(whole[at : at + 5]) for at in range(0, len(whole), 5)) + b"0\r\n\r\n"
            )
        else:
            out.write(plain(message(done)))

    peer = answer if shape == "greeting" else Peer(answer, "modern")
    async with RawServer(peer) as server:
        upstream = HttpUpstream(
            http_server(server.url, {"Authorization": f"Bearer {SECRET}"}),
            Egress(True),
            HttpLimits(),
            gateway_itself(),
        )
        found = await upstream.forward(permit_for(upstream.server), CALLER, lambda n: heard.append(n.params))
        greeting = await upstream.greet()
        everything = repr((found, greeting, heard))
        assert server.requests[-1].headers["authorization"] == f"Bearer {SECRET}"
        assert text not in everything
        assert SECRET not in everything
        assert "[redacted]" in everything
        await upstream.close(0)


async def test_tls_reaches_the_named_host_and_nobody_else(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def local(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    made = [0]

    def make_tls() -> object:
        made[0] += 1
        return authority.client_context()

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(text_result(request, "safe"))

    egress = Egress(True, resolve=local, trust=Trust(make_tls))  # type: ignore[arg-type]
    async with RawServer(Peer(answer, "modern"), ssl=authority.server_context("good.example")) as server:
        upstream = HttpUpstream(
            http_server(f"https://good.example:{server.port}/mcp"), egress, HttpLimits(), gateway_itself()
        )
        for _ in range(3):
            assert isinstance(await ask_once(upstream), Result)
        await asyncio.gather(*[ask_once(upstream) for _ in range(8)])
        assert made == [1]
        assert server.requests[0].headers["host"] == f"good.example:{server.port}"
        await upstream.close(0)
        impostor = HttpUpstream(
            http_server(f"https://other.example:{server.port}/mcp"), egress, HttpLimits(), gateway_itself()
        )
        before = len(server.requests)
        with pytest.raises(UpstreamError, match="certificate"):
            await ask_once(impostor)
        assert len(server.requests) == before
        await impostor.close(0)
