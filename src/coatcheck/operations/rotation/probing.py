"""Probe calls are on record like any other: before a server sees them, and again when it has answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from coatcheck.core.wire import eras, messages
from coatcheck.errors import UpstreamError, UpstreamTimeout
from coatcheck.model.call import Fault, Reply
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.operator import Actor
from coatcheck.model.record import Outcome
from coatcheck.operations.reaching.served import Served
from coatcheck.operations.records import Asked, Matter, Opened, Records
from coatcheck.ports import ProbeCall

RULE: Final = "(probe)"
ROUTE: Final = "(probe)"


@dataclass(frozen=True, slots=True)
class Probing:
    """Makes probe calls on behalf of an operator. `wrong`: with an obviously wrong secret."""

    records: Records
    actor: Actor

    async def call(self, served: Served, probe: ProbeCall, *, wrong: bool) -> Reply:
        """Make a probe call once its record is durable, and settle it.

        Raises:
            UpstreamError: the server failed.
            LedgerUnavailable: the record cannot be written, and nothing was sent; or the outcome cannot.
        """
        name = f"operator:{self.actor.name}"
        principal = Principal(name, frozenset(), "operator", "operator", Voucher.LOCAL)
        asked = Asked(principal, eras.OURSELVES, ROUTE, self.actor.origin)
        matter = Matter("tools/call", served.server.name, probe.tool, probe.arguments)
        because = "a wrong secret is tried" if wrong else "a credential is verified"
        opened = await self.records.open(asked, matter, RULE, because)
        try:
            reply = await served.upstream.ask(probe)
        except UpstreamError as error:
            outcome = Outcome.TIMEOUT if isinstance(error, UpstreamTimeout) else Outcome.UPSTREAM_ERROR
            await self.records.settle(opened, outcome, error.code)
            raise
        except BaseException as end:
            await self.records.abandon(opened, end)
            raise
        await self._settle(opened, reply)
        return reply

    async def _settle(self, opened: Opened, reply: Reply) -> None:
        outcome, detail = Outcome.OK, ""
        if isinstance(reply, Fault):
            outcome, detail = Outcome.TOOL_ERROR, f"error {reply.code}"
        elif (messages.members_of(reply.raw) or {}).get("isError") == b"true":
            outcome = Outcome.TOOL_ERROR
        await self.records.settle(opened, outcome, detail)
