from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from coatcheck.errors import UpstreamError, UpstreamUnreachable
from coatcheck.model.call import Notice, Result
from coatcheck.model.era import Era
from coatcheck.model.server import Server, Transport
from coatcheck.ports import Ask, State, Upstream
from coatcheck.upstream.auto import AutoUpstream, Found, open_by_url
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.upstream import HttpUpstream
from coatcheck.upstream.sse.upstream import SseUpstream
from doubles.clients import ScriptedClient
from upstream.permits import CALLER, http_server, permit_for, unheard
from upstream.raw_servers import Peer, RawServer, Request, plain, result
from upstream.sse_servers import QUICK, OldServer

NOT_HERE = plain(b"", "text/plain", "405 Method Not Allowed")


def to(server: Server, found: Found | None = None, client: ScriptedClient | None = None) -> AutoUpstream:
    client = client or ScriptedClient(b"{}", Era.LEGACY)
    return AutoUpstream(server, Egress(True), QUICK, client, found or Found())


@asynccontextmanager
async def old_server() -> AsyncIterator[OldServer]:
    server = OldServer()
    async with server.raw:
        yield server


async def echo(request: Request, out: asyncio.StreamWriter) -> None:
    if request.line.startswith("GET"):
        out.write(NOT_HERE)
    else:
        out.write(result(request, {"of": request.method}))


def probes(server: OldServer) -> list[str]:
    """What was asked the old server's stream address, in order."""
    asked = [request for request in server.raw.requests if request.line.split()[1] == "/sse"]
    return [request.method for request in asked]


async def test_a_server_that_speaks_only_the_old_transport_is_found_out_once() -> None:
    async with old_server() as server:
        upstream = to(http_server(server.url))
        assert (await upstream.greet()).version == "2024-11-05"
        permit = permit_for(upstream.server)
        assert isinstance(await upstream.forward(permit, CALLER, unheard), Result)
        assert isinstance(await upstream.ask(Ask.TOOLS), Result)
        assert sorted(probes(server)) == ["GET", "GET", "initialize", "server/discover"]
        assert (upstream.state, upstream.status().sessions) == (State.READY, 1)
        await upstream.close(0.0)


async def test_a_first_call_is_sent_once_and_answered() -> None:
    async with old_server() as server:
        upstream = to(http_server(server.url))
        replies = await asyncio.gather(
            *(upstream.forward(permit_for(upstream.server, "n", n), CALLER, unheard) for n in range(20))
        )
        assert all(isinstance(reply, Result) for reply in replies)
        assert len(server.posted("tools/call")) == 20
        assert server.opened == 2  # one to see, one to stay
        await upstream.close(0.0)


async def test_what_was_found_spares_the_next_session_the_search() -> None:
    async with old_server() as server:
        found = Found()
        wanted = http_server(server.url)
        first, second = to(wanted, found), to(wanted, found)
        await first.greet()
        third = to(wanted, found)
        await third.greet()
        assert probes(server).count("initialize") == 1
        other = to(http_server(server.url, {"X-Key": "another reach"}), found)
        await other.greet()
        assert probes(server).count("initialize") == 2
        for upstream in (first, second, third, other):
            await upstream.close(0.0)


async def test_a_server_that_speaks_streamable_http_is_never_asked_for_an_endpoint() -> None:
    async with RawServer(Peer(echo)) as server:
        upstream = to(http_server(server.url))
        assert (await upstream.greet()).version == "2025-11-25"
        assert isinstance(await upstream.forward(permit_for(upstream.server), CALLER, unheard), Result)
        assert upstream.status().sessions == 1
        await upstream.close(0.0)


async def test_a_server_that_learned_the_new_transport_is_found_out_too() -> None:
    found = Found()
    async with old_server() as server:
        port = server.raw.port
        upstream = to(http_server(server.url), found)
        await upstream.greet()
    replaced = RawServer(Peer(echo))
    new = await asyncio.start_server(replaced._serve, "127.0.0.1", port)
    replaced._tasks = set()
    assert found.is_old(upstream.server)
    while upstream.status().sessions:
        await asyncio.sleep(0.005)
    assert isinstance(await upstream.forward(permit_for(upstream.server), CALLER, unheard), Result)
    assert not found.is_old(upstream.server)
    assert replaced.sent("tools/call")[0].line == "POST /sse HTTP/1.1"
    await upstream.close(0.0)
    new.close()


async def test_attention_goes_over_to_the_other_transport() -> None:
    async with old_server() as server:
        client = ScriptedClient(b"{}", Era.LEGACY)
        upstream = to(http_server(server.url), client=client)
        upstream.attend(True)
        await upstream.greet()
        await server.say({"method": "notifications/tools/list_changed"})
        while not client.told:
            await client.hears()
        assert client.told == [Notice("notifications/tools/list_changed", b"{}")]
        await upstream.relay(Notice("notifications/roots/list_changed", b"{}"))
        assert len(server.posted("notifications/roots/list_changed")) == 1
        await upstream.close(0.0)


async def test_one_that_speaks_nothing_is_refused_each_time_and_nothing_is_left_behind() -> None:
    async def refuse(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(plain(b"", "text/plain", "404 Not Found"))

    async with RawServer(refuse) as server:
        upstream = to(http_server(server.url))
        for _ in range(2):
            with pytest.raises(UpstreamError) as caught:
                await upstream.greet()
            assert "404" in caught.value.message
            assert not caught.value.reached
        await upstream.close(0.0)
        with pytest.raises(UpstreamUnreachable):
            await upstream.greet()


async def test_an_old_server_that_went_away_is_looked_for_in_both_ways() -> None:
    async with old_server() as server:
        upstream = to(http_server(server.url))
        await upstream.greet()
        server.opening = plain(b"", "text/plain", "404 Not Found")
        server.hang_up()
        while upstream.status().sessions:
            await asyncio.sleep(0.005)
        with pytest.raises(UpstreamError):
            await upstream.greet()
        server.opening = OldServer().opening
        assert (await upstream.greet()).version == "2024-11-05"
        await upstream.close(0.0)


async def test_the_transport_that_is_named_is_the_one_that_is_spoken() -> None:
    server = http_server("http://127.0.0.1:9/sse")
    kinds = {
        Transport.SSE: SseUpstream,
        Transport.HTTP: HttpUpstream,
        Transport.AUTO: AutoUpstream,
    }
    for transport, kind in kinds.items():
        wanted = http_server("http://127.0.0.1:9/sse", transport=transport)
        upstream: Upstream = open_by_url(wanted, Egress(True), QUICK, ScriptedClient(), Found())
        assert isinstance(upstream, kind)
        await upstream.close(0.0)
    assert replace(server) == server
