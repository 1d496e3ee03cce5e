"""Counts calls and sums in sliding windows, and calls at one time, so that a limit is never passed.

Time is in nanoseconds since any one moment. A window is cut into 60 parts, and the oldest part that it
touches counts whole: in any window, wherever it begins, there is never more than the limit, and up to a
sixtieth of the window passes before what left it can be taken again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final

import msgspec

from coatcheck.core.policy.conditions.values import add, subtract
from coatcheck.model.policy import Number, Per
from coatcheck.model.verdict import Charge

PARTS: Final = 60
SECOND: Final = 1_000_000_000
LENGTHS: Final = {
    Per.SECOND: SECOND,
    Per.MINUTE: 60 * SECOND,
    Per.HOUR: 3_600 * SECOND,
    Per.DAY: 86_400 * SECOND,
}
"""Nanoseconds of each window."""
MAX_COUNTS: Final = 200_000
"""Most counts at one time, about 100 MB (400 bytes each); beyond, what needs another is refused."""
SHARE: Final = 10
"""One caller begins at most one in so many of them: callers write the names of resources to be counted."""
_FIRST_SWEEP: Final = 1_024
_SWEEP_EVERY: Final = 10 * SECOND
"""While there is no room: a sweep over all counts takes some 50 ms, and nobody else has a turn meanwhile."""
_PART: Final = itemgetter(0)

Key = tuple[str, ...]


def reach_of(per: Per) -> int:
    """Return how many nanoseconds back a call still counts: a window, and the part that it only touches."""
    return LENGTHS[per] * (PARTS + 1) // PARTS


def nanoseconds(at: datetime) -> int:
    """Return a moment in nanoseconds since 1970, exact to the microsecond."""
    return int(at.timestamp()) * SECOND + at.microsecond * 1_000


class Refused(msgspec.Struct, frozen=True):
    """A charge that does not fit, and in how many nanoseconds it may; None: not by waiting alone."""

    charge: Charge
    wait: int | None
    because: str


class Taken(msgspec.Struct, frozen=True):
    """What one count holds of one part of its window, for keeping across restarts: `at` is when it began.

    `by` is the caller.
    """

    key: Key
    per: Per
    at: int
    amount: Number
    by: str = ""


class Reservation:
    """What one call has taken. It ends once: by `end`, or by `give_back` if the server was never reached."""

    __slots__ = ("_at_once", "_open", "_taken")

    def __init__(self, at_once: list[Key], taken: list[tuple[Key, int, Number]]) -> None:
        self._at_once, self._taken = at_once, taken
        self._open = True

    def _close(self) -> bool:
        was, self._open = self._open, False
        return was


class _Count:
    """One sliding window, begun `by` a caller: what was taken in each part of it, oldest first."""

    __slots__ = ("by", "parts", "per", "total")

    def __init__(self, per: Per, by: str) -> None:
        self.per = per
        self.by = by
        self.parts: list[tuple[int, Number]] = []
        self.total: Number = 0

    def drop(self, now: int) -> None:
        """Forget the parts that no window up to now touches."""
        oldest = _part_of(now, self.per) - PARTS
        while self.parts and self.parts[0][0] < oldest:
            self.total = subtract(self.total, self.parts.pop(0)[1])

    def add(self, part: int, amount: Number) -> None:
        """Add to a part. One that is older than the newest is added to that: it is kept the longer."""
        if self.parts and self.parts[-1][0] >= part:
            last, had = self.parts.pop()
            self.parts.append((last, add(had, amount)))
        else:
            self.parts.append((part, amount))
        self.total = add(self.total, amount)

    def put(self, part: int, amount: Number) -> None:
        """Add to a part, wherever it is among the others."""
        place = bisect_left(self.parts, part, key=_PART)
        if place < len(self.parts) and self.parts[place][0] == part:
            self.parts[place] = (part, add(self.parts[place][1], amount))
        else:
            self.parts.insert(place, (part, amount))
        self.total = add(self.total, amount)

    def take_off(self, part: int, amount: Number) -> None:
        """Take off again what was added to a part, if it still counts."""
        for number, (one, had) in enumerate(self.parts):
            if one == part:
                self.parts[number] = (part, subtract(had, amount))
                self.total = subtract(self.total, amount)
                return

    def wait(self, now: int, room: Number) -> int | None:
        """Return how long it takes until no more than `room` is left in the window; None: for ever."""
        left = self.total
        for part, amount in self.parts:
            if left <= room:
                break
            left = subtract(left, amount)
            if left <= room:
                length = LENGTHS[self.per]
                return max(0, -(-(part + PARTS + 1) * length // PARTS) - now)
        return 0 if left <= room else None


class Windows:
    """All counts of one gateway. What is called from more threads than one needs a lock around it."""

    def __init__(self, max_counts: int = MAX_COUNTS) -> None:
        self._counts: dict[Key, _Count] = {}
        self._under_way: dict[Key, int] = {}
        self._begun: dict[str, int] = {}
        self._max_counts = max_counts
        self._sweep_at = _FIRST_SWEEP
        self._swept = -_SWEEP_EVERY
        self._newest = 0

    def reserve(
        self, charges: Sequence[Charge], now: int, by: str = "", *, forced: bool = False
    ) -> Reservation | Refused:
        """Take all charges, or none and say which does not fit. A key that is there twice is charged once.

        `by` is the caller, who has a share of the counts; empty for nobody, who has no bound of its own. A
        time before the newest that was ever given counts as that: a clock that is set back frees nothing.
        `forced`: it is taken whether it fits or not, but that there are never more counts than there may be.
        """
        now = self._newest = max(now, self._newest)
        wanted = _tightest(charges)
        if forced:
            wanted = {
                key: one
                for key, one in wanted.items()
                if key in self._counts or not self._no_room(one, now, by)
            }
        elif (refused := self._first_refusal(wanted.values(), now, by)) is not None:
            return refused
        at_once, taken = [], []
        for key, charge in wanted.items():
            if charge.per is None:
                self._under_way[key] = self._under_way.get(key, 0) + 1
                at_once.append(key)
            else:
                part = _part_of(now, charge.per)
                self._count(key, charge.per, by).add(part, charge.amount)
                taken.append((key, self._counts[key].parts[-1][0], charge.amount))
        return Reservation(at_once, taken)

    def would_refuse(self, charges: Sequence[Charge], now: int, by: str = "") -> Refused | None:
        """Return what `reserve` would refuse now; nothing is taken."""
        wanted = _tightest(charges)
        return self._first_refusal(wanted.values(), max(now, self._newest), by)

    def used(self, charge: Charge, now: int) -> Number:
        """Return how much of a limit is taken now."""
        if charge.per is None:
            return self._under_way.get(charge.key, 0)
        count = self._counts.get(charge.key)
        if count is None:
            return 0
        count.drop(max(now, self._newest))
        return count.total

    def end(self, reservation: Reservation) -> None:
        """Take note that a call is over: it is under way no more, and stays counted. Once; then nothing."""
        if reservation._close():  # noqa: SLF001 - one thing in two classes
            self._leave(reservation)

    def give_back(self, reservation: Reservation) -> None:
        """Take note that a call never reached its server, so it counts for nothing. Once; then nothing."""
        if not reservation._close():  # noqa: SLF001 - one thing in two classes
            return
        self._leave(reservation)
        for key, part, amount in reservation._taken:  # noqa: SLF001 - one thing in two classes
            count = self._counts.get(key)
            if count is not None:
                count.take_off(part, amount)
                if not count.total:  # callers write names, and must not fill the room with counts of nothing
                    self._forget(key)

    def restore(self, taken: Iterable[Taken], now: int) -> None:
        """Take up what was taken before a restart, in any order, whatever the limits are now.

        What no window up to now touches is left out, so that few parts are kept of each. What is said to be
        from later, since a clock was ahead, counts as taken now: not for as long as that clock was wrong.
        """
        for one in taken:
            part = _part_of(min(one.at, now), one.per)
            if part >= _part_of(now, one.per) - PARTS:
                self._count(one.key, one.per, one.by).put(part, one.amount)

    def taken(self, now: int) -> Iterator[Taken]:
        """Yield all that still counts at a time, to be given to `restore` later."""
        for key, count in self._counts.items():
            oldest = _part_of(now, count.per) - PARTS
            for part, amount in count.parts:
                if part >= oldest and amount:
                    yield Taken(key, count.per, _start_of(part, count.per), amount, count.by)

    def __len__(self) -> int:
        return len(self._counts) + len(self._under_way)

    def _first_refusal(self, wanted: Iterable[Charge], now: int, by: str) -> Refused | None:
        return next((found for one in wanted if (found := self._refusal(one, now, by)) is not None), None)

    def _refusal(self, charge: Charge, now: int, by: str) -> Refused | None:
        if charge.per is None:
            under_way = self._under_way.get(charge.key, 0)
            if under_way + 1 > charge.most:
                return Refused(charge, None, f"{under_way} of {charge.most} calls are under way")
            return None
        if charge.amount < 0 or charge.amount > charge.most:
            return Refused(charge, None, f"one call takes {charge.amount} of {charge.most}")
        count = self._counts.get(charge.key)
        if count is None:
            return self._no_room(charge, now, by)
        count.drop(now)
        if add(count.total, charge.amount) > charge.most:
            wait = count.wait(now, subtract(charge.most, charge.amount))
            return Refused(charge, wait, f"{count.total} of {charge.most} per {charge.per} are used")
        return None

    def _no_room(self, charge: Charge, now: int, by: str) -> Refused | None:
        full = self._is_full(by)
        if len(self._counts) >= self._sweep_at or (full and now >= self._swept + _SWEEP_EVERY):
            self._sweep(now)
            full = self._is_full(by)
        return Refused(charge, None, full) if full else None

    def _is_full(self, by: str) -> str:
        """Return why a caller can begin no other count; empty if it can."""
        if len(self._counts) >= self._max_counts:
            return "there are too many counts at one time"
        full = by and self._begun.get(by, 0) >= max(1, self._max_counts // SHARE)
        return "there are too many counts of one caller at one time" if full else ""

    def _sweep(self, now: int) -> None:
        """Forget the counts that hold nothing any more; the next time when there are twice as many."""
        for count in self._counts.values():
            count.drop(now)
        for key in [key for key, count in self._counts.items() if not count.parts]:
            self._forget(key)
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._counts))
        self._swept = now

    def _count(self, key: Key, per: Per, by: str) -> _Count:
        count = self._counts.get(key)
        if count is None or count.per is not per:
            if count is not None:
                self._forget(key)
            count = self._counts[key] = _Count(per, by)
            self._begun[by] = self._begun.get(by, 0) + 1
        return count

    def _forget(self, key: Key) -> None:
        by = self._counts.pop(key).by
        left = self._begun[by] - 1
        if left:
            self._begun[by] = left
        else:
            del self._begun[by]

    def _leave(self, reservation: Reservation) -> None:
        for key in reservation._at_once:  # noqa: SLF001 - one thing in two classes
            left = self._under_way[key] - 1
            if left:
                self._under_way[key] = left
            else:
                del self._under_way[key]


def _tightest(charges: Sequence[Charge]) -> dict[Key, Charge]:
    """Return one charge for each key: that of the limit that lets the least through."""
    wanted: dict[Key, Charge] = {}
    for charge in charges:
        found = wanted.get(charge.key)
        if found is None or charge.most < found.most:
            wanted[charge.key] = charge
    return wanted


def _part_of(at: int, per: Per) -> int:
    return at * PARTS // LENGTHS[per]


def _start_of(part: int, per: Per) -> int:
    return -(-part * LENGTHS[per] // PARTS)
