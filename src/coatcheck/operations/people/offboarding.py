"""Seeing somebody off: what would end with them, what did, and what does not end by itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from coatcheck.model.change import Change, ChangeFilter, ObjectKind
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.operations.cutting import Open
from coatcheck.operations.directory import FORWARDED
from coatcheck.operations.people.leftovers import Leftovers, leftovers_of
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.showing import all_grants, view_of
from coatcheck.operations.registry.subjects import Subjects, find_subject
from coatcheck.operations.registry.views import Ended, GrantState, GrantView, SubjectView

MOST_KEPT: Final = 500
"""How many endings are remembered with what they cut off."""
_AT_ONCE: Final = timedelta(seconds=2)
"""Within this time before somebody's end, a grant revoked by the same operator ended with them."""
_ENDINGS: Final = frozenset({"subject.offboard", "subject.disable"})
_CHANGES: Final = 50


@dataclass(frozen=True, slots=True)
class WouldEnd:
    """What would end with somebody, right now: grants that are not over, and what is open by them.

    `browsers` is at how many browsers they are signed in.
    """

    grants: Sequence[GrantView]
    open: Open
    browsers: int


@dataclass(frozen=True, slots=True)
class SeenOff:
    """What ended with somebody, and at how many browsers they were signed out."""

    ended: Ended
    browsers: int


@dataclass(frozen=True, slots=True)
class Report:
    """What ended with somebody, and what did not. `change` is who ended them and when; None: nobody has.

    `grants` ended with them, `before` had ended already, `left` are not over: they are refused for as long as
    their owner is disabled. `cut` is what was cut off with them; None where that is not known any more.
    """

    subject: SubjectView
    change: Change | None
    grants: Sequence[GrantView]
    before: Sequence[GrantView]
    left: Sequence[GrantView]
    cut: SeenOff | None
    leftovers: Leftovers


class Offboarding:
    """Ends people, and tells what that did. What was cut off is remembered as long as the gateway runs.

    `signed_in` returns at how many browsers the subject of a name is signed in.
    """

    def __init__(self, desk: Desk, subjects: Subjects, signed_in: Callable[[str], int]) -> None:
        self._desk = desk
        self._subjects = subjects
        self._signed_in = signed_in
        self._kept: OrderedDict[str, SeenOff] = OrderedDict()

    async def would_end(self, name: str) -> WouldEnd:
        """Return what would end with somebody, whoever it is: a proxy may send a name that nobody knows."""
        views = await self._owned(name)
        ids = frozenset({FORWARDED + name, *(view.id for view in views)})
        standing = [view for view in views if not view.state.is_over]
        return WouldEnd(standing, self._desk.book.cutting.open_of(ids), self._signed_in(name))

    async def offboard(self, actor: Actor, name: str, because: str) -> SeenOff:
        """Disable somebody and revoke all their grants, in one change. As `Subjects.offboard`."""
        return await self._see_off(name, self._subjects.offboard(actor, name, because))

    async def disable(self, actor: Actor, name: str, because: str) -> SeenOff:
        """Refuse somebody however they come; their grants stay for when they are back. As `offboard`."""
        return await self._see_off(name, self._subjects.disable(actor, name, because))

    async def _see_off(self, name: str, ending: Awaitable[Ended]) -> SeenOff:
        was_gone, browsers = self._is_gone(name), self._signed_in(name)
        return self._keep(name, SeenOff(await ending, browsers), was_gone=was_gone)

    async def report(self, name: str, reader: OperatorRole) -> Report:
        """Return what ended with somebody, as far as it is known, and what is left of them.

        It tells as much as a reader of this role may know.

        Raises:
            Missing: there is nobody of this name.
            StoreUnavailable: the store cannot be read.
        """
        subject = await self._subjects.get(name)
        change = await self._last_ending(name) if subject.disabled else None
        views = await self._owned(name)
        ended = [one for one in views if _ended_with(one, change)]
        ids = {one.id for one in ended}
        return Report(
            subject,
            change,
            ended,
            [one for one in views if one.state.is_over and one.id not in ids],
            [one for one in views if not one.state.is_over],
            self._kept.get(name) if subject.disabled else None,
            leftovers_of(self._desk.snapshot, name, self._desk.now(), reader),
        )

    async def _last_ending(self, name: str) -> Change | None:
        """Return the change that ended somebody, the last one."""
        wanted = ChangeFilter(kind=ObjectKind.SUBJECT, object=name, limit=_CHANGES)
        for entry in await self._desk.book.store.list_changes(wanted):
            if entry.change.object_name == name and entry.change.action in _ENDINGS:
                return entry.change
        return None

    async def _owned(self, name: str) -> Sequence[GrantView]:
        """Return all grants of somebody, by label."""
        snapshot, now = self._desk.snapshot, self._desk.now()
        grants = [grant for grant in all_grants(snapshot) if grant.subject == name]
        uses = await self._desk.seen.of([grant.id for grant in grants])
        views = [view_of(snapshot, one, now, uses.get(one.id, ())) for one in grants]
        return sorted(views, key=lambda one: (one.label, one.id))

    def _is_gone(self, name: str) -> bool:
        subject = find_subject(self._desk.snapshot, name)
        return subject is not None and subject.disabled

    def _keep(self, name: str, seen_off: SeenOff, *, was_gone: bool) -> SeenOff:
        """Remember what was cut off, and return it; of whoever was gone without anything left, as before."""
        before, ended = self._kept.pop(name, None), seen_off.ended
        cut_nothing = not (ended.calls or ended.streams or ended.sessions or ended.revoked)
        self._kept[name] = before if before is not None and was_gone and cut_nothing else seen_off
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return seen_off


def _ended_with(one: GrantView, change: Change | None) -> bool:
    """Tell whether a grant was revoked by a change of its owner, or later."""
    if one.state is not GrantState.REVOKED or change is None or one.revoked_at is None:
        return False
    if one.revoked_at > change.at:
        return True
    is_same = (one.revoked_by, one.because) == (change.actor, change.because)
    return is_same and one.revoked_at >= change.at - _AT_ONCE
