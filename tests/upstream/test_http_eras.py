"""Which era a server over HTTP is greeted in, and what real servers say when they do not understand."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from coatcheck.errors import UpstreamBadReply, UpstreamCredentialRefused, UpstreamError
from coatcheck.model.call import Caller
from coatcheck.model.era import Era
from coatcheck.model.server import Transport
from coatcheck.ports import Ask
from coatcheck.upstream.http.handshake import OnlySse
from coatcheck.upstream.http.hop.limits import HttpLimits
from doubles.clients import ScriptedClient
from upstream.permits import CALLER, unheard
from upstream.raw_servers import (  # fmt: skip
    DISCOVERED,
    STREAM,
    Peer,
    RawServer,
    Request,
    chunk,
    event,
    fault,
    message,
    plain,
    result,
    text_result,
)
from upstream.talking import ACCEPTED, Talking, TalkingModern, call, hold, permit, text_of, until, upstream_of


def session_client(version: str = "2025-06-18") -> ScriptedClient:
    return ScriptedClient(b'{"sampling":{},"tasks":{}}', Era.LEGACY, version)


# --- a session's own upstream: legacy first ---------------------------------------------------------------


async def test_a_session_greets_with_its_own_version_and_capabilities() -> None:
    async with RawServer(Talking()) as server, upstream_of(server, session_client()) as upstream:
        greeting = await upstream.greet()
        assert (greeting.era, greeting.version) == (Era.LEGACY, "2025-06-18")
        assert server.methods()[:2] == ["initialize", "notifications/initialized"]
        params = server.requests[0].message["params"]
        assert params["protocolVersion"] == "2025-06-18"
        assert params["capabilities"] == {"sampling": {}}
        assert server.requests[1].headers["mcp-protocol-version"] == "2025-06-18"


async def test_a_server_of_both_eras_gets_a_session_if_the_client_has_one() -> None:
    async def both(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "server/discover":
            out.write(result(request, DISCOVERED))
        else:
            await talking(request, out)

    talking = Talking()
    async with RawServer(both) as server:
        async with upstream_of(server, session_client()) as upstream:
            assert (await upstream.greet()).era is Era.LEGACY
        async with upstream_of(server) as upstream:
            assert (await upstream.greet()).era is Era.MODERN


REFUSALS = {
    "404, -32601": lambda r: fault(r, -32601, "Method not found", "404 Not Found"),
    "200, -32601": lambda r: fault(r, -32601, "Method not found"),
    "400, -32602": lambda r: fault(r, -32602, "params._meta is missing", "400 Bad Request"),
    "400, -32022": lambda r: fault(r, -32022, "Unsupported protocol version", "400 Bad Request"),
    "400, -32020 of nobody": lambda r: plain(
        message({"jsonrpc": "2.0", "id": None, "error": {"code": -32020, "message": "Header mismatch"}}),
        status="400 Bad Request",
    ),
    "400, empty": lambda r: plain(b"", status="400 Bad Request"),
    "404, html": lambda r: plain(b"<html>", "text/html", "404 Not Found"),
    "405, empty": lambda r: plain(b"", status="405 Method Not Allowed"),
    "500, html": lambda r: plain(b"<html>", "text/html", "500 Oops"),
    "200, html": lambda r: plain(b"<html>", "text/html"),
    "200, a modern version": lambda r: result(r, {"protocolVersion": "2026-07-28", "capabilities": {}}),
    "202": lambda r: ACCEPTED,
}


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_strictly_modern_server_is_discovered_after_all(refusal: str) -> None:
    modern = TalkingModern()

    async def strict(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "initialize":
            out.write(REFUSALS[refusal](request))
        else:
            await modern(request, out)

    async with RawServer(strict) as server, upstream_of(server, session_client()) as upstream:
        assert (await upstream.greet()).era is Era.MODERN
        assert server.methods() == ["initialize", "server/discover"]


@pytest.mark.parametrize("first", [Era.LEGACY, Era.MODERN])
async def test_a_strict_legacy_server_is_asked_again_at_a_version_that_it_names(first: Era) -> None:
    talking = Talking()

    async def strict(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "initialize" and request.message["params"]["protocolVersion"] != "2024-11-05":
            data = {"supported": ["2024-11-05"], "requested": "x"}
            error = {"code": -32602, "message": "Unsupported protocol version", "data": data}
            out.write(plain(message({"jsonrpc": "2.0", "id": request.id, "error": error})))
        else:
            await talking(request, out)

    client = ScriptedClient(era=first)
    async with RawServer(strict) as server, upstream_of(server, client) as upstream:
        assert (await upstream.greet()).version == "2024-11-05"
        assert len(server.sent("initialize")) == 2


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_a_refused_credential_ends_the_handshake_at_once(status: str) -> None:
    async def closed(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(plain(b"Session not found", "text/plain", status))

    async with RawServer(closed) as server:
        for client in (session_client(), None):
            async with upstream_of(server, client) as upstream:
                with pytest.raises(UpstreamCredentialRefused):
                    await upstream.greet()
        assert len(server.requests) == 2


async def test_what_refuses_both_openings_is_told_by_the_first_of_the_clients_own() -> None:
    async def neither(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(fault(request, -32603, "boom"))

    async with RawServer(neither) as server, upstream_of(server, session_client()) as upstream:
        with pytest.raises(UpstreamBadReply, match=r"refused initialize with error -32603"):
            await upstream.greet()
        assert server.methods() == ["initialize", "server/discover"]


# --- slow starts, servers that never answer, servers that know no notification ------------------------------


async def test_a_server_that_never_answers_discovery_is_waited_for_once() -> None:
    talking = Talking()

    async def mute(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "server/discover":
            await asyncio.sleep(60)
        await talking(request, out)

    async with RawServer(mute) as server, upstream_of(server, limits=HttpLimits(connect=0.4)) as upstream:
        assert text_of(await call(upstream)) == "hi"
        talking.forgotten.add("s-1")
        assert text_of(await call(upstream)) == "hi"
        assert server.methods().count("server/discover") == 1
        assert server.methods().count("initialize") == 2


async def test_a_modern_server_that_was_slow_to_start_is_discovered_again() -> None:
    modern = TalkingModern()

    async def slow(request: Request, out: asyncio.StreamWriter) -> None:
        if len(server.requests) == 1:
            await asyncio.sleep(60)
        await modern(request, out)

    async with RawServer(slow) as server, upstream_of(server, limits=HttpLimits(connect=0.4)) as upstream:
        assert (await upstream.greet()).era is Era.MODERN
        assert server.methods() == ["server/discover", "initialize", "server/discover"]


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "405 No", "422 What", "500 Oops"])
async def test_a_server_that_knows_no_notifications_is_used_all_the_same(status: str) -> None:
    talking = Talking()

    async def deaf(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "notifications/initialized":
            out.write(plain(b"", "text/plain", status))
        else:
            await talking(request, out)

    async with RawServer(deaf) as server, upstream_of(server) as upstream:
        assert (await upstream.greet()).era is Era.LEGACY


async def test_a_notification_answered_by_a_stream_that_stays_open_holds_nobody_up() -> None:
    talking = Talking()

    async def streaming(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "notifications/initialized":
            out.write(STREAM)
            await out.drain()
            await asyncio.sleep(60)
        await talking(request, out)

    async with RawServer(streaming) as server, upstream_of(server) as upstream:
        assert (await upstream.greet()).era is Era.LEGACY


async def test_initialize_may_be_answered_by_a_stream() -> None:
    talking = Talking()

    async def streaming(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "initialize":
            value = {"protocolVersion": "2025-03-26", "capabilities": {}, "serverInfo": {"name": "x"}}
            ready = event({"jsonrpc": "2.0", "id": request.id, "result": value})
            out.write(
                STREAM + chunk(b"id: 1\ndata:\n\n" + event({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
            )
            out.write(chunk(ready) + b"0\r\n\r\n")
        else:
            await talking(request, out)

    async with RawServer(streaming) as server, upstream_of(server, session_client()) as upstream:
        assert (await upstream.greet()).version == "2025-03-26"


# --- the old transport ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [None, session_client()], ids=["shared", "session"])
@pytest.mark.parametrize("status", [400, 404, 405, 406, 415, 422, 501])
async def test_the_old_transport_is_an_error_of_its_own(status: int, client: ScriptedClient | None) -> None:
    async def old(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "GET":
            out.write(STREAM + chunk(b": hello\n\nevent: endpoint\ndata: /messages?id=1\n\n"))
            await hold(out)
        out.write(plain(b"<p>", "text/html", f"{status} No"))

    async with RawServer(old) as server:
        async with upstream_of(server, client) as upstream:
            with pytest.raises(OnlySse, match="speaks only the old HTTP\\+SSE transport") as caught:
                await upstream.greet()
            assert not caught.value.reached
        await until(lambda: server.closed == server.connections)
        async with upstream_of(server, client, transport=Transport.HTTP) as upstream:
            with pytest.raises(UpstreamError) as other:
                await upstream.greet()
            assert not isinstance(other.value, OnlySse)
        asked = len(server.requests)
        async with upstream_of(server, client, transport=Transport.SSE) as upstream:
            with pytest.raises(OnlySse):
                await upstream.greet()
        assert len(server.requests) == asked


@pytest.mark.parametrize("reply", [b"", b"event: message\ndata: {}\n\n", b"data: /messages\n\n"])
async def test_any_other_stream_is_not_the_old_transport(reply: bytes) -> None:
    async def other(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "GET":
            out.write(STREAM + (chunk(reply) if reply else b"") + b"0\r\n\r\n")
        else:
            out.write(plain(b"", status="404 Not Found"))

    async with RawServer(other) as server, upstream_of(server) as upstream:
        with pytest.raises(UpstreamBadReply, match="weather answered 404"):
            await upstream.greet()


# --- what a modern server is sent ---------------------------------------------------------------------------


async def test_a_modern_server_gets_mirrored_headers_and_a_legacy_one_does_not() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(text_result(request, "hi"))

    for era in ("modern", "legacy"):
        async with RawServer(Peer(answer, era)) as server, upstream_of(server) as upstream:
            wanted = permit(upstream.server, "tools/call", name="echo")
            headers = (("Mcp-Param-Region", "eu"),)
            wanted = replace(wanted, call=replace(wanted.call, mirrored=headers))
            await upstream.forward(wanted, CALLER, unheard)
            assert server.requests[-1].headers.get("mcp-param-region") == ("eu" if era == "modern" else None)


async def test_a_modern_server_hears_what_its_caller_can_be_asked() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(text_result(request, "hi"))

    caller = Caller(Era.MODERN, "2026-07-28", "a test", "1", b'{"elicitation":{},"tasks":{}}', "warning")
    async with RawServer(Peer(answer, "modern")) as server, upstream_of(server) as upstream:
        await upstream.forward(permit(upstream.server, "tools/call", name="echo"), caller, unheard)
        meta = server.requests[-1].message["params"]["_meta"]
        assert meta["io.modelcontextprotocol/clientCapabilities"] == {"elicitation": {}}
        assert meta["io.modelcontextprotocol/logLevel"] == "warning"
        await upstream.ask(Ask.TOOLS)
        meta = server.requests[-1].message["params"]["_meta"]
        assert meta["io.modelcontextprotocol/clientCapabilities"] == {}
        assert "io.modelcontextprotocol/logLevel" not in meta
