"""A ledger in memory, and what fills any ledger; `tests/store` proves that all keep one contract."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from msgspec import structs

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.reading import Looked
from coatcheck.model.record import Outcome, Receipt, Record, RecordEntry, RecordFilter, Settlement, Verdict
from coatcheck.store.records.matching import matches

START = datetime(2026, 11, 3, 9, 8, 7, 60504, tzinfo=UTC)

RECORD = Record(
    id=UUID(int=0),
    at=START,
    subject="alice",
    grant_id="file-0123456789ab",
    grant_label="alice's laptop",
    route="/mcp",
    server="github",
    method="tools/call",
    tool="search",
    decision=Verdict.ALLOWED,
    rule="/acl/roles/dev/1",
    reason="role dev may read",
    client_ip="127.0.0.1",
    client_name="claude-code",
)


def a_record(**changes: Any) -> Record:
    """Return a record with an id of its own."""
    return structs.replace(RECORD, **{"id": uuid4(), **changes})


def its_settlement(record: Record, outcome: Outcome = Outcome.OK, **changes: Any) -> Settlement:
    """Return a settlement a quarter of a second after the record."""
    settlement = Settlement(record.id, record.at + timedelta(milliseconds=250), outcome, 0.25)
    return structs.replace(settlement, **changes)


def ended(entry: RecordEntry) -> Settlement:
    """Return the settlement of an entry that must have one."""
    assert entry.settlement is not None
    return entry.settlement


class TickingClock:
    """A clock that is one second later each time it is asked."""

    def __init__(self, at: datetime = START) -> None:
        self._at = at

    def now(self) -> datetime:
        self._at += timedelta(seconds=1)
        return self._at

    def monotonic(self) -> float:
        return time.monotonic()


class MemoryLedger:
    """Implements `ports.Ledger` without a disk. Set `failing` to make every write raise."""

    def __init__(self) -> None:
        self.failing = False
        self.entries: list[RecordEntry] = []
        self._open: dict[UUID, int] = {}
        self._settled: list[RecordEntry] = []
        self._news: set[asyncio.Event] = set()
        self._closed = False

    async def record(self, record: Record) -> None:
        self._may_write()
        if record.id in self._open:
            raise LedgerUnavailable(f"record {record.id} is open already")
        self._open[record.id] = len(self.entries)
        self.entries.append(RecordEntry(len(self.entries) + 1, record, None))

    async def settle(self, settlement: Settlement) -> Receipt:
        self._may_write()
        index = self._open.pop(settlement.record_id, None)
        if index is None:
            raise LedgerUnavailable(f"record {settlement.record_id} is not open")
        self.entries[index] = structs.replace(self.entries[index], settlement=settlement)
        self._settled.append(self.entries[index])
        self._tell()
        return Receipt(len(self._settled), bytes(32))

    async def record_settled(self, record: Record, settlement: Settlement) -> Receipt:
        await self.record(record)
        return await self.settle(settlement)

    async def look(self, wanted: RecordFilter) -> Looked:
        return Looked(await self.list(wanted))

    async def list(self, wanted: RecordFilter) -> Sequence[RecordEntry]:
        found = [entry for entry in self.entries if matches(entry, wanted)]
        return found[max(0, len(found) - wanted.limit) :]

    def follow(self, wanted: RecordFilter) -> AsyncGenerator[RecordEntry, None]:
        return self._follow(wanted, len(self._settled) if wanted.after is None else 0)

    async def _follow(self, wanted: RecordFilter, cursor: int) -> AsyncGenerator[RecordEntry, None]:
        news = asyncio.Event()
        self._news.add(news)
        try:
            while True:
                while cursor < len(self._settled):
                    cursor += 1
                    if matches(self._settled[cursor - 1], wanted):
                        yield self._settled[cursor - 1]
                if self._closed:
                    return
                news.clear()
                await news.wait()
        finally:
            self._news.discard(news)

    async def close(self) -> None:
        self._closed = True
        self._tell()

    def _may_write(self) -> None:
        if self.failing or self._closed:
            raise LedgerUnavailable("the record cannot be written: a test says so")

    def _tell(self) -> None:
        for news in self._news:
            news.set()
