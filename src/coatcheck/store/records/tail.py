"""The last entries settled, kept for those who follow; whoever falls behind reads the rest from the store.

A follower is only a cursor in the order of settling. What it has not seen comes from the ring in memory if
it is still there, else from the database: so nothing is missed or doubled, and a slow follower costs nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, Final

from coatcheck.model.record import RecordEntry, RecordFilter
from coatcheck.store.records.matching import matches

RING: Final = 1_024

Settled = tuple[int, RecordEntry]
"""An entry with its place in the order of settling."""

Page = Callable[[RecordFilter, int, int], Coroutine[Any, Any, Sequence[Settled]]]
"""Reads matching entries settled after one sequence and up to another; empty when there are no more."""

First = Callable[[int], Coroutine[Any, Any, int | None]]
"""Finds the first sequence among the settlements of records after a position."""


class Tail:
    """Where settled entries are published, on the event loop. `last` is the newest sequence."""

    def __init__(self, last: int) -> None:
        self.last = last
        self._ring: deque[Settled] = deque()
        self._since = last
        """The ring holds all that was settled after this."""
        self._count = 0
        self._waiting: set[asyncio.Event] = set()
        self._closed = False

    def publish(self, settled: Sequence[Settled], last: int, count: int) -> None:
        """Take what was just settled; `last` is the newest sequence in the store by now.

        `count` is how many were settled in all: more than what was published if some came another way.
        """
        if last <= self.last:
            return
        whole = count - self._count == len(settled)
        self.last, self._count = last, count
        if self._waiting and whole:
            self._keep(settled)
        else:
            self._forget()  # the ring must have no gap
        for event in self._waiting:
            event.set()

    def _keep(self, settled: Sequence[Settled]) -> None:
        self._ring.extend(settled)
        while len(self._ring) > RING:
            self._since = self._ring.popleft()[0]

    def _forget(self) -> None:
        self._ring.clear()
        self._since = self.last

    def close(self) -> None:
        """Let every follower end once it has what is here."""
        self._closed = True
        for event in self._waiting:
            event.set()

    async def follow(
        self, wanted: RecordFilter, start: int, first: First, page: Page
    ) -> AsyncGenerator[RecordEntry, None]:
        """Yield matching entries settled after sequence `start`, or all beyond `wanted.after` if set."""
        news = asyncio.Event()
        self._waiting.add(news)
        try:
            cursor = start if wanted.after is None else await _cursor_at(wanted.after, start, first)
            while await self._has_more(cursor, news):
                cursor, ready = await self._read(cursor, wanted, page)
                for _, entry in ready:
                    if matches(entry, wanted):
                        yield entry
        finally:
            self._waiting.discard(news)
            if not self._waiting:
                self._forget()

    async def _has_more(self, cursor: int, news: asyncio.Event) -> bool:
        """Wait until something lies beyond the cursor; return False when nothing will."""
        while cursor >= self.last:
            if self._closed:
                return False
            news.clear()
            await news.wait()
        return True

    async def _read(self, cursor: int, wanted: RecordFilter, page: Page) -> tuple[int, Sequence[Settled]]:
        """Return what lies beyond the cursor, and the cursor after it."""
        through = self.last
        if cursor >= self._since:
            return through, [one for one in self._ring if one[0] > cursor]
        ready = await page(wanted, cursor, through)
        return (ready[-1][0] if ready else through), ready


async def _cursor_at(position: int, start: int, first: First) -> int:
    found = await first(position)
    return start if found is None else found - 1
