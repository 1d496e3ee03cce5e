"""Access tokens on the streams that stay open: HTTP+SSE, the GET stream, subscriptions."""

from __future__ import annotations

import asyncio

from coatcheck.core.wire import eras
from coatcheck.model.call import Result
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, Server, Transport
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.sse.upstream import SseUpstream
from doubles.authorization import ACCEPTED, World
from doubles.clients import gateway_itself
from doubles.clock import HandClock
from doubles.oauth import ID, Desk
from upstream.permits import permit_for, unheard
from upstream.raw_servers import INITIALIZED, STREAM, Request, chunk, event


class OldWorld(World):
    """The same, where the MCP server speaks HTTP+SSE."""

    stream: asyncio.StreamWriter | None = None

    async def _mcp(self, request: Request, out: asyncio.StreamWriter) -> None:
        header = request.headers.get("authorization", "")
        if self.tokens.get(header.removeprefix("Bearer "), 0.0) <= self.clock.monotonic():
            await super()._mcp(request, out)
        elif not request.body:
            self.seen.append(header)
            self.stream = out
            out.write(STREAM + chunk(b"event: endpoint\ndata: /mcp\n\n"))
        else:
            self.seen.append(header)
            out.write(ACCEPTED)
            self._say(request)

    def _say(self, request: Request) -> None:
        assert self.stream is not None
        result = INITIALIZED if request.method == "initialize" else {"content": [], "echo": self.seen[-1]}
        if "id" in request.message:
            self.stream.write(chunk(event({"jsonrpc": "2.0", "id": request.id, "result": result})))


async def test_every_message_of_the_old_transport_has_the_token_of_its_moment() -> None:
    clock = HandClock()
    async with OldWorld(clock, life=10.0) as world:
        desk = await Desk(world, clock).open()
        await desk.connect()
        world.seen.clear()
        reach = HttpReach(Secret(world.url), world.url, {}, Transport.SSE, ID)
        server = Server(ID, "github", reach)
        upstream = SseUpstream(server, desk.egress, HttpLimits(bearers=desk.bearers), gateway_itself())
        first = f"Bearer {desk.held.access.reveal()}"
        found = await upstream.forward(permit_for(server), eras.OURSELVES, unheard)
        assert isinstance(found, Result)
        assert b"[redacted]" in found.raw
        assert set(world.seen) == {first}
        clock.advance(11.0)  # the stream stays, and what is posted has another token
        world.seen.clear()
        found = await upstream.forward(permit_for(server), eras.OURSELVES, unheard)
        assert isinstance(found, Result)
        assert b"planted" not in found.raw
        assert world.seen == [f"Bearer {desk.held.access.reveal()}"]
        assert world.seen != [first]
        await upstream.close(1.0)
        await desk.close()


async def test_a_stream_is_opened_with_a_new_token_where_the_old_is_refused() -> None:
    clock = HandClock()
    async with World(clock, life=1000.0) as world:
        desk = await Desk(world, clock).open()
        await desk.connect()
        upstream = desk.upstream()
        clock.advance(100.0)
        world.tokens.clear()
        upstream.attend(True)
        async with asyncio.timeout(5):
            while len(desk.world.grants("refresh_token")) < 1 or world.seen[-1] == world.seen[0]:
                await asyncio.sleep(0.01)
        await upstream.close(1.0)
        assert len(desk.world.grants("refresh_token")) == 1
        await desk.close()
