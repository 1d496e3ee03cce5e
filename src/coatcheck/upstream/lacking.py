"""The upstream of a server that cannot be used for now: it says why, and connects to nothing."""

from __future__ import annotations

from typing import NoReturn

from coatcheck.errors import UpstreamUnreachable
from coatcheck.model.call import Caller, Notice, Reply
from coatcheck.model.catalogue import Greeting
from coatcheck.model.decision import Permit
from coatcheck.model.server import Server
from coatcheck.ports import Ask, Hop, Notify, ProbeCall, State, UpstreamStatus


class LackingUpstream:
    """Implements `ports.Upstream` for a server that is `lacking` something, such as a credential."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def server(self) -> Server:
        """The record this was opened for."""
        return self._server

    @property
    def state(self) -> State:
        """Always failing."""
        return State.FAILING

    def status(self) -> UpstreamStatus:
        """Say what it lacks."""
        return UpstreamStatus(state=State.FAILING, last_error=self._server.lacking)

    async def greet(self) -> Greeting:
        """Refuse: nothing is connected to."""
        self._refuse()

    async def ask(self, what: Ask | ProbeCall, cursor: str | None = None) -> Reply:  # noqa: ARG002 - nothing is sent
        """Refuse as `greet`."""
        self._refuse()

    async def forward(
        self,
        permit: Permit,  # noqa: ARG002 - nothing is sent
        caller: Caller,  # noqa: ARG002
        notify: Notify,  # noqa: ARG002
        hop: Hop | None = None,  # noqa: ARG002
    ) -> Reply:
        """Refuse as `greet`."""
        self._refuse()

    async def relay(self, notice: Notice) -> None:  # noqa: ARG002 - nothing is sent
        """Refuse as `greet`."""
        self._refuse()

    def attend(self, wanted: bool) -> None:
        """Nothing changes in what is not there."""

    def kill(self) -> None:
        """Nothing runs."""

    async def close(self, drain: float) -> None:
        """Nothing is open."""

    def _refuse(self) -> NoReturn:
        raise UpstreamUnreachable(
            self._server.lacking,
            fix="ask an operator to give the credential a version, or to point the server at another",
        )
