"""What somebody may do at one server, judged as calls are: each tool, and all of them in one word."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from typing import Final

from coatcheck.core.access.decide import foresee, rehearse
from coatcheck.core.policy.conditions.arguments import UNRECORDED
from coatcheck.core.policy.judging import ReadyPolicy
from coatcheck.core.policy.saying import looks_at_arguments_only
from coatcheck.model.access import Access, AccessList, Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.declaration import Provider
from coatcheck.model.grant import Principal
from coatcheck.model.server import Server
from coatcheck.model.verdict import Judgement, PolicyVerdict, Scene
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.access import principal_of
from coatcheck.operations.registry.granting.showing import AnyGrant
from coatcheck.operations.views import ToolView

TURN: Final = 50
"""Steps of judging until others have their turn: calls come first."""

DISABLED: Final = PolicyVerdict(Judgement.HIDDEN, "(subject)", "the subject is disabled")
_WITHOUT: Final = PolicyVerdict(Judgement.HIDDEN, "(no grant)", "no live grant lets them in")
_UNSEEN: Final = Scene(None, None, None)


class Reach(StrEnum):
    """What somebody may do at a server, in one word."""

    ALL = "all"
    """Every tool that it has."""
    WRITE = "write"
    """Some tools, and one of them may change something."""
    READ = "read"
    """Some tools, all of which only read."""
    DENIED = "denied"
    """None, and they see at least one that they may not call."""
    HIDDEN = "hidden"
    """None, and they cannot tell that there are any."""
    NONE = "none"
    """No grant of theirs reaches it."""
    UNKNOWN = "unknown"
    """They reach it, and nobody knows its tools yet."""

    @property
    def is_some(self) -> bool:
        """Whether some calls get through."""
        return self in {Reach.ALL, Reach.WRITE, Reach.READ}


class Barrier(StrEnum):
    """Why somebody reaches nothing at a server, whatever its tools."""

    DISABLED = "disabled"
    NO_GRANT = "no grant"
    """They have none that is not over."""
    SCOPE = "scope"
    """None of theirs reaches the server."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What somebody may do at a server: so many of its tools, and if it is none, the rule that says so."""

    reach: Reach
    allowed: int = 0
    tools: int = 0
    rule: str = ""
    because: str = ""


