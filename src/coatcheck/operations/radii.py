"""What credentials and grants touched, for people who look on: counted beside their pages, and kept a while.

A credential may have made millions of calls. So nobody's page waits for the count: it is made once for all
who ask, one at a time, and given up when nobody asks for it any more.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from coatcheck.errors import Unavailable
from coatcheck.model.reading import Radius, RadiusFilter
from coatcheck.ports import Clock, Reading

PATIENCE: Final = 0.1
"""Seconds that one look waits for the count."""
FRESH: Final = 60.0
"""Seconds for which a count is told again at most; a short one for less."""
FRESH_PER_SECOND: Final = 20.0
"""So many times as long as it took, it is told again: looking on takes a twentieth of the time at most."""
UNASKED: Final = 30.0
"""Seconds after the last look at which a count that nobody asks for is given up."""
MOST_WAITING: Final = 16
"""Counts that are made or wait for their turn."""
MOST_KEPT: Final = 8
_LOOK: Final = 5.0


@dataclass(frozen=True, slots=True)
class Found:
    """All that something touched by a time."""

    radius: Radius
    at: datetime
    """When the count began."""


@dataclass(slots=True)
class _Counting:
    task: asyncio.Task[Found]
    asked_at: float


class Radii:
    """Tells what was touched. Who reads is to be put on record by whoever asks."""

    def __init__(self, reading: Reading, clock: Clock, *, patience: float = PATIENCE) -> None:
        self._reading = reading
        self._clock = clock
        self._patience = patience
        self._turn = asyncio.Lock()
        self._counting: dict[RadiusFilter, _Counting] = {}
        self._kept: OrderedDict[RadiusFilter, tuple[float, Found]] = OrderedDict()

    async def find(self, of: RadiusFilter) -> Found | None:
        """Return all that something touched, as it was a moment ago; None: it is being counted, look again.

        Raises:
            LedgerUnavailable: the record cannot be read.
            Unavailable: too much is being counted already.
        """
        kept = self._kept.get(of)
        if kept is not None and self._clock.monotonic() < kept[0]:
            return kept[1]
        counting = self._counting.get(of)
        if counting is None:
            if len(self._counting) >= MOST_WAITING:
                raise Unavailable("too much is being counted at once", fix="look again in a minute")
            counting = self._begin(of)
        counting.asked_at = self._clock.monotonic()
        done, _ = await asyncio.wait({counting.task}, timeout=self._patience)
        return counting.task.result() if done and not counting.task.cancelled() else None

    async def close(self) -> None:
        """Count no more."""
        tasks = [one.task for one in self._counting.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, of: RadiusFilter) -> _Counting:
        task = asyncio.get_running_loop().create_task(self._count(of))
        made = self._counting[of] = _Counting(task, self._clock.monotonic())
        watch = asyncio.get_running_loop().create_task(self._give_up(made))

        def ended(done: asyncio.Task[Found]) -> None:
            watch.cancel()
            del self._counting[of]
            if not done.cancelled():
                done.exception()  # whoever waits is told; else the next one who asks finds out

        task.add_done_callback(ended)
        return made

    async def _count(self, of: RadiusFilter) -> Found:
        async with self._turn:
            at, began = self._clock.now(), self._clock.monotonic()
            found = Found(await self._reading.radius(of), at)
            ended = self._clock.monotonic()
        self._kept[of] = ended + min(FRESH, FRESH_PER_SECOND * (ended - began)), found
        self._kept.move_to_end(of)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return found

    async def _give_up(self, counting: _Counting) -> None:
        """End a count that nobody asks for any more."""
        while self._clock.monotonic() - counting.asked_at < UNASKED:  # noqa: ASYNC110 - a time is waited for
            await asyncio.sleep(_LOOK)
        counting.task.cancel()
