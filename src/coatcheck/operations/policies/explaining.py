"""Explains what a call would get: each layer, each part of each policy that was looked at, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Final, Protocol

from msgspec.structs import replace

from coatcheck.core.access.decide import by_scope_and_file, decide
from coatcheck.core.access.facts import facts_of
from coatcheck.core.access.rules import Policies
from coatcheck.core.pins import refusal
from coatcheck.core.policy.conditions.arguments import NO_ARGUMENTS, Arguments
from coatcheck.core.policy.judging import ReadyPolicy, judge
from coatcheck.core.policy.trying.tracing import trace
from coatcheck.errors import Missing, Unfit
from coatcheck.model.access import Nature
from coatcheck.model.call import Call, Kind, Target
from coatcheck.model.decision import Decision, Denial
from coatcheck.model.grant import Principal
from coatcheck.model.policy import Number, Per
from coatcheck.model.server import Server
from coatcheck.model.stored_policy import UseKind
from coatcheck.model.verdict import Facts, Judgement, Scene, Step
from coatcheck.operations.calling.limiting import Limiting
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.policies.showing import use_views, uses_of, words_of
from coatcheck.operations.registry.access import principal_of
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.showing import AnyGrant, all_grants, find_grant, state_of
from coatcheck.operations.registry.serving.servers import Probe

MOST_GRANTS: Final = 50
_FILE: Final = "the grant's scope and the access rules"
_HELD: Final = "what was accepted of the tool"
_ASK: Final = "ask about another: `coatcheck grant list` names those that are good"
_METHODS: Final = {Kind.TOOL: "tools/call", Kind.PROMPT: "prompts/get", Kind.RESOURCE: "resources/read"}
_NO_NATURE: Final = (Nature.AMBIGUOUS, "")


class Known(Probe, Protocol):
    """Connects to servers in use, to see what they have."""

    async def prompts(self, name: str) -> frozenset[str] | None:
        """Return the prompts of a server by name; None if it gave no list."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A call that nobody makes. Of a subject, every grant that is not over is asked about; or one `grant`.

    `name` is the server's own name of a tool or prompt, or a URI. `arguments` is the raw JSON object that it
    would get, None for none. `at` None: now.
    """

    server: str
    kind: Kind
    name: str
    subject: str = ""
    grant: str = ""
    arguments: bytes | None = None
    address: str = ""
    client: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How a limit stands now: `taken` of `most`, in a window of `per` (None: at one time).

    `takes` is what the call would take, and `fits` whether so much is left.
    """

    rule: str
    takes: Number
    taken: Number
    most: Number
    per: Per | None
    fits: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: `called` says what it is and why it applies; `steps` are its parts that cover the call.

    `limits` are those that count the call.
    """

    called: str
    judgement: Judgement
    rule: str
    because: str
    steps: tuple[Step, ...] = ()
    limits: tuple[LimitUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a call with one grant would get. `grant` empty: with an unrestricted one of the subject.

    `message` is what the caller is told who is denied. `nature` is what the tool does, and `why` that is
    thought; of prompts and resources nothing is.
    """

    subject: str
    grant: str
    nature: Nature
    why: str
    judgement: Judgement
    rule: str
    because: str
    message: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that nobody makes, with one grant."""

    snapshot: Snapshot
    principal: Principal
    server: Server
    target: Target
    nature: Nature
    why: str
    scene: Scene
    raw: bytes | None
    held_back: bool
    """Whether nobody may see or call it until an operator accepts it."""

    def made(self) -> Call:
        """Return it as a call is decided on."""
        params = {} if self.raw is None else {"arguments": self.raw}
        return Call(b"0", _METHODS[self.target.kind], params)

    def facts(self) -> Facts:
        """Return what policies look at."""
        return facts_of(self.principal, self.server, self.scene)


class Explaining:
    """Answers by the same decision as a call gets, and by what is taken of limits now; nothing is taken."""

    def __init__(self, desk: Desk, known: Known, limiting: Limiting) -> None:
        self._desk = desk
        self._known = known
        self._limiting = limiting

    async def explain(self, asked: Question) -> tuple[Explanation, ...]:
        """Return one explanation for each grant that is asked about.

        Raises:
            Missing: no such server, tool, prompt or grant.
            Unfit: neither a subject nor a grant, or both, are named; the address is none; or whoever calls
                would not be let in at all.
        """
        if bool(asked.subject) is bool(asked.grant):
            raise Unfit("name a subject or a grant", fix="give one of the two")
        scene = self._scene(asked)
        nature, why, held_back = await self._nature(asked)
        snapshot = self._desk.snapshot
        server = snapshot.find_server(asked.server)
        if server is None:
            raise _no_server(asked.server)
        target, raw = Target(asked.kind, asked.name), asked.arguments
        return tuple(
            self._explained(_Call(snapshot, principal, server, target, nature, why, scene, raw, held_back))
            for principal in self._principals(snapshot, asked)
        )

    # --- what is asked about -------------------------------------------------------------------------------

    async def _nature(self, asked: Question) -> tuple[Nature, str, bool]:
        found = self._desk.snapshot.find_server(asked.server)
        if found is None:
            raise _no_server(asked.server)
        try:
            if asked.kind is Kind.TOOL:
                return await self._nature_of_tool(found.name, asked.name)
            prompts = await self._known.prompts(found.name) if asked.kind is Kind.PROMPT else None
        except KeyError:  # it went away meanwhile
            raise _no_server(asked.server) from None
        if prompts is not None and asked.name not in prompts:
            raise Missing(f"{found.name} has no prompt {asked.name!r}", fix="ask it for its prompts")
        return *_NO_NATURE, False

    async def _nature_of_tool(self, server: str, name: str) -> tuple[Nature, str, bool]:
        tools, failing = await self._known.tools(server)
        for tool in tools:
            if tool.entry.name == name:
                return tool.nature, tool.why, tool.held_back
        if failing:
            return Nature.AMBIGUOUS, "the server gave no list of its tools", False
        raise Missing(f"{server} has no tool {name!r}", fix=f"run: coatcheck tools {server}")

    def _principals(self, snapshot: Snapshot, asked: Question) -> list[Principal]:
        now = self._desk.now()
        grants: list[AnyGrant | None]
        if asked.grant:
            grant = find_grant(snapshot, asked.grant, now)
            if state_of(snapshot, grant, now).is_over:
                raise Unfit(f"the grant {asked.grant} is over, and whoever has it is not let in", fix=_ASK)
            grants = [grant]
        else:
            owned = (one for one in all_grants(snapshot) if one.subject == asked.subject)
            grants = [one for one in owned if not state_of(snapshot, one, now).is_over]
            if len(grants) > MOST_GRANTS:
                raise Unfit(
                    f"{asked.subject} has {len(grants)} grants, and {MOST_GRANTS} are explained at once",
                    fix="name one with --grant",
                )
        found = [principal_of(snapshot, one, asked.subject) for one in grants or [None]]
        stored = snapshot.registry.subjects.get(found[0].subject)
        if stored is not None and stored.disabled:
            raise Unfit(f"the subject {stored.name} is disabled, and is not let in", fix=_ASK)
        return found

    def _scene(self, asked: Question) -> Scene:
        try:
            address = str(ip_address(asked.address)) if asked.address else ""
        except ValueError:
            raise Unfit(f"{asked.address!r} is no IP address", fix="give one such as 10.1.2.3") from None
        return Scene(address, asked.client, asked.at or self._desk.now())

    # --- the answer ----------------------------------------------------------------------------------------

    def _explained(self, call: _Call) -> Explanation:
        decision = self._decided(call)
        judgement, message = Judgement.ALLOWED, ""
        if isinstance(decision, Denial):
            judgement = Judgement.DENIED if decision.visible else Judgement.HIDDEN
            message = decision.message if decision.visible else ""
        principal, rule, because = call.principal, decision.rule, decision.because
        layers = (_file_layer(call), *_held_layers(call), *self._policy_layers(call))
        who = principal.subject, principal.grant_label
        return Explanation(*who, call.nature, call.why, judgement, rule, because, message, layers)

    def _decided(self, call: _Call) -> Decision:
        """Decide as for a call, and let no more through than limits have left."""
        principal, server, rules = call.principal, call.server, call.snapshot.rules
        decision = decide(
            call.made(),
            call.target,
            principal,
            server,
            rules,
            call.nature,
            call.scene,
            held_back=call.held_back,
        )
        if isinstance(decision, Denial):
            return decision
        return self._limiting.would_deny(decision.charges, rules.policies, principal.subject) or decision

    def _policy_layers(self, call: _Call) -> Iterator[Layer]:
        policies, facts = call.snapshot.rules.policies, call.facts()
        arguments = NO_ARGUMENTS if call.raw is None else Arguments(call.raw)
        for ready in dict.fromkeys(policies.on(call.principal, call.server).policies):
            verdict = judge([ready], call.target, call.nature, facts, arguments)
            steps = trace(ready, call.target, call.nature, facts, arguments)
            limits = self._limits(steps, policies, call.principal.subject)
            judgement, rule, because = verdict.judgement, verdict.rule, verdict.because
            denial = self._limiting.would_deny(verdict.charges, policies, call.principal.subject)
            if denial is not None:  # only what is allowed is charged
                judgement, rule, because = Judgement.DENIED, denial.rule, denial.because
            where = _where(call.snapshot, ready, call.principal, call.server)
            called = f"the policy {ready.policy.name} on {where}"
            yield Layer(called, judgement, rule, because, _told(steps, limits), limits)

    def _limits(self, steps: Sequence[Step], policies: Policies, subject: str) -> tuple[LimitUse, ...]:
        return tuple(
            LimitUse(
                step.rule,
                step.charge.amount,
                self._limiting.used(step.charge),
                step.charge.most,
                step.charge.per,
                fits=self._limiting.would_deny([step.charge], policies, subject) is None,
            )
            for step in steps
            if step.charge is not None
        )


def _told(steps: Sequence[Step], limits: Sequence[LimitUse]) -> tuple[Step, ...]:
    """Return steps that say how their limits stand."""
    by_rule = {one.rule: one for one in limits}

    def told(step: Step) -> Step:
        use = by_rule.get(step.rule)
        if use is None:
            return step
        because = f"this call takes {use.takes}, and {use.taken} of {use.most} are taken"
        return replace(step, because=because, denies=not use.fits)

    return tuple(map(told, steps))


def _no_server(name: str) -> Missing:
    return Missing(f"there is no server {name!r} in use", fix="`coatcheck list` names the servers")


def _file_layer(call: _Call) -> Layer:
    ruling = by_scope_and_file(call.target, call.principal, call.server, call.snapshot.access, call.nature)
    judgement = Judgement.ALLOWED if ruling.allow else Judgement.HIDDEN
    return Layer(_FILE, judgement, ruling.rule, ruling.because)


def _held_layers(call: _Call) -> Iterator[Layer]:
    if call.held_back:
        ruling = refusal.held_back(call.target, call.server)
        yield Layer(_HELD, Judgement.HIDDEN, ruling.rule, ruling.because)


def _where(snapshot: Snapshot, ready: ReadyPolicy, principal: Principal, server: Server) -> str:
    """Return what of a call a policy is used on, in words."""
    of = {
        UseKind.EVERYTHING: {""},
        UseKind.ROLE: set(principal.roles),
        UseKind.GRANT: {principal.grant_id},
        UseKind.SERVER: {str(server.id)},
    }
    uses = [
        use
        for use in uses_of(snapshot, ready.policy.name)
        if use.of in of[use.kind] and use.server in {None, server.id}
    ]
    told = map(words_of, use_views(snapshot, uses))
    return " and ".join(told) or f"the server {server.name}, as its default"
