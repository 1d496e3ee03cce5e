"""One call of a caller: decide, record, forward, settle. Nothing is forwarded without its record."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from coatcheck.core.decide import decide
from coatcheck.core.wire import messages
from coatcheck.errors import Busy, LedgerUnavailable, UpstreamError, UpstreamTimeout
from coatcheck.model.access import AccessList
from coatcheck.model.call import Call, Fault, Kind, Reply, Target
from coatcheck.model.decision import Denial, Permit
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.server import Server
from coatcheck.operations.gate import Gate
from coatcheck.operations.records import Asked, Matter, Opened, Records
from coatcheck.operations.servers import Servers
from coatcheck.ports import Notify

UNSETTLED: Final = "The server was called; the outcome could not be recorded; do not repeat blindly."
_OURS: Final = b'{"gateway":true}'
"""`data` of the errors that the gateway itself makes, so that they can be told from a server's."""


_NO_SUCH_RESOURCE: Final = frozenset({-32002, messages.INVALID_PARAMS})
"""What servers of either era answer to the URI of nothing; a read has no other params to be invalid."""


def not_found(kind: Kind, shown: str) -> Fault:
    """Return what a name that does not exist gets; a hidden one gets the same, byte for byte."""
    if kind is Kind.TOOL:
        return Fault(messages.INVALID_PARAMS, f"Unknown tool: {shown}")
    if kind is Kind.PROMPT:
        return Fault(messages.INVALID_PARAMS, f"Unknown prompt: {shown}")
    return Fault(-32002, "Resource not found", messages.raw_of({"uri": shown}))


def our_fault(message: str) -> Fault:
    """Return an internal error that says it is the gateway's and not the server's."""
    return Fault(messages.INTERNAL_ERROR, message, _OURS)


@dataclass(frozen=True, slots=True)
class Performed:
    """What the caller gets, and how the call ended. `unknown`: the server was called, the record failed."""

    reply: Reply
    outcome: Outcome


class Calls:
    """Performs calls."""

    def __init__(self, servers: Servers, records: Records, gate: Gate, timeout: float) -> None:
        self._servers = servers
        self._records = records
        self._gate = gate
        self._timeout = timeout

    async def perform(
        self,
        asked: Asked,
        access: AccessList,
        server: Server,
        target: Target,
        call: Call,
        notify: Notify,
        shown: str,
    ) -> Performed:
        """Decide, record, forward and settle one call, and return what the caller gets.

        `call` is what goes to the server; `shown` is the name the caller used, for the answer to a name
        that does not exist.

        Raises:
            LedgerUnavailable: the record could not be made durable, and nothing was sent.
            asyncio.CancelledError: the call was cancelled; its outcome is on record.
        """
        matter = Matter(call.method, server.name, target.name, call.params.get("arguments"))
        decision = decide(call, target, asked.principal, server, access)
        if isinstance(decision, Denial):
            verdict = Verdict.DENIED if decision.visible else Verdict.HIDDEN
            await self._records.close(asked, matter, verdict, decision.rule, decision.because, Outcome.DENIED)
            return Performed(not_found(target.kind, shown), Outcome.DENIED)
        try:
            await self._gate.enter(asked.principal.grant_id, server.id)
        except Busy as busy:
            await self._records.close(asked, matter, Verdict.DENIED, "(limit)", busy.message, Outcome.DENIED)
            return Performed(our_fault(busy.message), Outcome.DENIED)
        try:
            return await self._permitted(asked, matter, decision, notify, shown)
        finally:
            self._gate.leave(asked.principal.grant_id, server.id)

    async def _permitted(
        self, asked: Asked, matter: Matter, permit: Permit, notify: Notify, shown: str
    ) -> Performed:
        opened = await self._records.open(asked, matter, permit.rule, permit.because)
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._forward(permit, asked, notify)
        except TimeoutError:
            sentence = f"{permit.server.name} did not answer within {self._timeout:g} s. It may still act."
            return await self._settled(opened, our_fault(sentence), Outcome.TIMEOUT, "")
        except UpstreamError as error:
            outcome = Outcome.TIMEOUT if isinstance(error, UpstreamTimeout) else Outcome.UPSTREAM_ERROR
            detail = f"{error.code}: {error.detail}" if error.detail else error.code
            return await self._settled(opened, our_fault(error.message), outcome, detail)
        except BaseException as end:
            await self._records.abandon(opened, end)
            raise
        if reply is None:
            unknown = not_found(permit.target.kind, shown)
            return await self._settled(opened, unknown, Outcome.DENIED, "no such name")
        outcome, detail = _outcome_of(permit.call.method, reply)
        return await self._settled(opened, reply, outcome, detail)

    async def _forward(self, permit: Permit, asked: Asked, notify: Notify) -> Reply | None:
        """Return the server's reply, or None if there is no such thing.

        A server's own words for that are not passed on: a hidden name must get what an unknown one gets.
        Resources are read without being listed, since templates and links lead to more than a list holds.
        """
        reading = permit.call.method == "resources/read"
        if not reading and not await self._servers.of(permit.server).offers(permit.target):
            return None
        reply = await self._servers.of(permit.server).upstream.forward(permit, asked.caller, notify)
        if reading and isinstance(reply, Fault) and reply.code in _NO_SUCH_RESOURCE:
            return None
        return reply

    async def _settled(self, opened: Opened, reply: Reply, outcome: Outcome, detail: str) -> Performed:
        """Return the reply once its outcome is on record; without a record the caller must not see it."""
        try:
            await self._records.settle(opened, outcome, detail)
        except LedgerUnavailable:
            return Performed(our_fault(UNSETTLED), Outcome.UNKNOWN)
        return Performed(reply, outcome)


def _outcome_of(method: str, reply: Reply) -> tuple[Outcome, str]:
    if isinstance(reply, Fault):
        return Outcome.TOOL_ERROR, f"error {reply.code}"  # the server did answer
    if method == "tools/call" and b'"isError"' in reply.raw:
        members = messages.members_of(reply.raw) or {}
        if members.get("isError") == b"true":
            return Outcome.TOOL_ERROR, ""
    return Outcome.OK, ""


def with_param(call: Call, name: str, raw: bytes) -> Call:
    """Return the call with one member of its params replaced, in its place."""
    return replace(call, params={key: raw if key == name else value for key, value in call.params.items()})
