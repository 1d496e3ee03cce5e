"""A server over HTTP+SSE as an `Upstream`: one session at a time, opened on first use (MCP 2024-11-05)."""

from __future__ import annotations

from coatcheck.core.wire import eras
from coatcheck.core.wire.standing import STANDING
from coatcheck.model.call import Call, Caller, Notice, Reply
from coatcheck.model.catalogue import Greeting
from coatcheck.model.decision import Permit
from coatcheck.model.server import Server
from coatcheck.ports import Ask, Client, Hop, Notify, ProbeCall, State, UpstreamStatus
from coatcheck.upstream.duplex.lasting import note
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.own import own_call
from coatcheck.upstream.sse.keeper import Keeper
from coatcheck.upstream.sse.session import SessionForgotten


class SseUpstream:
    """Speaks for `client` in sessions of its own; a new session is told what the last one was told to keep.

    When the stream ends, requests under way are lost: their answers would have come on it. A request is sent
    a second time in one case only: the server refused it since it did not know the session.
    """

    def __init__(self, server: Server, egress: Egress, limits: HttpLimits, client: Client) -> None:
        self._server = server
        self._client = client
        self._keeper = Keeper(server, egress, limits, client)

    @property
    def server(self) -> Server:
        """The record this was opened for."""
        return self._server

    @property
    def state(self) -> State:
        """Where the server stands."""
        return self._keeper.state

    def status(self) -> UpstreamStatus:
        """Say how the server does, without asking it."""
        keeper = self._keeper
        return UpstreamStatus(
            keeper.state, keeper.last_error, keeper.in_flight, sessions=int(keeper.session is not None)
        )

    async def greet(self) -> Greeting:
        """Return what the server said of itself, connecting first if need be.

        Raises:
            UpstreamError: it cannot be reached, or speaks another transport.
        """
        with self._keeper.use():
            return (await self._keeper.ready()).exchange.greeting

    async def ask(self, what: Ask | ProbeCall, cursor: str | None = None) -> Reply:
        """Send one of the gateway's own requests and return the reply.

        Raises:
            UpstreamError: the server fails.
        """
        return await self._request(own_call(what, cursor), eras.OURSELVES, None, own=True)

    async def forward(self, permit: Permit, caller: Caller, notify: Notify, hop: Hop | None = None) -> Reply:
        """Send the permitted call under an id of our own and return the server's reply.

        Raises:
            UpstreamError: the server fails; `reached` tells whether it may have acted.
        """
        reply = await self._request(permit.call, caller, notify, own=False, hop=hop)
        if permit.call.method in STANDING:
            note(self._client.standing, permit.call, reply)
        return reply

    async def relay(self, notice: Notice) -> None:
        """Send a server that we have a session with a notification of the client's.

        Without a session there is nothing to tell: the server will ask in the next.

        Raises:
            UpstreamError: the server does not accept it.
        """
        session = self._keeper.session
        if session is not None:
            with self._keeper.use():
                await session.exchange.deliver(notice.method, notice.params)

    def attend(self, wanted: bool) -> None:
        """Say whether anyone waits to hear of changes; while so, there is a session at all times."""
        self._keeper.attend(wanted)

    def kill(self) -> None:
        """Do nothing: the server is no child of ours."""

    async def close(self, drain: float) -> None:
        """Take no new calls, let those in flight end within `drain` seconds, then let go of everything."""
        await self._keeper.close(drain)

    async def _request(
        self, call: Call, caller: Caller, notify: Notify | None, *, own: bool, hop: Hop | None = None
    ) -> Reply:
        with self._keeper.use():
            session = self._keeper.session or await self._keeper.ready()
            try:
                return await session.exchange.call(call, caller, notify, own=own, hop=hop)
            except SessionForgotten:
                self._keeper.forget(session)
            session = await self._keeper.ready()
            return await session.exchange.call(call, caller, notify, own=own, hop=hop)
