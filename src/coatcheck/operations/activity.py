"""What went on: calls and refusals over time, and the busiest servers, tools and callers.

Past hours are counted once and kept (`operations.hours`), so a first look at a long record tells what it has
counted by then, and how far back that goes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from coatcheck.core.activity import (
    Active,
    Bucket,
    By,
    Counts,
    Focus,
    Knocks,
    Ranking,
    Series,
    Step,
    Through,
    Uses,
    summed,
)
from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.errors import Unfit
from coatcheck.operations.hours import DAY, HOUR, REST, Hours, Kept, Unit, merged
from coatcheck.ports import Clock
from coatcheck.ports.activity import Counting

LONGEST: Final = timedelta(days=31)
"""How far back is looked: what is older is asked of exports."""
MOST_BUCKETS: Final = 750
PATIENCE: Final = 0.1
"""Seconds that one look waits for what is not counted yet; it is there the next time."""
MOST_TOLD: Final = 500
"""Names that a ranking tells."""
_KNOCKS_KEPT: Final = 30.0
_MOST_ASKED: Final = 8

_Part = tuple[Unit, list[Kept] | None]


class Activity:
    """Counts the record for people who look on. `longest` is how many seconds a call may take.

    One look waits for `patience` seconds for what is not counted yet.
    Its methods raise `LedgerUnavailable` where the record cannot be read.
    """

    def __init__(
        self, counting: Counting, clock: Clock, longest: float, *, patience: float = PATIENCE
    ) -> None:
        self._counting = counting
        self._clock = clock
        self._hours = Hours(counting, clock, longest)
        self._patience = patience
        self._knocks: OrderedDict[int, tuple[float, Knocks]] = OrderedDict()
        self._asking: dict[int, asyncio.Task[Knocks]] = {}

    async def over(
        self,
        since: datetime,
        until: datetime | None = None,
        step: Step = Step.HOUR,
        *,
        server: str | None = None,
        grant: str | None = None,
        subject: str | None = None,
    ) -> Series:
        """Return what went on in a time, step by step; None: until now. `grant` is an id.

        Raises:
            Unfit: the time ends before it begins, is too long, or has too many steps.
        """
        units = self._units(since, until, step.seconds)
        focus = Focus(server=server, grant=grant, subject=subject)
        parts = await self._parts(focus, units, named=False)

        def folded() -> list[Counts | None]:
            return [None if found is None else summed(one.whole for one in found) for _, found in parts]

        counts = await asyncio.to_thread(folded)
        buckets = [Bucket(_time(unit.start), one) for unit, one in zip(units, counts, strict=True)]
        whole = summed(one for one in counts if one is not None)
        return Series(step, buckets, whole, *self._known(parts))

    async def servers(
        self,
        since: datetime,
        until: datetime | None = None,
        *,
        grant: str | None = None,
        subject: str | None = None,
    ) -> Ranking:
        """Return what each server did, or was asked by a grant (its id) or an owner of grants.

        One without a name stands for what was about no one server.
        """
        return await self._ranked(Focus(grant=grant, subject=subject), since, until)

    async def tools(
        self,
        server: str,
        since: datetime,
        until: datetime | None = None,
        *,
        grant: str | None = None,
        subject: str | None = None,
    ) -> Ranking:
        """Return what each tool of a server did, or was asked by a grant (its id) or an owner of grants.

        One without a name stands for all that was no tool.
        """
        return await self._ranked(Focus(By.TOOL, server=server, grant=grant, subject=subject), since, until)

    async def used(
        self,
        since: datetime,
        *,
        server: str | None = None,
        grant: str | None = None,
        subject: str | None = None,
        patience: float,
        soon: bool = False,
    ) -> Uses:
        """Return what got through to each server, or to each tool of one: for many looks at once.

        It waits for `patience` seconds; with `soon`, what was counted half a minute ago is good enough.
        """
        focus = Focus(By.REACHED if server is None else By.TOOL, server, grant, subject)
        units = _with_days(self._units(since, None, HOUR))
        parts = self._found(focus, units)
        if not soon or any(found is None and not self._hours.is_sealed(unit) for unit, found in parts):
            parts = await self._parts(focus, units, patience)
        names = await asyncio.to_thread(lambda: _through([one for _, found in parts for one in found or ()]))
        return Uses(names, REST not in names, *self._known(parts))

    async def callers(self, since: datetime, until: datetime | None = None) -> Ranking:
        """Return what each subject did; one without a name stands for those who were not let in."""
        return await self._ranked(Focus(By.SUBJECT), since, until)

    async def knocking(self, since: datetime) -> Knocks:
        """Return which grants are presented although they have ended; up to half a minute old."""
        minute = int(since.timestamp()) // 60
        kept = self._knocks.get(minute)
        if kept is not None and self._clock.monotonic() - kept[0] < _KNOCKS_KEPT:
            return kept[1]
        asking = self._asking.get(minute)
        if asking is None:
            asking = self._asking[minute] = asyncio.get_running_loop().create_task(self._ask(since, minute))
            asking.add_done_callback(_heard)
        return await asyncio.shield(asking)

    async def _ask(self, since: datetime, minute: int) -> Knocks:
        """Ask the store, once for all who look on."""
        try:
            found = await self._counting.knocks(since)
        finally:
            del self._asking[minute]
        self._knocks[minute] = self._clock.monotonic(), found
        while len(self._knocks) > _MOST_ASKED:
            self._knocks.popitem(last=False)
        return found

    async def close(self) -> None:
        """Count no more."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self._hours.close()

    async def _ranked(self, focus: Focus, since: datetime, until: datetime | None) -> Ranking:
        parts = await self._parts(focus, _with_days(self._units(since, until, HOUR)))
        names = await asyncio.to_thread(lambda: merged([one for _, found in parts for one in found or ()]))
        rest = names.pop(REST, Counts())
        ordered = sorted(names.items(), key=lambda item: (-item[1].calls, item[0]))
        left_out = rest.calls + sum(counts.calls for _, counts in ordered[MOST_TOLD:])
        items = [Active(name, counts) for name, counts in ordered[:MOST_TOLD]]
        return Ranking(items, left_out, *self._known(parts))

    def _units(self, since: datetime, until: datetime | None, grain: int) -> list[Unit]:
        """Return the units of a time, the oldest first; the last is the one that it ends in, at most now."""
        now = self._clock.now()
        end = now if until is None else min(until, now)
        if since >= end:
            raise Unfit(
                f"the time ends at {rfc3339(end)}, which is not after {rfc3339(since)}, where it begins",
                fix="say an earlier begin",
            )
        first = int(since.timestamp()) // grain * grain
        beyond = -(-int(end.timestamp() * 1_000_000) // (grain * 1_000_000)) * grain
        if now - since > LONGEST + timedelta(days=1):
            raise Unfit(f"activity is counted {LONGEST.days} days back", fix="say a later begin")
        units = [Unit(grain, start) for start in range(first, beyond, grain)]
        if len(units) > MOST_BUCKETS:
            raise Unfit(
                f"that are {len(units)} steps, and at most {MOST_BUCKETS} are told",
                fix="say a later begin, or a longer step",
            )
        return units

    async def _parts(
        self, focus: Focus, units: Sequence[Unit], patience: float | None = None, *, named: bool = True
    ) -> list[_Part]:
        """Return what is known of each unit by now, or after waiting for it; `named` as of `Hours.find`."""
        most = self._patience if patience is None else patience
        await self._hours.fill(focus, units, most, named=named)
        return self._found(focus, units, named=named)

    def _found(self, focus: Focus, units: Sequence[Unit], *, named: bool = True) -> list[_Part]:
        return [(unit, self._hours.find(focus, unit, to_tell=True, named=named)) for unit in units]

    def _known(self, parts: Sequence[_Part]) -> tuple[bool, datetime, bool]:
        """Return whether all is known, from when on it is, and whether the rest is sealed."""
        back_to = parts[-1][0].end
        for unit, found in reversed(parts):
            if found is None:
                return False, _time(back_to), self._hours.is_sealed(unit)
            back_to = unit.start
        return True, _time(back_to), False


def _through(parts: Sequence[Kept]) -> dict[str, Through]:
    """Return what got through by name: of thousands of counts, no more than is needed is looked at."""
    found: dict[str, Through] = {}
    for one in parts:
        for name, (calls, refused, *_, last, _bands) in one.names.items():
            if calls == refused:
                continue
            former = found.get(name)
            if former is None:
                found[name] = Through(calls - refused, last)
            else:
                newest = max(filter(None, (former.last, last)), default=None)
                found[name] = Through(former.calls + calls - refused, newest)
    return found


def _with_days(hours: Sequence[Unit]) -> list[Unit]:
    """Return the same time with days in place of all their hours."""
    found: list[Unit] = []
    place = 0
    while place < len(hours):
        one = hours[place]
        is_day = one.start % DAY == 0 and len(hours) - place >= DAY // HOUR
        found.append(Unit(DAY, one.start) if is_day else one)
        place += DAY // HOUR if is_day else 1
    return found


def _heard(task: asyncio.Task[Knocks]) -> None:
    """Take note of a failure that nobody may wait for any more: the next one who asks finds out."""
    if not task.cancelled():
        task.exception()


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
