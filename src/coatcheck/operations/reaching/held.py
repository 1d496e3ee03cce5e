"""Stands in for an upstream that is not there yet: calls wait for it, for a bounded time."""

from __future__ import annotations

import asyncio
from typing import Final

from coatcheck.errors import Busy, UpstreamUnreachable
from coatcheck.model.call import Caller, Notice, Reply
from coatcheck.model.catalogue import Greeting
from coatcheck.model.decision import Permit
from coatcheck.model.server import Server
from coatcheck.ports import Ask, Client, Hop, Notify, ProbeCall, State, Upstream, UpstreamStatus

QUEUE_SECONDS: Final = 10.0
"""How long a call waits for a server that is being restarted."""


class Held:
    """An `Upstream` of a server that cannot run twice: calls wait until `release` gives the real one.

    `owned` by what is released: then closing this closes that, too; else somebody else will.
    """

    def __init__(self, server: Server, client: Client, seconds: float = QUEUE_SECONDS) -> None:
        self.client = client
        self._server = server
        self._seconds = seconds
        self._inner: Upstream | None = None
        self._owned = False
        self._there: asyncio.Future[Upstream] = asyncio.get_running_loop().create_future()
        self._attended = False
        self._closed = False

    @property
    def server(self) -> Server:
        """The record this was opened for."""
        return self._server

    @property
    def released(self) -> bool:
        """Whether the real one is there, or will never be."""
        return self._there.done()

    @property
    def state(self) -> State:
        """Where the server stands."""
        if self._inner is not None:
            return self._inner.state
        return State.STOPPED if self._closed else State.STARTING

    def release(self, upstream: Upstream, *, owned: bool) -> None:
        """Send everything that waits, and all that comes, to an upstream."""
        self._inner, self._owned = upstream, owned
        if owned and self._attended:
            upstream.attend(True)
        if not self._there.done():
            self._there.set_result(upstream)

    def status(self) -> UpstreamStatus:
        """Say how the server does, without asking it."""
        return self._inner.status() if self._inner is not None else UpstreamStatus(self.state)

    async def greet(self) -> Greeting:
        """Return what the server said of itself."""
        return await (self._inner or await self._wait()).greet()

    async def ask(self, what: Ask | ProbeCall, cursor: str | None = None) -> Reply:
        """Send one of the gateway's own requests."""
        return await (self._inner or await self._wait()).ask(what, cursor)

    async def forward(self, permit: Permit, caller: Caller, notify: Notify, hop: Hop | None = None) -> Reply:
        """Send the permitted call as soon as the server is there.

        Raises:
            Busy: it was not there in time, and saw nothing of the call.
            UpstreamError: the server fails.
        """
        try:
            upstream = self._inner or await self._wait()
        except _NotYet as late:
            raise Busy(late.message, fix=late.fix) from None
        return await upstream.forward(permit, caller, notify, hop)

    async def relay(self, notice: Notice) -> None:
        """Send the server a notification of the client's, if it is there to hear it."""
        if self._inner is not None:
            await self._inner.relay(notice)

    def attend(self, wanted: bool) -> None:
        """Say whether anyone waits to hear of changes."""
        self._attended = wanted
        if self._inner is not None and self._owned:
            self._inner.attend(wanted)

    def kill(self) -> None:
        """End a child at once."""
        if self._inner is not None and self._owned:
            self._inner.kill()

    async def close(self, drain: float) -> None:
        """Let go of what is owned; what still waits is refused."""
        self._closed = True
        if not self._there.done():
            self._there.set_exception(UpstreamUnreachable(f"{self._server.name} was just changed; try again"))
            self._there.exception()  # nobody may be waiting, and that is fine
        if self._inner is not None and self._owned:
            await self._inner.close(drain)

    async def _wait(self) -> Upstream:
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.shield(self._there)
        except TimeoutError:
            raise _NotYet(
                f"{self._server.name} is being restarted with another credential, and was not back within "
                f"{self._seconds:g} s.",
                fix="call again",
            ) from None


class _NotYet(UpstreamUnreachable):
    """The server was not there in time."""


class Holding:
    """Implements `ports.Upstreams`: opens what stands in for an upstream."""

    def __init__(self, seconds: float = QUEUE_SECONDS) -> None:
        self._held: Held | None = None
        self._seconds = seconds

    @property
    def opened(self) -> Held:
        """What was opened."""
        assert self._held is not None, "nothing was opened"  # noqa: S101
        return self._held

    def open(self, server: Server, client: Client) -> Upstream:
        """Return an upstream that waits for the real one."""
        self._held = Held(server, client, self._seconds)
        return self._held
