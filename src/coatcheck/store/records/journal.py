"""What the writer knows of the ledger between two commits: the next keys, and which records are still open.

A batch is planned against this book without changing it; the book changes when the batch is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import Record, RecordEntry, Settlement
from coatcheck.store.records.rows import record_row, settlement_row


@dataclass(slots=True, eq=False)
class Append:
    """One caller's wish to make a record, a settlement or both durable, and what became of it."""

    done: asyncio.Future[None]
    record: Record | None = None
    settlement: Settlement | None = None
    refusal: LedgerUnavailable | None = None


@dataclass(slots=True)
class Plan:
    """The rows of one batch and what they change in the book."""

    records: list[tuple[object, ...]] = field(default_factory=list)
    settlements: list[tuple[object, ...]] = field(default_factory=list)
    opened: dict[UUID, tuple[int, Record]] = field(default_factory=dict)
    closed: set[UUID] = field(default_factory=set)
    settled: list[tuple[int, RecordEntry]] = field(default_factory=list)


class Book:
    """The keys given so far, and the open records by id with their positions, oldest first."""

    def __init__(self, position: int, sequence: int) -> None:
        self.position = position
        self.sequence = sequence
        self.open: dict[UUID, tuple[int, Record]] = {}

    def plan(self, batch: Iterable[Append]) -> Plan:
        """Return the rows for a batch. An append that fits no open record is refused, alone."""
        plan = Plan()
        for append in batch:
            if append.record is None:
                self._settle(plan, append)
            else:
                self._record(plan, append, append.record)
        return plan

    def _record(self, plan: Plan, append: Append, record: Record) -> None:
        if record.id in self.open or record.id in plan.opened:
            append.refusal = LedgerUnavailable(f"record {record.id} is open already")
            return
        position = self.position + len(plan.records) + 1
        plan.records.append(record_row(position, record))
        if append.settlement is None:
            plan.opened[record.id] = (position, record)
        else:
            self._close(plan, position, record, append.settlement)

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
        self._close(plan, found[0], found[1], settlement)

    def _close(self, plan: Plan, position: int, record: Record, settlement: Settlement) -> None:
        sequence = self.sequence + len(plan.settlements) + 1
        plan.settlements.append(settlement_row(sequence, position, settlement))
        plan.settled.append((sequence, RecordEntry(position, record, settlement)))

    def apply(self, plan: Plan) -> None:
        """Take over what a batch changed, now that it is durable."""
        self.position += len(plan.records)
        self.sequence += len(plan.settlements)
        self.open.update(plan.opened)
        for id in plan.closed:
            del self.open[id]

    @property
    def settled_through(self) -> int:
        """The position up to which every record has its settlement."""
        for position, _ in self.open.values():
            return position - 1
        return self.position
