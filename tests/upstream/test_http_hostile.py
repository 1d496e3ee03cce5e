"""Replies that are none: each is one fixed sentence about the server, quotes nothing, and does no harm."""

from __future__ import annotations

import asyncio
import base64
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from coatcheck.errors import UpstreamBadReply, UpstreamCredentialRefused, UpstreamError, UpstreamLost
from coatcheck.model.call import Fault, Notice, Result
from coatcheck.model.era import Era
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach
from coatcheck.ports import Ask, State
from coatcheck.upstream.http.hop.egress import Egress, Trust
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.hop.reading import ReplyLimits
from coatcheck.upstream.http.upstream import HttpUpstream
from doubles.clients import ScriptedClient, gateway_itself
from upstream.bad_replies import BAD, CANARY, good
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

LIMITS = HttpLimits(reply=ReplyLimits(head=8 * 1024, body=64 * 1024, stream=256 * 1024, linger=0.05))


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


async def test_material_that_is_hushed_never_comes_back_though_it_is_not_sent() -> None:
    former = "the-former-credential-99"

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        text = f"was Bearer {former}, is Bearer {SECRET}, odd {former[:8]}"
        done = {"jsonrpc": "2.0", "id": request.id, "result": {"content": [{"type": "text", "text": text}]}}
        out.write(plain(message(done)))

    async with RawServer(Peer(answer, "modern")) as server:
        record = http_server(server.url, {"Authorization": f"Bearer {SECRET}"})
        assert isinstance(record.reach, HttpReach)
        hushed = replace(record, reach=replace(record.reach, hush=(Secret(f"Bearer {former}"),)))
        upstream = HttpUpstream(hushed, Egress(True), HttpLimits(), gateway_itself())
        found = await upstream.forward(permit_for(upstream.server), CALLER, lambda _: None)
        assert "was Bearer [redacted], is Bearer [redacted], odd the-form" in repr(found)
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


# --- in the handshake, and where a server is heard ------------------------------------------------------------


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_reply_to_both_openings_is_an_error_and_the_next_use_tries_again(kind: str) -> None:
    hostile, _ = BAD[kind]
    bad = [True]
    peer = Peer(_text, "modern")

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if bad[0] and request.method != "GET":
            out.write(hostile(request))
        elif bad[0]:
            out.write(plain(b"", status="405 No"))
        else:
            await peer(request, out)

    client = ScriptedClient(era=Era.LEGACY)
    async with RawServer(answer) as server:
        upstream = HttpUpstream(http_server(server.url), Egress(True), LIMITS, client)
        with pytest.raises(UpstreamError) as caught:
            await ask_once(upstream)
        assert not caught.value.reached
        assert CANARY not in caught.value.message + caught.value.detail + upstream.status().last_error
        assert server.sent("tools/call") == []
        assert len(server.requests) <= 3
        bad[0] = False
        assert isinstance(await ask_once(upstream), Result)
        await upstream.close(0)


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_reply_where_a_server_is_heard_hurts_no_call(kind: str) -> None:
    hostile, _ = BAD[kind]

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "GET":
            out.write(hostile(replace(request, body=b'{"id":1}')))
        else:
            out.write(text_result(request, "fine") if request.id is not None else ACCEPTED)

    client = ScriptedClient(era=Era.LEGACY)
    async with RawServer(Peer(answer)) as server:
        limits = replace(LIMITS, hearing=0.02)
        upstream = HttpUpstream(http_server(server.url), Egress(True), limits, client)
        for _ in range(3):
            assert isinstance(await ask_once(upstream), Result)
        assert len(server.sent("initialize")) == 1
        assert CANARY not in repr((client.told, client.asked)) + upstream.status().last_error
        await upstream.close(0)


ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


async def _text(request: Request, out: asyncio.StreamWriter) -> None:
    out.write(text_result(request, "fine"))
