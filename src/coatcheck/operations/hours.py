"""Counts of hours that are over, kept in memory, and the counting of those that are missing.

The record only grows, so an hour is counted once, when all that began in it has ended. What is not over is
counted in smaller units, of which only the last changes.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from coatcheck.core.activity import By, Counted, Counts, Focus, Named, Packed, summed
from coatcheck.ports import Clock
from coatcheck.ports.activity import Counting

SLOT: Final = 300
HOUR: Final = 3_600
DAY: Final = 86_400

LATE: Final = 60
"""Seconds after its end in which a unit may still get records: one is made before it is durable."""
FRESH: Final = 1.0
"""Seconds for which a count of what goes on is good enough; longer where it takes long to make."""
FRESH_PER_SECOND: Final = 20.0
"""So many times as long as it took, it is good enough: looking on takes a twentieth of the time at most."""
AGAIN: Final = 60.0
"""Seconds until calls that were under way are looked at again."""
SELDOM: Final = 900.0
"""The same for what has lasted longer than any call may, such as a stream of notices."""
TOLD: Final = 30.0
"""Seconds for which it may still be told, while what is missing besides is being counted."""
MOST_KEPT: Final = 250_000
"""Counts by name that are kept, all together."""
MOST_NAMES: Final = 1_000
"""Names that are kept apart in one unit; the rest of them is one sum."""
MOST_FILLING: Final = 8
"""Questions whose times are being counted; one of them reads at a time."""
REST: Final = "\0"
"""What is summed up of names beyond `MOST_NAMES`: no name is called that."""

_SHORT_READ: Final = 0.1
_LONG_READ: Final = 0.4
_MOST_AT_ONCE: Final = 48
_AT_ONCE_SECONDS: Final = 1.0
_LONG_DAY: Final = 3.0
_LONGEST_PAUSE: Final = 1.0
_PAUSES: Final = 3.0
"""So many times as long as a reading took, there is none after it: calls come first."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What began within `grain` seconds from `start` on (seconds since 1970)."""

    grain: int
    start: int

    @property
    def end(self) -> int:
        """The first second after it."""
        return self.start + self.grain

    def parts(self) -> list[Unit]:
        """Return the units of the next smaller grain that it is made of, the oldest first."""
        grain = HOUR if self.grain == DAY else SLOT
        return [Unit(grain, start) for start in range(self.start, self.end, grain)]


@dataclass(frozen=True, slots=True)
class Kept:
    """The counts of a unit and their sum. `over` tells that it had ended when it was read, at `read_at`.

    What was not over is good for `fresh` seconds. `folded`: only the sum is left, for its day has the names.
    """

    names: Mapping[str, Packed]
    whole: Counts
    over: bool
    read_at: float
    fresh: float = FRESH
    folded: bool = False


