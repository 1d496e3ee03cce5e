"""What somebody may do at one server, judged as calls are: each tool, and all of them in one word."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coatcheck.core.access.decide import foresee, rehearse
from coatcheck.core.policy.conditions.arguments import UNRECORDED
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

_UNSEEN: Final = Scene(None, None, None)
_LET_THROUGH: Final = frozenset({Judgement.ALLOWED, Judgement.UNDECIDED})
_WITHOUT: Final = PolicyVerdict(Judgement.HIDDEN, "(no grant)", "no live grant lets them in")
_DISABLED: Final = PolicyVerdict(Judgement.HIDDEN, "(subject)", "the subject is disabled")


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


@dataclass(frozen=True, slots=True)
class Cell:
    """What somebody may do at a server: so many of its tools, and if it is none, the rule that says so."""

    reach: Reach
    allowed: int = 0
    tools: int = 0
    rule: str = ""
    because: str = ""


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


def verdict_on(snapshot: Snapshot, who: Who, server: Server, tool: ToolView) -> PolicyVerdict:
    """Return what is known of calls of a tool by the best of somebody's ways in."""
    if who.disabled:
        return _DISABLED
    best = _WITHOUT
    for principal in who.principals:
        verdict = _verdict(snapshot, principal, server, tool)
        if verdict.judgement in _LET_THROUGH:
            return verdict
        if best is _WITHOUT or (best.judgement is Judgement.HIDDEN and verdict.judgement is Judgement.DENIED):
            best = verdict
    return best


def is_let_through(verdict: PolicyVerdict) -> bool:
    """Tell whether some calls get through: with some arguments, from somewhere, at some time."""
    return verdict.judgement in _LET_THROUGH


class Alike:
    """Cells that were judged for one page: who is alike to the rules gets what another got."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._policies = snapshot.rules.policies
        self._by_subject = _names_subjects(snapshot.access)
        self._cells: dict[Hashable, Cell] = {}

    def key_of(self, who: Who, server: Server) -> Hashable:
        """Return what the access of somebody depends on; None: policies look at who it is."""
        if any(self._policies.on(one, server).policies for one in who.principals):
            return None
        ways = frozenset((one.roles, one.tools) for one in who.principals)
        return server.id, ways, who.subject if self._by_subject else ""

    def find(self, key: Hashable) -> Cell | None:
        """Return what was judged before."""
        return self._cells.get(key) if key is not None else None

    def keep(self, key: Hashable, cell: Cell) -> Cell:
        """Keep what was judged, and return it."""
        if key is not None:
            self._cells[key] = cell
        return cell


def _names_subjects(access: Access) -> bool:
    """Tell whether who it is matters to the rules of the file, beside the roles."""
    if isinstance(access, AccessList):
        return any(rule.subjects for rule in access.rules)
    return bool(access.subjects)


def cell_of(
    snapshot: Snapshot, who: Who, server: Server, tools: Sequence[ToolView] | None, alike: Alike
) -> Cell:
    """Return what somebody may do at a server, in one word; `tools` None: nobody knows them yet."""
    if who.disabled:
        return Cell(Reach.NONE, rule=_DISABLED.rule, because=_DISABLED.because)
    near = tuple(one for one in who.principals if one.may_reach(server.id))
    if not near:
        because = "no live grant of theirs reaches it" if who.principals else _WITHOUT.because
        return Cell(Reach.NONE, rule="(scope)", because=because)
    if tools is None:
        return Cell(Reach.UNKNOWN, because="the server has not told its tools yet")
    who = Who(who.subject, near)
    key = alike.key_of(who, server)
    return alike.find(key) or alike.keep(key, _judged(snapshot, who, server, tools))


def _judged(snapshot: Snapshot, who: Who, server: Server, tools: Sequence[ToolView]) -> Cell:
    allowed, writes = 0, False
    refusal: PolicyVerdict | None = None
    for tool in tools:
        verdict = verdict_on(snapshot, who, server, tool)
        if is_let_through(verdict):
            allowed += 1
            writes = writes or tool.nature is not Nature.READ
        elif refusal is None or (
            refusal.judgement is Judgement.HIDDEN and verdict.judgement is Judgement.DENIED
        ):
            refusal = verdict
    if refusal is None:
        reach = Reach.ALL if tools else Reach.HIDDEN
        return Cell(reach, allowed, len(tools), "", "" if tools else "the server has no tools")
    if allowed:
        reach = Reach.WRITE if writes else Reach.READ
    else:
        reach = Reach.DENIED if refusal.judgement is Judgement.DENIED else Reach.HIDDEN
    return Cell(reach, allowed, len(tools), refusal.rule, refusal.because)


def _verdict(snapshot: Snapshot, principal: Principal, server: Server, tool: ToolView) -> PolicyVerdict:
    target = Target(Kind.TOOL, tool.entry.name)
    if tool.held_back:
        ruling = foresee(target, principal, server, snapshot.rules, tool.nature, held_back=True)
        judgement = Judgement.ALLOWED if ruling.allow else Judgement.HIDDEN
        return PolicyVerdict(judgement, ruling.rule, ruling.because)
    return rehearse(target, principal, server, snapshot.rules, tool.nature, _UNSEEN, UNRECORDED)
