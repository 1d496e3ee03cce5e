"""A server behind a URL whose transport nobody named: streamable HTTP, or HTTP+SSE if that is all it has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from coatcheck.errors import UpstreamError
from coatcheck.model.call import Caller, Notice, Reply
from coatcheck.model.catalogue import Greeting
from coatcheck.model.decision import Permit
from coatcheck.model.server import HttpReach, Server, Transport
from coatcheck.ports import Ask, Client, Hop, Notify, ProbeCall, State, Upstream, UpstreamStatus
from coatcheck.upstream.http.handshake import OnlySse
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.upstream import HttpUpstream
from coatcheck.upstream.sse.keeper import NoEndpoint
from coatcheck.upstream.sse.session import NoSuchStream
from coatcheck.upstream.sse.upstream import SseUpstream

Answer = TypeVar("Answer")


class Found:
    """Which servers were found to speak HTTP+SSE only, so that no session after the first has to try."""

    def __init__(self) -> None:
        self._old: dict[UUID, HttpReach] = {}

    def is_old(self, server: Server) -> bool:
        """Tell whether this server, reached like this, was found to speak HTTP+SSE only."""
        return self._old.get(server.id) == server.reach

    def note(self, server: Server, *, old: bool) -> None:
        """Take note of what a server was found to speak."""
        if old and isinstance(server.reach, HttpReach):
            self._old[server.id] = server.reach
        else:
            self._old.pop(server.id, None)


def open_by_url(server: Server, egress: Egress, limits: HttpLimits, client: Client, found: Found) -> Upstream:
    """Return an upstream for a server with an `HttpReach`, by the transport that it names, if it does."""
    reach = server.reach
    if reach.transport is Transport.SSE:
        return SseUpstream(server, egress, limits, client)
    if reach.transport is Transport.HTTP:
        return HttpUpstream(server, egress, limits, client)
    return AutoUpstream(server, egress, limits, client, found)


class AutoUpstream:
    """An `Upstream` that changes its transport when the server turns out to speak the other one.

    Both are told apart while nothing of a caller's was sent yet, so what failed is done again.
    """

    def __init__(
        self, server: Server, egress: Egress, limits: HttpLimits, client: Client, found: Found
    ) -> None:
        self._server = server
        self._egress = egress
        self._limits = limits
        self._client = client
        self._found = found
        self._attended = False
        self._closed = False
        self._leaving: set[asyncio.Task[None]] = set()
        self._inner: HttpUpstream | SseUpstream = self._make(old=found.is_old(server))

    @property
    def server(self) -> Server:
        """The record this was opened for."""
        return self._server

    @property
    def state(self) -> State:
        """Where the server stands."""
        return self._inner.state

    def status(self) -> UpstreamStatus:
        """Say how the server does, without asking it."""
        return self._inner.status()

    async def greet(self) -> Greeting:
        """Return what the server said of itself, connecting first if need be.

        Raises:
            UpstreamError: it cannot be reached, or speaks neither transport.
        """
        return await self._through(lambda inner: inner.greet())

    async def ask(self, what: Ask | ProbeCall, cursor: str | None = None) -> Reply:
        """Send one of the gateway's own requests and return the reply.

        Raises:
            UpstreamError: the server fails.
        """
        return await self._through(lambda inner: inner.ask(what, cursor))

    async def forward(self, permit: Permit, caller: Caller, notify: Notify, hop: Hop | None = None) -> Reply:
        """Send the permitted call and return the server's reply.

        Raises:
            UpstreamError: the server fails.
        """
        return await self._through(lambda inner: inner.forward(permit, caller, notify, hop))

    async def relay(self, notice: Notice) -> None:
        """Send the server a notification of the client's.

        Raises:
            UpstreamError: the server does not accept it.
        """
        await self._inner.relay(notice)

    def attend(self, wanted: bool) -> None:
        """Say whether anyone waits to hear of changes."""
        self._attended = wanted
        self._inner.attend(wanted)

    def kill(self) -> None:
        """Do nothing: the server is no child of ours."""

    async def close(self, drain: float) -> None:
        """Take no new calls, let those in flight end within `drain` seconds, then let go of everything."""
        self._closed = True
        await self._inner.close(drain)
        if self._leaving:
            await asyncio.wait(self._leaving)

    # --- the change ----------------------------------------------------------------------------------------

    async def _through(self, use: Callable[[Upstream], Awaitable[Answer]]) -> Answer:
        inner = self._inner
        try:
            return await use(inner)
        except NoEndpoint as error:  # it took its whole time: the other transport is for the next call
            self._change(inner, error)
            raise
        except (OnlySse, NoSuchStream) as error:
            self._change(inner, error)
        return await use(self._inner)

    def _change(self, inner: HttpUpstream | SseUpstream, error: UpstreamError) -> None:
        """Turn to the other transport, unless another call did so already.

        Raises:
            UpstreamError: `error`, where this upstream is closed.
        """
        if self._closed:
            raise error
        if inner is not self._inner:
            return
        old = isinstance(inner, HttpUpstream)
        self._found.note(self._server, old=old)
        self._inner = self._make(old=old)
        self._inner.attend(self._attended)
        leaving = asyncio.get_running_loop().create_task(inner.close(0.0))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _make(self, *, old: bool) -> HttpUpstream | SseUpstream:
        make = SseUpstream if old else HttpUpstream
        return make(self._server, self._egress, self._limits, self._client)
