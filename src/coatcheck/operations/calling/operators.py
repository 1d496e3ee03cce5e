"""Calls that operators make themselves, to try a server: judged, recorded and sent like any other."""

from __future__ import annotations

from typing import Final

from coatcheck.core.wire import messages
from coatcheck.errors import Missing
from coatcheck.model.call import Call, Kind, Target
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.operator import LOCAL_ACTOR, Actor
from coatcheck.operations.calling.call import Calls, Performed
from coatcheck.operations.directory import Directory
from coatcheck.operations.records import Asked
from coatcheck.operations.views import OPERATOR, OPERATORS_TOOL

ROUTE: Final = "cli"
"""The route on records of calls that operators make by command or API."""
CONSOLE: Final = "console"
"""The same of those made in the console."""


class NoServer(Missing):
    """There is no server of this name."""


class OperatorCalls:
    """Calls tools as an operator."""

    def __init__(self, directory: Directory, calls: Calls) -> None:
        self._directory = directory
        self._calls = calls

    async def call(
        self, actor: Actor, server: str, tool: str, arguments: bytes, route: str = ROUTE
    ) -> Performed:
        """Call a tool; `arguments` is a JSON object.

        Raises:
            NoServer: there is no such server.
            LedgerUnavailable: it could not be recorded, and nothing was sent.
        """
        snapshot = self._directory.snapshot
        found = snapshot.servers.get(server)
        if found is None:
            raise NoServer("there is no server of this name", fix="`coatcheck list` names the servers")
        address = "" if actor == LOCAL_ACTOR else actor.origin
        asked = Asked(_principal(actor), OPERATORS_TOOL, route, address, policy=snapshot.policy)
        call = Call(b"1", "tools/call", {"name": messages.raw_of(tool), "arguments": arguments})
        target = Target(Kind.TOOL, tool)
        return await self._calls.perform(asked, snapshot.rules, found, target, call, _ignore, tool)


def _principal(actor: Actor) -> Principal:
    """Return who calls: the account of this machine, or an operator by name."""
    if actor == LOCAL_ACTOR:
        return OPERATOR
    return Principal(f"operator:{actor.name}", frozenset(), "operator", "operator", Voucher.LOCAL)


def _ignore(notice: object) -> None:
    """Take a notice that nobody shows."""
