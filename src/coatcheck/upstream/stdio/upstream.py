"""Servers over stdio: one supervised child, shared by all callers or of one session (MCP, transports)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from coatcheck.core.wire import eras
from coatcheck.core.wire.lines import shown
from coatcheck.core.wire.standing import STANDING
from coatcheck.errors import UpstreamTimeout
from coatcheck.model.call import Caller, Notice, Reply
from coatcheck.model.catalogue import Greeting
from coatcheck.model.decision import Permit
from coatcheck.model.era import Era
from coatcheck.model.server import Server, StdioReach
from coatcheck.ports import Ask, Client, Clock, Hop, Notify, ProbeCall, State, UpstreamStatus
from coatcheck.upstream.duplex.lasting import note
from coatcheck.upstream.own import own_call
from coatcheck.upstream.stdio.recipe import Recipe
from coatcheck.upstream.stdio.starter import StdioLimits
from coatcheck.upstream.stdio.supervisor import Supervisor

DEFAULT_LIMITS: Final = StdioLimits()


class StdioUpstream:
    """An `Upstream` for a server with a `StdioReach`, on behalf of `client`.

    `home` becomes the child's HOME: made with mode 0700 and kept. `ambient` is the gateway's environment, of
    which the child gets what `surroundings.environment` lets through. Values of the server's own environment
    are taken out of all that it answers.
    """

    def __init__(
        self,
        server: Server,
        *,
        client: Client,
        clock: Clock,
        home: Path,
        ambient: Mapping[str, str],
        limits: StdioLimits = DEFAULT_LIMITS,
    ) -> None:
        if not isinstance(server.reach, StdioReach):
            raise TypeError(f"{server.name} is no stdio server")
        self._server = server
        self._limits = limits
        self._recipe = Recipe(server.name, server.reach, client, home, ambient, limits.stderr_bytes)
        self._supervisor = Supervisor(self._recipe, server.idle, clock, limits)
        self._said: tuple[int, tuple[str, ...]] = (0, ())

    @property
    def server(self) -> Server:
        """The record this was opened for."""
        return self._server

    @property
    def state(self) -> State:
        """Where the server stands."""
        return self._supervisor.state

    def status(self) -> UpstreamStatus:
        """Say how the server does, without asking it."""
        supervisor = self._supervisor
        child = supervisor.live.child if supervisor.live is not None else None
        return UpstreamStatus(
            state=supervisor.state,
            last_error=supervisor.last_error,
            in_flight=supervisor.in_flight,
            restarts=supervisor.restarts,
            pid=child.pid if child is not None else None,
            stderr=self._complaints(),
        )

    def _complaints(self) -> tuple[str, ...]:
        """Return what the child said last; made anew only when it said more: a page may show many servers."""
        tail = self._recipe.tail
        if self._said[0] != tail.taken:
            self._said = tail.taken, shown(self._recipe.redactor.redact_text(tail.text()))
        return self._said[1]

    async def greet(self) -> Greeting:
        """Return what the running child said of itself, starting it if need be.

        Raises:
            UpstreamError: it does not start.
        """
        self._supervisor.enter(counts=False)
        try:
            return (await self._supervisor.ready()).exchange.greeting
        finally:
            self._supervisor.leave()

    async def ask(self, what: Ask | ProbeCall, cursor: str | None = None) -> Reply:
        """Send one of the gateway's own requests and return the reply.

        Raises:
            UpstreamError: the server fails, or does not answer in time.
        """
        call = own_call(what, cursor)
        self._supervisor.enter(counts=False)
        try:
            exchange = (await self._supervisor.ready()).exchange
            async with asyncio.timeout(self._limits.ask_timeout):
                return await exchange.call(call, eras.OURSELVES, own=True)
        except TimeoutError:
            limit = self._limits.ask_timeout
            raise UpstreamTimeout(
                f"{self._server.name} did not answer {call.method} within {limit:g} s", reached=True
            ) from None
        finally:
            self._supervisor.leave()

    async def forward(self, permit: Permit, caller: Caller, notify: Notify, hop: Hop | None = None) -> Reply:
        """Send the permitted call to the child, started if need be, and return the reply.

        How long an answer may take is the caller's to say: a cancelled `forward` is cancelled there too.

        Raises:
            UpstreamError: the server fails; `reached` tells whether it may have acted.
        """
        self._supervisor.enter(counts=True)
        try:
            talk = self._supervisor.live or await self._supervisor.ready()
            reply = await talk.exchange.call(permit.call, caller, notify, hop=hop)
        finally:
            self._supervisor.leave()
        if permit.call.method in STANDING:
            note(self._recipe.client.standing, permit.call, reply)
        return reply

    async def relay(self, notice: Notice) -> None:
        """Send a running child a notification of the client's; one of the modern era expects none.

        One that does not run needs to be told nothing: it will ask when it is started.

        Raises:
            UpstreamError: the child does not read.
        """
        talk = self._supervisor.live
        if talk is not None and talk.exchange.greeting.era is Era.LEGACY:
            await talk.exchange.deliver(notice.method, notice.params)

    def attend(self, wanted: bool) -> None:
        """Say whether anyone waits to hear of changes; a child is not kept alive for that."""
        self._recipe.attention.want(wanted)

    def kill(self) -> None:
        """End the child at once."""
        self._supervisor.kill()

    async def close(self, drain: float) -> None:
        """Take no new calls, let those in flight end within `drain` seconds, then stop the child."""
        await self._supervisor.close(drain)
