"""What the writer knows of the ledger between two commits: the last keys, and which records are still open.

A batch is planned against this book without changing it; the book changes when the batch is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from coatcheck.core.recording.stored import stored_record, stored_settlement
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.chain import EntryKind
from coatcheck.model.record import Receipt, Record, RecordEntry, Settlement
from coatcheck.store.chain import Growth
from coatcheck.store.records.rows import record_row, settlement_row, used_rows, writable


@dataclass(slots=True, eq=False)
class Append:
    """One caller's wish to make a record, a settlement or both durable, and what became of it."""

    done: asyncio.Future[Receipt | None]
    record: Record | None = None
    settlement: Settlement | None = None
    refusal: LedgerUnavailable | None = None
    receipt: Receipt | None = None


@dataclass(slots=True)
class Plan:
    """The rows of one batch and what they change in the book. `spelt` spells out what cannot be stored."""

    growth: Growth
    spelt: Callable[[str], str] | None = None
    records: list[tuple[object, ...]] = field(default_factory=list)
    settlements: list[tuple[object, ...]] = field(default_factory=list)
    used: list[tuple[object, ...]] = field(default_factory=list)
    opened: dict[UUID, tuple[int, Record]] = field(default_factory=dict)
    closed: set[UUID] = field(default_factory=set)
    settled: list[tuple[int, RecordEntry]] = field(default_factory=list)

    def record(self, record: Record) -> tuple[int, Record]:
        """Chain a record; return its position, and the record as it is written."""
        if self.spelt is not None:
            record = writable(record, self.spelt)
        stored = stored_record(record)
        position = self.growth.add(EntryKind.RECORD, stored)
        self.records.append(record_row(position, record, stored, self.growth.hash))
        return position, record

    def settle(self, position: int, record: Record, settlement: Settlement) -> Receipt:
        """Chain the settlement of a record; return what proves it."""
        if self.spelt is not None:
            settlement = writable(settlement, self.spelt)
        stored = stored_settlement(position, settlement)
        sequence = self.growth.add(EntryKind.SETTLEMENT, stored)
        self.settlements.append(settlement_row(sequence, position, settlement, stored, self.growth.hash))
        entry = RecordEntry(position, record, settlement)
        self.used += used_rows(entry)
        self.settled.append((sequence, entry))
        return Receipt(sequence, self.growth.hash)


class Book:
    """The last keys given so far, and the open records by id with their positions, oldest first."""

    def __init__(self, position: int, sequence: int) -> None:
        self.position = position
        self.sequence = sequence
        self.settled = 0
        """How many settlements came this way; more than one ahead where some came another way."""
        self.open: dict[UUID, tuple[int, Record]] = {}

    def plan(self, batch: Iterable[Append], plan: Plan) -> None:
        """Plan the rows for a batch. An append that fits no open record is refused, alone.

        Raises:
            UnicodeEncodeError: a text in it holds a lone surrogate.
        """
        for append in batch:
            if append.record is None:
                self._settle(plan, append)
            else:
                self._record(plan, append, append.record)

    def _record(self, plan: Plan, append: Append, record: Record) -> None:
        if record.id in self.open or record.id in plan.opened:
            append.refusal = LedgerUnavailable(f"record {record.id} is open already")
            return
        position, record = plan.record(record)
        if append.settlement is None:
            plan.opened[record.id] = (position, record)
        else:
            append.receipt = plan.settle(position, record, append.settlement)

    def _settle(self, plan: Plan, append: Append) -> None:
        settlement = append.settlement
        if settlement is None:
            return
        id = settlement.record_id
        found = self.open.get(id) or plan.opened.get(id)
        if found is None or id in plan.closed:
            append.refusal = LedgerUnavailable(f"record {id} is not open: never recorded, or settled already")
            return
        plan.closed.add(id)
        append.receipt = plan.settle(*found, settlement)

    def apply(self, plan: Plan) -> None:
        """Take over what a batch changed, now that it is durable."""
        self.position = plan.growth.seq
        if plan.settled:
            self.sequence = plan.settled[-1][0]
            self.settled += len(plan.settled)
        self.open.update(plan.opened)
        for id in plan.closed:
            del self.open[id]

    @property
    def settled_through(self) -> int:
        """The position up to which every record has its settlement."""
        for position, _ in self.open.values():
            return position - 1
        return self.position
