"""One call of a caller: decide, record, forward, settle. Nothing is forwarded without its record."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from coatcheck.core.access.decide import decide
from coatcheck.core.wire import messages
from coatcheck.errors import Busy, LedgerUnavailable, UpstreamError, UpstreamTimeout
from coatcheck.model.access import Access, Nature
from coatcheck.model.call import Call, Fault, Kind, Reply, Target
from coatcheck.model.decision import Decision, Denial
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.server import Server
from coatcheck.operations.calling.forwarding import Errand, Forwarding, NotForwarded
from coatcheck.operations.calling.gate import Gate
from coatcheck.operations.calling.natures import NOT_ASKED, is_asked, learned
from coatcheck.operations.calling.patience import CallTimes
from coatcheck.operations.calling.severing import Severing
from coatcheck.operations.calling.states import States, asks_for_input
from coatcheck.operations.reaching.conversation import Conversation
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.records import Asked, Matter, Opened, Records
from coatcheck.ports import Hop, Notify

UNSETTLED: Final = "The server was called; the outcome could not be recorded; do not repeat blindly."
_OURS: Final = b'{"gateway":true}'
"""`data` of the errors that the gateway itself makes, so that they can be told from a server's."""


def not_found(kind: Kind, shown: str) -> Fault:
    """Return what a name that does not exist gets; a hidden one gets the same, byte for byte."""
    if kind is Kind.TOOL:
        return Fault(messages.INVALID_PARAMS, f"Unknown tool: {shown}")
    if kind is Kind.PROMPT:
        return Fault(messages.INVALID_PARAMS, f"Unknown prompt: {shown}")
    if kind is Kind.SERVER:
        return Fault(messages.METHOD_NOT_FOUND, "Method not found")
    return Fault(-32002, "Resource not found", messages.raw_of({"uri": shown}))


def our_fault(message: str) -> Fault:
    """Return an internal error that says it is the gateway's and not the server's."""
    return Fault(messages.INTERNAL_ERROR, message, _OURS)


class Performed(msgspec.Struct, frozen=True):
    """What the caller gets, and how the call ended. `unknown`: the server was called, the record failed."""

    reply: Reply
    outcome: Outcome


