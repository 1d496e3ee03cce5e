"""Explains what a call would get: each layer, each part of each policy that was looked at, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coatcheck.core.access.decide import by_scope_and_file, decide
from coatcheck.core.access.rules import Applied
from coatcheck.core.policy.arguments import NO_ARGUMENTS, Arguments
from coatcheck.core.policy.judging import ReadyPolicy, judge
from coatcheck.core.policy.tracing import trace
from coatcheck.errors import Missing, Unfit
from coatcheck.model.access import Nature
from coatcheck.model.call import Call, Kind, Target
from coatcheck.model.decision import Permit
from coatcheck.model.grant import Principal
from coatcheck.model.server import Server
from coatcheck.model.stored_policy import UseKind
from coatcheck.model.verdict import Facts, Judgement, Scene, Step
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.policies.showing import use_view, uses_of, words_of
from coatcheck.operations.registry.access import principal_of
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.showing import AnyGrant, all_grants, find_grant, state_of
from coatcheck.operations.registry.serving.servers import Probe
from coatcheck.operations.registry.views import GrantState

MOST_GRANTS = 50
_OVER = frozenset({GrantState.REVOKED, GrantState.EXPIRED})
_FILE = "the grant's scope and the access rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A call that nobody makes. Of a subject, every grant that is not over is asked about; or one `grant`.

    `arguments` is the raw JSON object that the tool would get, None for none.
    """

    server: str
    tool: str
    subject: str = ""
    grant: str = ""
    arguments: bytes | None = None
    address: str = ""
    client: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: `called` says what it is and why it applies; `steps` are its parts that cover the call."""

    called: str
    judgement: Judgement
    rule: str
    because: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a call with one grant would get. `grant` empty: with an unrestricted one of the subject.

    `message` is what the caller is told who is denied. `nature` is what the tool does, and `why` that is
    thought.
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


class Explaining:
    """Answers by the same decision as a call gets. Limits are told, and not whether they are used up."""

    def __init__(self, desk: Desk, probe: Probe) -> None:
        self._desk = desk
        self._probe = probe

    async def explain(self, asked: Question) -> tuple[Explanation, ...]:
        """Return one explanation for each grant that is asked about.

        Raises:
            Missing: no such server, tool or grant.
            Unfit: neither a subject nor a grant, or both, are named.
        """
        if bool(asked.subject) is bool(asked.grant):
            raise Unfit("name a subject or a grant", fix="give one of the two")
        nature, why = await self._nature(asked)
        snapshot = self._desk.snapshot
        server = snapshot.find_server(asked.server)
        if server is None:
            raise _no_server(asked.server)
        target = Target(Kind.TOOL, asked.tool)
        return tuple(
            _explained(
                snapshot, principal, server, target, (nature, why), self._scene(asked), asked.arguments
            )
            for principal in self._principals(snapshot, asked)
        )

    async def _nature(self, asked: Question) -> tuple[Nature, str]:
        found = self._desk.snapshot.find_server(asked.server)
        if found is None:
            raise _no_server(asked.server)
        try:
            tools, failing = await self._probe.tools(found.name)
        except KeyError:  # it went away meanwhile
            raise _no_server(asked.server) from None
        for tool in tools:
            if tool.entry.name == asked.tool:
                return tool.nature, tool.why
        if failing:
            return Nature.AMBIGUOUS, "the server gave no list of its tools"
        raise Missing(f"{found.name} has no tool {asked.tool!r}", fix=f"run: coatcheck tools {found.name}")

    def _principals(self, snapshot: Snapshot, asked: Question) -> list[Principal]:
        now = self._desk.now()
        grants: list[AnyGrant | None]
        if asked.grant:
            grants = [find_grant(snapshot, asked.grant, now)]
        else:
            owned = (one for one in all_grants(snapshot) if one.subject == asked.subject)
            grants = [one for one in owned if state_of(snapshot, one, now) not in _OVER]
        return [principal_of(snapshot, one, asked.subject) for one in grants[:MOST_GRANTS] or [None]]

    def _scene(self, asked: Question) -> Scene:
        return Scene(asked.address, asked.client, self._desk.now())


def _no_server(name: str) -> Missing:
    return Missing(f"there is no server {name!r} in use", fix="`coatcheck list` names the servers")


def _explained(
    snapshot: Snapshot,
    principal: Principal,
    server: Server,
    target: Target,
    nature: tuple[Nature, str],
    scene: Scene,
    raw: bytes | None,
) -> Explanation:
    call = Call(b"0", "tools/call", {} if raw is None else {"arguments": raw})
    decision = decide(call, target, principal, server, snapshot.rules, nature[0], scene)
    if isinstance(decision, Permit):
        judgement, message = Judgement.ALLOWED, ""
    else:
        judgement = Judgement.DENIED if decision.visible else Judgement.HIDDEN
        message = decision.message if decision.visible else ""
    layers = (
        _file_layer(snapshot, principal, server, target, nature[0]),
        *_policy_layers(snapshot, principal, server, target, nature[0], scene, raw),
    )
    rule, because = decision.rule, decision.because
    return Explanation(
        principal.subject, principal.grant_label, *nature, judgement, rule, because, message, layers
    )


def _file_layer(
    snapshot: Snapshot, principal: Principal, server: Server, target: Target, nature: Nature
) -> Layer:
    ruling = by_scope_and_file(target, principal, server, snapshot.access, nature)
    judgement = Judgement.ALLOWED if ruling.allow else Judgement.HIDDEN
    return Layer(_FILE, judgement, ruling.rule, ruling.because)


def _policy_layers(
    snapshot: Snapshot,
    principal: Principal,
    server: Server,
    target: Target,
    nature: Nature,
    scene: Scene,
    raw: bytes | None,
) -> Iterator[Layer]:
    applied: Applied = snapshot.rules.policies.on(principal, server)
    arguments = NO_ARGUMENTS if raw is None else Arguments(raw)
    facts = Facts(
        principal.subject,
        principal.roles,
        principal.grant_id,
        principal.grant_label,
        str(server.id),
        scene.at,
        scene.client,
        scene.address,
    )
    for ready in dict.fromkeys(applied.policies):
        verdict = judge([ready], target, nature, facts, arguments)
        steps = trace(ready, target, nature, facts, arguments)
        called = f"the policy {ready.policy.name} on {_where(snapshot, ready, principal, server)}"
        yield Layer(called, verdict.judgement, verdict.rule, verdict.because, steps)


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
    told = [words_of(use_view(snapshot, use)) for use in uses]
    return " and ".join(told) or f"the server {server.name}, as its default"
