"""One call of a caller: decide, record, forward, settle. Nothing is forwarded without its record."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from coatcheck.core.access.arguments import arguments_of
from coatcheck.core.access.decide import asks_nature, decide
from coatcheck.core.access.rules import Rules
from coatcheck.core.wire import messages
from coatcheck.errors import Busy, LedgerUnavailable, UpstreamError, UpstreamTimeout
from coatcheck.model.access import Nature
from coatcheck.model.call import Call, Fault, Kind, Reply, Result, Target
from coatcheck.model.catalogue import Catalogue
from coatcheck.model.decision import Decision, Denial
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.server import Server
from coatcheck.operations.calling.forwarding import Errand, Forwarding, NotForwarded
from coatcheck.operations.calling.gate import Gate
from coatcheck.operations.calling.limiting import Limiting, Taking
from coatcheck.operations.calling.natures import NOT_ASKED, learned
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


def refusal_of(denial: Denial, method: str, target: Target, shown: str) -> Reply:
    """Return what a caller gets who is denied: as for an unknown name, or where it may know, one sentence.

    A model reads the result of a tool, and not errors; prompts and resources have errors only.
    """
    if not denial.visible:
        return not_found(target.kind, shown)
    if method != "tools/call":
        return Fault(messages.INVALID_PARAMS, denial.message, _OURS)
    content = messages.raw_of([{"type": "text", "text": denial.message}])
    return Result(messages.object_of({"content": content, "isError": b"true"}))


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
        limiting: Limiting,
        severing: Severing | None = None,
    ) -> None:
        self._severing = severing or Severing()
        self._servers = servers
        self._records = records
        self._gate = gate
        self._times = times
        self._states = states
        self._limiting = limiting
        self._forwarding = Forwarding(servers, times, states)

    async def perform(
        self,
        asked: Asked,
        rules: Rules,
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
        matter = Matter(call.method, server.name, target.name, arguments_of(call))
        try:
            nature = await self._nature(asked, rules, server, target, conversation)
        except UpstreamError as error:
            return await self._unjudged(asked, matter, error)
        except Busy as busy:
            return await self._refused(asked, matter, our_fault(busy.message), "(limit)", busy.message)
        plain = self._states.open(call, asked.principal, server, target)
        scene = self._records.scene(asked)
        held_back = self._is_held_back(server, target, conversation)

        def judge(made: Call) -> Decision:
            return decide(made, target, asked.principal, server, rules, nature, scene, held_back=held_back)

        decision = judge(call if isinstance(plain, Fault) else plain)
        if isinstance(decision, Denial):
            return await self._denied(asked, matter, decision, server, target, shown, conversation)
        if isinstance(plain, Fault):
            return await self._refused(asked, matter, plain, "(state)", "a state that was never given")
        errand = Errand(asked, matter, decision, judge, notify, shown, conversation)
        return await self._permitted(errand, rules)

    async def _nature(
        self, asked: Asked, rules: Rules, server: Server, target: Target, conversation: Conversation | None
    ) -> Nature:
        if not asks_nature(target, asked.principal, server, rules):
            return NOT_ASKED
        served = (conversation or self._servers).of(server)
        return await learned(target, asked.principal, server, served, rules, self._times.quiet)

    def _catalogue(self, server: Server, conversation: Conversation | None) -> Catalogue | None:
        """Return the lists at hand that the caller is shown; nothing is opened or asked for them."""
        own = conversation.own() if conversation is not None else ()
        served = next((one for one in own if one.server.id == server.id), self._servers.find(server.id))
        return served.catalogue if served is not None else None

    def _is_held_back(self, server: Server, target: Target, conversation: Conversation | None) -> bool:
        if target.kind is not Kind.TOOL:
            return False
        catalogue = self._catalogue(server, conversation)
        return catalogue is not None and target.name in catalogue.held_back

    async def _denied(
        self,
        asked: Asked,
        matter: Matter,
        denial: Denial,
        server: Server,
        target: Target,
        shown: str,
        conversation: Conversation | None,
    ) -> Performed:
        if denial.visible and not self._may_be_listed(server, target, conversation):
            denial = replace(denial, visible=False)
        verdict = Verdict.DENIED if denial.visible else Verdict.HIDDEN
        rule, because, basis = denial.rule, denial.because, denial.basis
        told = denial.message if denial.visible else ""
        await self._records.close(asked, matter, verdict, rule, because, Outcome.DENIED, basis, told)
        return Performed(refusal_of(denial, matter.method, target, shown), Outcome.DENIED)

    async def _unjudged(self, asked: Asked, matter: Matter, error: UpstreamError) -> Performed:
        """Answer a call that cannot be judged, since the server does not tell what the tool does."""
        outcome = Outcome.TIMEOUT if isinstance(error, UpstreamTimeout) else Outcome.UPSTREAM_ERROR
        because = f"the server did not tell what the tool does: {error.code}"
        await self._records.close(
            asked, matter, Verdict.DENIED, "(lists)", because, outcome, told=error.message
        )
        return Performed(our_fault(error.message), outcome)

    async def _refused(
        self, asked: Asked, matter: Matter, fault: Fault, rule: str, because: str
    ) -> Performed:
        told = fault.message if fault.message != because else ""
        await self._records.close(asked, matter, Verdict.DENIED, rule, because, Outcome.DENIED, told=told)
        return Performed(fault, Outcome.DENIED)

    def _may_be_listed(self, server: Server, target: Target, conversation: Conversation | None) -> bool:
        """Tell whether a name can be on a list, by the lists at hand; of others a denial tells nobody."""
        if target.kind is not Kind.TOOL and target.kind is not Kind.PROMPT:
            return True
        catalogue = self._catalogue(server, conversation)
        if catalogue is None:
            return True
        return target.name in (catalogue.tools if target.kind is Kind.TOOL else catalogue.prompts)

    async def _permitted(self, errand: Errand, rules: Rules) -> Performed:
        """Take a place among the calls under way and what limits have left, and make the call."""
        permit = errand.permit
        grant_id, server_id = errand.asked.principal.grant_id, permit.server.id
        try:
            await self._gate.enter(grant_id, server_id)
        except Busy as busy:
            fault = our_fault(busy.message)
            return await self._refused(errand.asked, errand.matter, fault, "(limit)", busy.message)
        try:
            if not permit.charges:
                return await self._recorded(errand, "")
            taking = self._limiting.reserve(permit.charges, rules.policies, errand.asked.principal.subject)
            if isinstance(taking, Denial):
                return await self._denied(
                    errand.asked,
                    errand.matter,
                    taking,
                    permit.server,
                    permit.target,
                    errand.shown,
                    errand.conversation,
                )
            return await self._limited(errand, taking)
        finally:
            self._gate.leave(grant_id, server_id)

    async def _limited(self, errand: Errand, taking: Taking) -> Performed:
        """Make a call that takes of limits; what it took is given back if the server was never reached."""
        try:
            return await self._recorded(errand, taking.charges)
        finally:
            self._limiting.end(taking, reached=errand.hop.request_bytes > 0)

    async def _recorded(self, errand: Errand, charges: str) -> Performed:
        permit = errand.permit
        opened = await self._records.open(
            errand.asked,
            errand.matter,
            permit.rule,
            permit.because,
            permit.server.uses,
            permit.basis,
            charges,
        )
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