class Calls:
    """Performs calls."""

    def __init__(
        self,
        servers: Servers,
        records: Records,
        gate: Gate,
        times: CallTimes,
        states: States,
        severing: Severing | None = None,
    ) -> None:
        self._severing = severing or Severing()
        self._servers = servers
        self._records = records
        self._gate = gate
        self._times = times
        self._states = states
        self._forwarding = Forwarding(servers, times, states)

    async def perform(
        self,
        asked: Asked,
        access: Access,
        server: Server,
        target: Target,
        call: Call,
        notify: Notify,
        shown: str,
        conversation: Conversation | None = None,
    ) -> Performed:
        """Decide, record, forward and settle one call, and return what the caller gets.

        `call` is what goes to the server; `shown` is the name the caller used, for the answer to a name
        that does not exist. A legacy client's `conversation` may have a session of its own with the server.

        Raises:
            LedgerUnavailable: the record could not be made durable, and nothing was sent.
            asyncio.CancelledError: the call was cancelled; its outcome is on record.
        """
        matter = Matter(call.method, server.name, target.name, call.params.get("arguments"))
        try:
            nature = await self._nature(asked, access, server, target, conversation)
        except UpstreamError as error:
            return await self._unjudged(asked, matter, error)
        except Busy as busy:
            return await self._refused(asked, matter, our_fault(busy.message), "(limit)", busy.message)
        plain = self._states.open(call, asked.principal, server, target)

        def judge(made: Call) -> Decision:
            return decide(made, target, asked.principal, server, access, nature)

        decision = judge(call if isinstance(plain, Fault) else plain)
        if isinstance(decision, Denial):
            verdict = Verdict.DENIED if decision.visible else Verdict.HIDDEN
            await self._records.close(asked, matter, verdict, decision.rule, decision.because, Outcome.DENIED)
            return Performed(not_found(target.kind, shown), Outcome.DENIED)
        if isinstance(plain, Fault):
            return await self._refused(asked, matter, plain, "(state)", "a state that was never given")
        return await self._permitted(Errand(asked, matter, decision, judge, notify, shown, conversation))

    async def _nature(
        self, asked: Asked, access: Access, server: Server, target: Target, conversation: Conversation | None
    ) -> Nature:
        if not is_asked(target, access):
            return NOT_ASKED
        served = (conversation or self._servers).of(server)
        return await learned(target, asked.principal, served, access, self._times.quiet)

    async def _unjudged(self, asked: Asked, matter: Matter, error: UpstreamError) -> Performed:
        """Answer a call that cannot be judged, since the server does not tell what the tool does."""
        outcome = Outcome.TIMEOUT if isinstance(error, UpstreamTimeout) else Outcome.UPSTREAM_ERROR
        because = f"the server did not tell what the tool does: {error.code}"
        await self._records.close(asked, matter, Verdict.DENIED, "(lists)", because, outcome)
        return Performed(our_fault(error.message), outcome)

    async def _refused(
        self, asked: Asked, matter: Matter, fault: Fault, rule: str, because: str
    ) -> Performed:
        await self._records.close(asked, matter, Verdict.DENIED, rule, because, Outcome.DENIED)
        return Performed(fault, Outcome.DENIED)

    async def _permitted(self, errand: Errand) -> Performed:
        """Take a place among the calls under way, and make the call."""
        grant_id, server_id = errand.asked.principal.grant_id, errand.permit.server.id
        try:
            await self._gate.enter(grant_id, server_id)
        except Busy as busy:
            fault = our_fault(busy.message)
            return await self._refused(errand.asked, errand.matter, fault, "(limit)", busy.message)
        try:
            return await self._recorded(errand)
        finally:
            self._gate.leave(grant_id, server_id)

    async def _recorded(self, errand: Errand) -> Performed:
        permit = errand.permit
        uses = permit.server.uses
        opened = await self._records.open(errand.asked, errand.matter, permit.rule, permit.because, uses)
        try:
            with self._severing.under_way(permit.server):
                reply = await self._forwarding.forward(errand)
        except TimeoutError:
            sentence = (
                f"{permit.server.name} did not answer within {self._times.quiet:g} s. It may still act."
            )
            return await self._settled(opened, our_fault(sentence), Outcome.TIMEOUT, "", errand.hop)
        except Busy as busy:
            fault = our_fault(f"{busy.message} {busy.fix}.")
            return await self._settled(opened, fault, Outcome.DENIED, busy.code, errand.hop)
        except UpstreamError as error:
            outcome = Outcome.TIMEOUT if isinstance(error, UpstreamTimeout) else Outcome.UPSTREAM_ERROR
            detail = f"{error.code}: {error.detail}" if error.detail else error.code
            errand.hop.status = errand.hop.status or error.status
            return await self._settled(opened, our_fault(error.message), outcome, detail, errand.hop)
        except NotForwarded as refusal:
            unknown = refusal.fault or not_found(permit.target.kind, errand.shown)
            return await self._settled(opened, unknown, Outcome.DENIED, refusal.detail, errand.hop)
        except BaseException as end:
            await self._records.abandon(opened, end, errand.hop)
            raise
        outcome, detail = _outcome_of(permit.call.method, reply)
        return await self._settled(opened, reply, outcome, detail, errand.hop)

    async def _settled(
        self, opened: Opened, reply: Reply, outcome: Outcome, detail: str, hop: Hop
    ) -> Performed:
        """Return the reply once its outcome is on record; without a record the caller must not see it."""
        try:
            await self._records.settle(opened, outcome, detail, hop)
        except LedgerUnavailable:
            return Performed(our_fault(UNSETTLED), Outcome.UNKNOWN)
        return Performed(reply, outcome)


def _outcome_of(method: str, reply: Reply) -> tuple[Outcome, str]:
    if isinstance(reply, Fault):
        return Outcome.TOOL_ERROR, f"error {reply.code}"  # the server did answer
    if asks_for_input(reply):
        return Outcome.OK, "input required"
    if method == "tools/call" and b'"isError"' in reply.raw and b"true" in reply.raw:
        members = messages.members_of(reply.raw) or {}
        if members.get("isError") == b"true":
            return Outcome.TOOL_ERROR, ""
    return Outcome.OK, ""


def with_param(call: Call, name: str, raw: bytes) -> Call:
    """Return the call with one member of its params replaced, in its place."""
    return replace(call, params={key: raw if key == name else value for key, value in call.params.items()})