class Hours:
    """Finds counts of units, and has counted what is missing. `longest` is how long a call may take."""

    def __init__(self, counting: Counting, clock: Clock, longest: float) -> None:
        self._counting = counting
        self._clock = clock
        self._longest = longest
        self._kept: OrderedDict[tuple[Focus, Unit], Kept] = OrderedDict()
        self._size = 0
        self._begins: tuple[datetime | None, bool] | None = None
        self._filling: dict[tuple[Focus, int, int, bool], asyncio.Task[None]] = {}
        self._one = asyncio.Lock()
        self._at_once = 1
        self._day_seconds = 0.0

    # --- what is known ---

    def find(
        self, focus: Focus, unit: Unit, *, to_tell: bool = False, named: bool = True
    ) -> list[Kept] | None:
        """Return the counts that make up a unit; None if some are missing. Empty: nothing can be in it.

        `to_tell`: what was counted a while ago is good enough. `named` False: so are sums without names.
        """
        kept = self._kept.get((focus, unit))
        if kept is not None and kept.folded and named:
            kept = None
        if kept is not None and self._is_good(kept, unit, to_tell=to_tell):
            self._kept.move_to_end((focus, unit))
            return [kept]
        if self._is_empty(unit):
            return []
        if unit.grain == SLOT:
            return None
        found: list[Kept] = []
        for part in unit.parts():
            one = self.find(focus, part, to_tell=to_tell, named=named)
            if one is None:
                return None
            found += one
        return found

    def is_sealed(self, unit: Unit) -> bool:
        """Tell whether some of a unit is in files alone, so that it will not be known."""
        if self._begins is None:
            return False
        begins, sealed = self._begins
        return sealed and (begins is None or unit.start < begins.timestamp())

    def _is_good(self, kept: Kept, unit: Unit, *, to_tell: bool) -> bool:
        now, age = self._now(), self._clock.monotonic() - kept.read_at
        if not kept.over or unit.end + LATE > now:  # the clock may have been set back since
            return age < (TOLD if to_tell else kept.fresh)
        if to_tell or not kept.whole.under_way:
            return True
        return age < (AGAIN if unit.end + self._longest > now else SELDOM)

    def _is_empty(self, unit: Unit) -> bool:
        if unit.start > self._now():
            return True
        if self._begins is None:
            return False
        begins, sealed = self._begins
        if begins is None:
            return not sealed and unit.end + LATE <= self._now()
        return not sealed and unit.end <= begins.timestamp()

    def _now(self) -> float:
        return self._clock.now().timestamp()

    # --- what is missing ---

    async def fill(self, focus: Focus, units: Sequence[Unit], patience: float, *, named: bool = True) -> None:
        """Have counted what is missing of these units, newest first; wait for it, but not for longer.

        It goes on after that. Where too much is being counted already, nothing is begun.

        Raises:
            LedgerUnavailable: the record cannot be read.
        """
        began = self._clock.monotonic()
        young = [base for base in self._bases(units[-1], focus.by) if base.end + LATE > self._now()]
        for wanted in (young[::-1], units):
            if wanted and not all(self._is_known(focus, unit, named=named) for unit in wanted):
                left = patience - (self._clock.monotonic() - began)
                await self._join(focus, wanted, left, named=named)

    def _is_known(self, focus: Focus, unit: Unit, *, named: bool) -> bool:
        return self.find(focus, unit, named=named) is not None or self.is_sealed(unit)

    async def _join(self, focus: Focus, units: Sequence[Unit], patience: float, *, named: bool) -> None:
        key = (focus, units[0].grain, units[0].start, named)
        task = self._filling.get(key)
        if task is None:
            if len(self._filling) >= MOST_FILLING:
                return
            task = self._filling[key] = asyncio.get_running_loop().create_task(
                self._fill(focus, units, named=named)
            )
            task.add_done_callback(lambda done: self._ended(key, done))
        done, _ = await asyncio.wait({task}, timeout=max(0.0, patience))
        if done and not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def close(self) -> None:
        """Count no more."""
        filling = list(self._filling.values())
        for task in filling:
            task.cancel()
        await asyncio.gather(*filling, return_exceptions=True)

    def _ended(self, key: tuple[Focus, int, int, bool], task: asyncio.Task[None]) -> None:
        self._filling.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waits is told; else the next one who asks finds out

    async def _fill(self, focus: Focus, units: Sequence[Unit], *, named: bool) -> None:
        """Count what is missing; after a while only a quarter of the time."""
        began = self._clock.monotonic()
        whole = [unit for unit in units if unit.grain != SLOT]
        missing = [base for unit in reversed(units) for base in self._bases(unit, focus.by)]
        while missing:
            took = 0.0
            async with self._one:
                run = self._next_run(focus, missing, named=named)
                if run:
                    took = await self._count(focus, run)
            while whole and (not missing or missing[0].end <= whole[-1].start):
                await self._merge(focus, whole.pop())
            is_long = self._clock.monotonic() - began > _AT_ONCE_SECONDS
            await asyncio.sleep(min(_PAUSES * took, _LONGEST_PAUSE) if is_long else 0)

    async def _merge(self, focus: Focus, unit: Unit) -> None:
        """Keep the sum of the parts of a unit if nothing in it changes any more."""
        parts = self.find(focus, unit)
        if not parts or len(parts) == 1 or unit.end + LATE > self._now():
            return
        if any(not one.over or one.whole.under_way for one in parts):
            return
        kept = await asyncio.to_thread(lambda: _kept_of(merged(parts), over=True, at=parts[0].read_at))
        self._keep(focus, unit, kept)
        for part in unit.parts():
            if focus.by is By.SERVER:  # a series asks for each part, and not for the names in it
                self._fold(focus, part)
            else:
                self._drop(focus, part)

    def _fold(self, focus: Focus, unit: Unit) -> None:
        """Keep only the sum: the names of each hour of a month are too many where there are many servers."""
        kept = self._kept.get((focus, unit))
        if kept is not None:
            self._keep(focus, unit, replace(kept, names={}, folded=True))

    def _bases(self, unit: Unit, by: By) -> Iterator[Unit]:
        """Yield the units that are counted for one, newest first: smaller ones where it is not long over.

        Only a series needs the hours of a day, and it is told by server.
        """
        is_young = unit.end + max(self._longest, HOUR) > self._now()
        is_short = by is not By.SERVER and self._day_seconds < _LONG_DAY
        if unit.grain == SLOT or (not is_young and (unit.grain == HOUR or is_short)):
            yield unit
            return
        for part in reversed(unit.parts()):
            yield from self._bases(part, by)

    def _next_run(self, focus: Focus, missing: list[Unit], *, named: bool) -> list[Unit]:
        """Take the next units out that are to be counted together; each begins where the one after ends."""
        run: list[Unit] = []
        while missing and len(run) < self._at_once:
            unit = missing[0]
            if run and (unit.grain != run[-1].grain or unit.end != run[-1].start):
                break
            missing.pop(0)
            if self._is_known(focus, unit, named=named):
                if run:
                    break
                continue
            run.append(unit)
        return run

    async def _count(self, focus: Focus, run: list[Unit]) -> float:
        """Count units, and return the seconds that it took; the next ones are as many as take a moment."""
        since, until, grain = run[-1].start, run[0].end, run[0].grain
        now, began = self._now(), self._clock.monotonic()
        counted = await self._counting.count(focus, since, until, grain)
        took = self._clock.monotonic() - began
        if took < _SHORT_READ:
            self._at_once = min(2 * self._at_once, _MOST_AT_ONCE)
        elif took > _LONG_READ:
            self._at_once = max(1, self._at_once // 2)
        self._begins = counted.begins, counted.sealed
        self._day_seconds = took * DAY / (until - since)
        known = [unit for unit in run if not self.is_sealed(unit)]
        for unit, kept in await asyncio.to_thread(_made, counted, known, now, began, took):
            self._keep(focus, unit, kept)
        return took

    def _keep(self, focus: Focus, unit: Unit, kept: Kept) -> None:
        self._drop(focus, unit)
        self._kept[focus, unit] = kept
        self._size += _size_of(kept)
        while self._size > MOST_KEPT and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._size -= _size_of(oldest)

    def _drop(self, focus: Focus, unit: Unit) -> None:
        former = self._kept.pop((focus, unit), None)
        self._size -= _size_of(former) if former is not None else 0


def merged(parts: Sequence[Kept]) -> dict[str, Counts]:
    """Return the sums by name."""
    names: dict[str, Counts] = {}
    for one in parts:
        for name, counts in one.names.items():
            found = names.get(name)
            if found is None:
                found = names[name] = Counts()
            found.take(counts)
    return names


def _made(counted: Counted, run: list[Unit], now: float, at: float, took: float) -> list[tuple[Unit, Kept]]:
    """Return what is kept of a reading that was made at a time by the wall clock, and a monotonic one."""
    fresh = max(FRESH, FRESH_PER_SECOND * took)
    found = ((unit, counted.units.get(unit.start, {})) for unit in run)
    return [(unit, _kept_of(names, over=unit.end + LATE <= now, at=at, fresh=fresh)) for unit, names in found]


def _kept_of(names: Named, *, over: bool, at: float, fresh: float = FRESH) -> Kept:
    kept = {sys.intern(name): counts.packed() for name, counts in _narrowed(names).items()}
    return Kept(kept, summed(names.values()), over, at, fresh)


def _size_of(kept: Kept) -> int:
    return 1 + len(kept.names)


def _narrowed(names: Named) -> Named:
    if len(names) <= MOST_NAMES:
        return names
    ordered = sorted(names.items(), key=lambda item: (item[0] == REST, -item[1].calls, item[0]))
    rest = summed(counts for _, counts in ordered[MOST_NAMES:])
    return {**dict(ordered[:MOST_NAMES]), REST: rest}
