"""All sinks of a gateway: tells them what is new, keeps their cursors, and ends them so that none loses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from coatcheck.audit.follower import BATCH, Follower
from coatcheck.errors import CoatcheckError, Missing
from coatcheck.model.sink import SinkRules, SinkStatus
from coatcheck.ports import Clock, Copies, Sink, SinkCursors

LOOK_SECONDS: Final = 0.25
"""How often the ledger is asked for its newest entry, once for all sinks."""
KEEP_EVERY: Final = 4
"""Looks between two keepings of the cursors. What was delivered in between comes again after a crash."""
COUNTED: Final = 10_000
"""Up to how many entries a lag is counted."""
CLOSE_SECONDS: Final = 2.0
TEST_SECONDS: Final = 10.0

MakeSink = Callable[[SinkRules], Sink]

log = logging.getLogger(__name__)


class Following:
    """The sinks that follow, by name. To be used on one event loop, and closed on the same."""

    def __init__(
        self,
        copies: Copies,
        cursors: SinkCursors,
        make: MakeSink,
        clock: Clock,
        *,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._copies = copies
        self._cursors = cursors
        self._make = make
        self._clock = clock
        self._look_seconds = look_seconds
        self._followers: dict[str, Follower] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._kept: dict[str, int] = {}
        self._looking: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._closed = False

    async def open(self, wanted: Sequence[SinkRules]) -> None:
        """Begin to follow into each sink, from its cursor; a new one from now on, or from the start.

        Cursors of sinks that are not wanted any more are forgotten.

        Raises:
            LedgerUnavailable: the cursors cannot be read or kept.
        """
        self._kept = dict(await self._cursors.list())
        names = {rules.name for rules in wanted}
        await self._forget([name for name in self._kept if name not in names])
        for rules in wanted:
            await self._begin(rules)

    async def change(self, name: str, rules: SinkRules | None, start: int) -> None:
        """Put another sink in the place of the one called `name`, or none. The former one ends first.

        Another sink begins with what comes after the place `start`.
        """
        async with self._turn:
            if self._closed:
                return
            await self._end(name)
            await self._forget([name])
            if rules is not None:
                await self._begin(rules, start)

    def statuses(self) -> Sequence[SinkStatus]:
        """Say how each sink does, in the order of their declaration."""
        return [follower.status() for follower in self._followers.values()]

    def shown(self) -> Mapping[str, Mapping[str, str | int | float | bool]]:
        """Return the options of each sink by name, secrets masked."""
        return {name: follower.rules.shown for name, follower in self._followers.items()}

    async def test(self, name: str) -> str:
        """Send a test entry through a sink; return why that failed, empty if it did not.

        Raises:
            Missing: there is no such sink.
        """
        follower = self._followers.get(name)
        if follower is None:
            raise Missing(f"there is no sink {name}", fix="`coatcheck sink list` shows those there are")
        return await follower.test(TEST_SECONDS)

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Deliver what is left within `seconds`, keep how far each came, and let go. Safe to call twice."""
        async with self._turn:
            if self._closed:
                return
            self._closed = True
            if self._looking is not None:
                self._looking.cancel()
            with suppress(CoatcheckError):
                await self._tell()
            for follower in self._followers.values():
                follower.finish()
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=seconds)
            with suppress(CoatcheckError):  # what was delivered since comes again at the next start
                await self._keep()
            await asyncio.gather(*(self._end(name) for name in list(self._followers)))

    # --- beginning and ending ------------------------------------------------------------------------------

    async def _begin(self, rules: SinkRules, start: int | None = None) -> None:
        cursor = self._kept.get(rules.name)
        if cursor is None:
            cursor = await self._start_of(rules) if start is None else start
            await self._cursors.keep({rules.name: cursor})  # before anything that it is to have
            self._kept[rules.name] = cursor
        batch = getattr(rules.options, "batch", BATCH)
        follower = Follower(rules, self._make(rules), self._copies, cursor, self._clock, batch=batch)
        self._followers[rules.name] = follower
        self._tasks[rules.name] = asyncio.create_task(follower.run())
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def _start_of(self, rules: SinkRules) -> int:
        return 0 if rules.from_start else await self._copies.last()

    async def _end(self, name: str) -> None:
        follower, task = self._followers.pop(name, None), self._tasks.pop(name, None)
        if follower is None or task is None:
            return
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):  # a thread that hangs is left behind
                await follower.close()

    async def _forget(self, names: Sequence[str]) -> None:
        gone = [name for name in names if name in self._kept]
        await self._cursors.forget(gone)
        for name in gone:
            del self._kept[name]

    # --- looking -------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        looks = 0
        while True:
            looks += 1
            try:
                await self._tell()
                if looks % KEEP_EVERY == 0:
                    await self._count()
                    await self._keep()
            except CoatcheckError as error:  # the next look may succeed; the record says so itself
                log.debug("sinks cannot follow: %s", error.message)
            except Exception as error:  # noqa: BLE001  # whatever it is, the next look is to be made
                log.warning("sinks cannot follow: unforeseen %s", type(error).__name__)
            await asyncio.sleep(self._look_seconds)

    async def _tell(self) -> None:
        if self._followers:
            last = await self._copies.last()
            for follower in self._followers.values():
                follower.heard(last)

    async def _count(self) -> None:
        for follower in list(self._followers.values()):
            behind = not follower.is_level
            follower.lag = await self._copies.count(follower.cursor, COUNTED) if behind else 0

    async def _keep(self) -> None:
        moved = {
            name: follower.cursor
            for name, follower in self._followers.items()
            if follower.cursor != self._kept.get(name)
        }
        await self._cursors.keep(moved)
        self._kept.update(moved)