_BARRED: Final[Mapping[Barrier, Cell]] = {
    Barrier.DISABLED: Cell(Reach.NONE, rule=DISABLED.rule, because=DISABLED.because),
    Barrier.NO_GRANT: Cell(Reach.NONE, rule=_WITHOUT.rule, because=_WITHOUT.because),
    Barrier.SCOPE: Cell(Reach.NONE, rule="(scope)", because="no live grant of theirs reaches it"),
}


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who may come in by any of these; `disabled`: they are refused all the same."""

    subject: str
    principals: tuple[Principal, ...]
    disabled: bool = False


def who_of(snapshot: Snapshot, subject: str, grants: Iterable[AnyGrant], *, proxied: bool) -> Who:
    """Return somebody with these grants; `proxied`: a proxy may vouch for them, too."""
    principals = [principal_of(snapshot, grant, subject) for grant in grants]
    if proxied:
        principals.append(principal_of(snapshot, None, subject))
    stored = snapshot.registry.subjects.get(subject)
    return Who(subject, tuple(principals), stored is not None and stored.disabled)


def is_proxied(snapshot: Snapshot) -> bool:
    """Tell whether a proxy vouches for people, who then need no grant."""
    return Provider.FORWARDED in snapshot.declared.declaration.identity.providers


def barrier_of(who: Who, server: Server) -> Barrier | None:
    """Return why somebody reaches nothing at a server; None: rules and policies decide."""
    if who.disabled:
        return Barrier.DISABLED
    if not who.principals:
        return Barrier.NO_GRANT
    return None if any(one.may_reach(server.id) for one in who.principals) else Barrier.SCOPE


def best_of(verdicts: Iterable[PolicyVerdict]) -> PolicyVerdict:
    """Return what is known of calls by the best of some ways in: the first that lets through, if one does."""
    return reduce(_kinder, verdicts, _WITHOUT)


Ways = Mapping[Hashable, Principal]
"""Ways in by what the rules look at of them: none of them is alike to another."""


class Judge:
    """Judges for one page, by one snapshot: what is alike is judged once.

    Whoever it is that has very many ways in: others have their turn after every few steps.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.steps = 0
        self.snapshot = snapshot
        self._by_subject, self._roles = _names_subjects(snapshot.access), _roles_named(snapshot.access)
        self._aware: dict[ReadyPolicy, bool] = {}
        self._cells: dict[Hashable, Cell] = {}

    async def ways(self, who: Who, server: Server) -> Ways:
        """Return the ways in of somebody, one for all that are alike, in their order."""
        found: dict[Hashable, Principal] = {}
        for one in who.principals:
            found.setdefault(self.key_of(one, server), one)
            await self._step()
        return found

    def key_of(self, one: Principal, server: Server) -> Hashable:
        """Return all that the judgement on a way in depends on."""
        policies = self.snapshot.rules.policies.on(one, server).policies
        is_aware = any(self._is_aware(policy) for policy in policies)
        roles = one.roles if is_aware else one.roles & self._roles
        subject = one.subject if is_aware or self._by_subject else ""
        grant = (one.grant_id, one.grant_label) if is_aware else None
        return one.may_reach(server.id), roles, one.tools, policies, subject, grant

    async def cell(self, who: Who, server: Server, tools: Sequence[ToolView] | None) -> Cell:
        """Return what somebody may do at a server, in one word; `tools` None: nobody knows them yet."""
        barrier = barrier_of(who, server)
        if barrier is not None:
            return _BARRED[barrier]
        if tools is None:
            return Cell(Reach.UNKNOWN, because="the server has not told its tools yet")
        near = tuple(one for one in who.principals if one.may_reach(server.id))
        ways = await self.ways(Who(who.subject, near), server)
        key = server.id, tuple(ways)
        found = self._cells.get(key)
        if found is None:
            found = self._cells[key] = await self._judged(ways, server, tools)
        return found

    async def each(self, ways: Ways, server: Server, tool: ToolView) -> Sequence[PolicyVerdict]:
        """Return what is known of calls of a tool by each way in, in their order."""
        found = []
        for one in ways.values():
            found.append(_verdict(self.snapshot, one, server, tool))
            await self._step()
        return found

    async def best(self, ways: Ways, server: Server, tool: ToolView) -> PolicyVerdict:
        """Return what is known of calls of a tool by the best of these ways in."""
        best = _WITHOUT
        for one in ways.values():
            best = _kinder(best, _verdict(self.snapshot, one, server, tool))
            await self._step()
            if best.judgement.lets_through:
                break
        return best

    async def _judged(self, ways: Ways, server: Server, tools: Sequence[ToolView]) -> Cell:
        allowed, writes = 0, False
        refusal: PolicyVerdict | None = None
        for tool in tools:
            verdict = await self.best(ways, server, tool)
            if verdict.judgement.lets_through:
                allowed += 1
                writes = writes or tool.nature is not Nature.READ
            else:
                refusal = verdict if refusal is None else _kinder(refusal, verdict)
        if refusal is None:
            reach = Reach.ALL if tools else Reach.HIDDEN
            return Cell(reach, allowed, len(tools), "", "" if tools else "the server has no tools")
        if allowed:
            reach = Reach.WRITE if writes else Reach.READ
        else:
            reach = Reach.DENIED if refusal.judgement is Judgement.DENIED else Reach.HIDDEN
        return Cell(reach, allowed, len(tools), refusal.rule, refusal.because)

    async def _step(self) -> None:
        self.steps += 1
        if self.steps % TURN == 0:
            await asyncio.sleep(0)

    def _is_aware(self, policy: ReadyPolicy) -> bool:
        """Tell whether a policy looks at anything of a caller; on whom it is used is told by `on`."""
        found = self._aware.get(policy)
        if found is None:
            clauses = (clause for one in policy.policy.entries for clause in (*one.allow_if, *one.deny_if))
            found = not all(looks_at_arguments_only(clause.condition) for clause in clauses)
            self._aware[policy] = found
        return found


def _kinder(best: PolicyVerdict, verdict: PolicyVerdict) -> PolicyVerdict:
    """Return which of two is told of: what lets through, then what is seen; else the first."""
    if best.judgement.lets_through:
        return best
    if best is _WITHOUT or verdict.judgement.lets_through:
        return verdict
    is_seen = best.judgement is Judgement.HIDDEN and verdict.judgement is Judgement.DENIED
    return verdict if is_seen else best


def _names_subjects(access: Access) -> bool:
    """Tell whether who it is matters to the rules of the file, beside the roles."""
    if isinstance(access, AccessList):
        return any(rule.subjects for rule in access.rules)
    return bool(access.subjects)


def _roles_named(access: Access) -> frozenset[str]:
    """Return the roles that the rules of the file are about."""
    if isinstance(access, AccessList):
        return frozenset().union(*(rule.roles for rule in access.rules))
    return frozenset(access.roles)


def _verdict(snapshot: Snapshot, principal: Principal, server: Server, tool: ToolView) -> PolicyVerdict:
    target = Target(Kind.TOOL, tool.entry.name)
    if tool.held_back:
        ruling = foresee(target, principal, server, snapshot.rules, tool.nature, held_back=True)
        judgement = Judgement.ALLOWED if ruling.allow else Judgement.HIDDEN
        return PolicyVerdict(judgement, ruling.rule, ruling.because)
    return rehearse(target, principal, server, snapshot.rules, tool.nature, _UNSEEN, UNRECORDED)
