"""A ledger in memory as sinks read it, entries to fill it with, and a sink that can fail or hang."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from coatcheck.errors import LedgerUnavailable, SinkFailed
from coatcheck.model.change import Change, ChangeEntry, ObjectKind
from coatcheck.model.record import Outcome, RecordEntry
from coatcheck.model.sink import Copy
from ledgers import START, a_record, its_settlement

CHANGE = Change(
    id=UUID(int=1),
    at=START,
    actor="root",
    role="admin",
    origin="cli",
    action="grant.issue",
    kind=ObjectKind.GRANT,
    object_id="g1",
    object_name="alice-laptop",
    before="",
    after='{"label":"alice-laptop"}',
    because="new laptop",
)


def a_copy(seq: int, outcome: Outcome = Outcome.OK, **changes: Any) -> Copy:
    """Return a settled record at a place."""
    record = a_record(**changes)
    return Copy(seq, RecordEntry(seq, record, its_settlement(record, outcome)))


def a_change_copy(seq: int, **changes: Any) -> Copy:
    """Return a change at a place."""
    return Copy(seq, ChangeEntry(seq, replace(CHANGE, **{"id": uuid4(), **changes})))


class MemoryCopies:
    """Implements `ports.Copies` and `ports.SinkCursors`. Set `failing` to make everything raise."""

    def __init__(self, entries: Sequence[Copy] = ()) -> None:
        self.entries = list(entries)
        self.cursors: dict[str, int] = {}
        self.failing = False
        self.largest_page = 0

    async def last(self) -> int:
        self._may()
        return max((copy.seq for copy in self.entries), default=0)

    async def page(self, after: int, most: int) -> Sequence[Copy]:
        self._may()
        page = [copy for copy in self.entries if copy.seq > after][:most]
        self.largest_page = max(self.largest_page, len(page))
        return page

    async def count(self, after: int, most: int) -> int:
        self._may()
        return min(most, sum(copy.seq > after for copy in self.entries))

    async def list(self) -> Mapping[str, int]:
        self._may()
        return dict(self.cursors)

    async def keep(self, cursors: Mapping[str, int]) -> None:
        self._may()
        self.cursors.update(cursors)

    async def forget(self, names: Sequence[str]) -> None:
        self._may()
        for name in names:
            self.cursors.pop(name, None)

    def _may(self) -> None:
        if self.failing:
            raise LedgerUnavailable("the record cannot be copied: a test says so")


class MemorySink:
    """Implements `ports.Sink`. It fails as often as `fails` says, and hangs until `open` is set."""

    def __init__(self, fails: int = 0) -> None:
        self.got: list[Copy] = []
        self.fails = fails
        self.open = asyncio.Event()
        self.open.set()
        self.closed = False

    @property
    def places(self) -> list[int]:
        return [copy.seq for copy in self.got]

    async def deliver(self, copies: Sequence[Copy]) -> None:
        await self.open.wait()
        if self.fails:
            self.fails -= 1
            raise SinkFailed("a test says so")
        self.got += copies

    async def close(self) -> None:
        self.closed = True
