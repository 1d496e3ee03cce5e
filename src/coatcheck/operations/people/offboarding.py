"""Seeing somebody off: what would end with them, what did, and what does not end by itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from coatcheck.model.change import Change, ChangeFilter, ObjectKind
from coatcheck.model.operator import Actor
from coatcheck.operations.cutting import Open
from coatcheck.operations.directory import FORWARDED
from coatcheck.operations.people.leftovers import Leftovers, leftovers_of
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.showing import AnyGrant, all_grants, view_of
from coatcheck.operations.registry.subjects import Subjects
from coatcheck.operations.registry.views import Ended, GrantState, GrantView, SubjectView

MOST_KEPT: Final = 500
"""How many endings are remembered with what they cut off."""
_OVER: Final = frozenset({GrantState.REVOKED, GrantState.EXPIRED})
_AT_ONCE: Final = timedelta(seconds=2)
"""Within this time before somebody's end, a grant revoked by the same operator ended with them."""
_ENDINGS: Final = frozenset({"subject.offboard", "subject.disable"})
_CHANGES: Final = 50


@dataclass(frozen=True, slots=True)
class WouldEnd:
    """What would end with somebody, right now: grants that are not over, and what is open by them."""

    grants: Sequence[GrantView]
    open: Open


@dataclass(frozen=True, slots=True)
class Report:
    """What ended with somebody, and what did not. `change` is who ended them and when; None: nobody has.

    `grants` ended with them, `before` had ended already, `left` are not over: they are refused for as long as
    their owner is disabled. `cut` counts what was cut off, and `browsers` where they were signed out; both
    are None once the gateway was started again.
    """

    subject: SubjectView
    change: Change | None
    grants: Sequence[GrantView]
    before: Sequence[GrantView]
    left: Sequence[GrantView]
    cut: Ended | None
    browsers: int | None
    leftovers: Leftovers


class Offboarding:
    """Ends people, and tells what that did. What was cut off is remembered as long as the gateway runs."""

    def __init__(self, desk: Desk, subjects: Subjects) -> None:
        self._desk = desk
        self._subjects = subjects
        self._kept: OrderedDict[str, tuple[Ended, int]] = OrderedDict()

    async def would_end(self, name: str) -> WouldEnd:
        """Return what would end with somebody, whoever it is: a proxy may send a name that nobody knows."""
        snapshot, now = self._desk.snapshot, self._desk.now()
        grants = self._owned(name)
        uses = await self._desk.seen.of([grant.id for grant in grants])
        views = [view_of(snapshot, one, now, uses.get(one.id, ())) for one in grants]
        ids = frozenset({FORWARDED + name, *(grant.id for grant in grants)})
        standing = [view for view in views if view.state not in _OVER]
        return WouldEnd(_by_label(standing), self._desk.book.cutting.open_of(ids))

    async def offboard(self, actor: Actor, name: str, because: str, browsers: int) -> Ended:
        """Disable somebody and revoke all their grants, in one change. As `Subjects.offboard`.

        `browsers` counts those at which they are signed in, which ends with it.
        """
        ended = await self._subjects.offboard(actor, name, because)
        self._keep(name, ended, browsers)
        return ended

    async def disable(self, actor: Actor, name: str, because: str, browsers: int) -> Ended:
        """Refuse somebody however they come; their grants stay for when they are back. As `offboard`."""
        ended = await self._subjects.disable(actor, name, because)
        self._keep(name, ended, browsers)
        return ended

    async def report(self, name: str) -> Report:
        """Return what ended with somebody, as far as it is known, and what is left of them.

        Raises:
            Missing: there is nobody of this name.
            StoreUnavailable: the store cannot be read.
        """
        subject = await self._subjects.get(name)
        change = await self._last_ending(name) if subject.disabled else None
        snapshot, now = self._desk.snapshot, self._desk.now()
        grants = self._owned(name)
        uses = await self._desk.seen.of([grant.id for grant in grants])
        views = _by_label([view_of(snapshot, one, now, uses.get(one.id, ())) for one in grants])
        ended = [one for one in views if _ended_with(one, change)]
        kept = self._kept.get(name) if subject.disabled else None
        return Report(
            subject,
            change,
            ended,
            [one for one in views if one.state in _OVER and one not in ended],
            [one for one in views if one.state not in _OVER],
            kept[0] if kept is not None else None,
            kept[1] if kept is not None else None,
            leftovers_of(snapshot, name, now),
        )

    async def _last_ending(self, name: str) -> Change | None:
        """Return the change that ended somebody, the last one."""
        wanted = ChangeFilter(kind=ObjectKind.SUBJECT, object=name, limit=_CHANGES)
        for entry in await self._desk.book.store.list_changes(wanted):
            if entry.change.object_name == name and entry.change.action in _ENDINGS:
                return entry.change
        return None

    def _owned(self, name: str) -> Sequence[AnyGrant]:
        return [grant for grant in all_grants(self._desk.snapshot) if grant.subject == name]

    def _keep(self, name: str, ended: Ended, browsers: int) -> None:
        before = self._kept.pop(name, None)
        if before is not None and not (ended.calls or ended.streams or ended.sessions or ended.revoked):
            ended, browsers = before  # asked again of somebody who is gone already
        self._kept[name] = ended, browsers
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def _ended_with(one: GrantView, change: Change | None) -> bool:
    """Tell whether a grant was revoked by a change of its owner, or later."""
    if one.state is not GrantState.REVOKED or change is None or one.revoked_at is None:
        return False
    if one.revoked_at > change.at:
        return True
    is_same = (one.revoked_by, one.because) == (change.actor, change.because)
    return is_same and one.revoked_at >= change.at - _AT_ONCE


def _by_label(views: Sequence[GrantView]) -> Sequence[GrantView]:
    return sorted(views, key=lambda one: (one.label, one.id))
