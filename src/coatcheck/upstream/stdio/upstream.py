"""Servers over stdio: one supervised child for each server, shared by all callers (MCP, transports)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from coatcheck.core import surroundings
from coatcheck.core.redact import Redactor
from coatcheck.core.wire import messages
from coatcheck.core.wire.lines import Tail, shown
from coatcheck.errors import UpstreamTimeout, UpstreamUnreachable
from coatcheck.model.call import NO_PARAMS, Call, Caller, Reply
from coatcheck.model.catalogue import Greeting
from coatcheck.model.decision import Permit
from coatcheck.model.server import Server, StdioReach
from coatcheck.ports import Ask, Clock, Notify, State, UpstreamStatus
from coatcheck.upstream.stdio.exchange import Exchange, Gone
from coatcheck.upstream.stdio.spawn import Launch
from coatcheck.upstream.stdio.starter import StdioLimits
from coatcheck.upstream.stdio.supervisor import Supervisor

DEFAULT_LIMITS: Final = StdioLimits()
_NO_ID: Final = b"0"


class StdioUpstream:
    """An `Upstream` for a server with a `StdioReach`.

    `home` becomes the child's HOME: made with mode 0700 and kept. `ambient` is the gateway's environment, of
    which the child gets what `surroundings.environment` lets through. Values of the server's own environment
    are taken out of all that it answers.
    """

    def __init__(
        self,
        server: Server,
        *,
        clock: Clock,
        home: Path,
        ambient: Mapping[str, str],
        limits: StdioLimits = DEFAULT_LIMITS,
    ) -> None:
        if not isinstance(server.reach, StdioReach):
            raise TypeError(f"{server.name} is no stdio server")
        self._server = server
        self._reach = server.reach
        self._home = home
        self._ambient = ambient
        self._limits = limits
        self._tail = Tail(limits.stderr_bytes)
        self._redactor = Redactor(surroundings.env_secrets(self._own_env()))
        self._supervisor = Supervisor(
            server.name, server.idle, clock, limits, self._prepare_launch, self._make_exchange
        )

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
            stderr=shown(self._redactor.redact_text(self._tail.text())),
        )

    async def greet(self) -> Greeting:
        """Return what the running child said of itself, starting it if need be.

        Raises:
            UpstreamError: it does not start.
        """
        self._supervisor.enter(counts=False)
        try:
            return (await self._supervisor.ready()).greeting
        finally:
            self._supervisor.leave()

    async def ask(self, what: Ask, cursor: str | None = None) -> Reply:
        """Send one of the gateway's own requests and return the reply.

        Raises:
            UpstreamError: the server fails, or does not answer in time.
        """
        params = NO_PARAMS if cursor is None else {"cursor": messages.raw_of(cursor)}
        self._supervisor.enter(counts=False)
        try:
            exchange = await self._supervisor.ready()
            async with asyncio.timeout(self._limits.ask_timeout):
                return await exchange.call(Call(_NO_ID, what.value, params), None)
        except TimeoutError:
            limit = self._limits.ask_timeout
            raise UpstreamTimeout(
                f"{self._server.name} did not answer {what.value} within {limit:g} s", reached=True
            ) from None
        finally:
            self._supervisor.leave()

    async def forward(self, permit: Permit, caller: Caller, notify: Notify) -> Reply:  # noqa: ARG002
        """Send the permitted call to the child, started if need be, and return the reply.

        How long an answer may take is the caller's to say: a cancelled `forward` is cancelled there too.

        Raises:
            UpstreamError: the server fails; `reached` tells whether it may have acted.
        """
        self._supervisor.enter(counts=True)
        try:
            exchange = self._supervisor.live or await self._supervisor.ready()
            return await exchange.call(permit.call, notify)
        finally:
            self._supervisor.leave()

    async def close(self, drain: float) -> None:
        """Take no new calls, let those in flight end within `drain` seconds, then stop the child."""
        await self._supervisor.close(drain)

    # --- what the supervisor asks for ------------------------------------------------------------------

    def _own_env(self) -> dict[str, str]:
        return {name: secret.reveal() for name, secret in self._reach.env.items()}

    def _prepare_launch(self) -> Launch:
        """Make the child's home and collect what it is given.

        Raises:
            UpstreamUnreachable: the home cannot be made.
        """
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._home.chmod(0o700)
        except OSError as error:
            raise UpstreamUnreachable(
                f"{self._server.name} could not be started: its home directory cannot be made",
                detail=f"{self._home}: {error.strerror}",
                fix="make the data directory writable",
            ) from None
        return Launch(
            self._server.name,
            self._reach.command,
            tuple(secret.reveal() for secret in self._reach.args),
            surroundings.environment(self._ambient, str(self._home), self._own_env()),
            self._reach.cwd,
        )

    def _make_exchange(self, gone: Gone) -> Exchange:
        return Exchange(self._server.name, self._tail, self._redactor, gone)
