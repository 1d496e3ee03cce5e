"""Brings the book and the database together when the writer opens: at start, and after a failure.

Records that no one will settle any more get the outcome `unknown`, so that none stays open for ever: those of
a gateway that died, those whose settlement failed, and those that failed but reached the disk all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from coatcheck.core.recording.stored import record_of, stored_settlement
from coatcheck.model.chain import EntryKind, Head
from coatcheck.model.record import Outcome, RecordEntry, Settlement
from coatcheck.store.chain import Chain, Growth, head_from
from coatcheck.store.engines.driver import Driver
from coatcheck.store.faults import ChainMoved
from coatcheck.store.records.journal import Book
from coatcheck.store.records.rows import settlement_row, used_rows
from coatcheck.store.records.statements import WRITER, Statements

STOPPED: Final = "the gateway stopped before the outcome was recorded"
UNCONFIRMED: Final = "the record could not be confirmed in time, so the request was not sent"
WITHHELD: Final = "the outcome ({outcome}) could not be recorded in time, so the answer was withheld"


def reconcile(
    driver: Driver,
    say: Statements,
    chain: Chain,
    book: Book,
    owed: Mapping[UUID, Settlement],
    now: datetime,
    *,
    fresh: bool,
) -> None:
    """Settle what no one else will, in one transaction, and set the book's keys from the database.

    `owed` are settlements that failed; `fresh` tells a start from a recovery. The book is changed only
    once the transaction is durable; it also proves that the database takes writes.

    Raises:
        ChainMoved: the chain is not where this process left it.
        Exception: what `Database.faults` says; nothing was written.
    """
    driver.begin()
    head = head_of(driver, say)
    with chain.growing(lambda: head) as growth:
        through = _number(driver, say.through, WRITER)
        unsettled = [(at, _uuid_of(raw), told) for at, raw, told in driver.run(say.unsettled, (through,))]
        rows: list[tuple[object, ...]] = []
        used: list[tuple[object, ...]] = []
        kept = {}
        for at, id, told in unsettled:
            if id in book.open and id not in owed:
                kept[id] = book.open[id]
                continue
            mark = _mark(id, owed.get(id), now, fresh=fresh)
            stored = stored_settlement(at, mark)
            sequence = growth.add(EntryKind.SETTLEMENT, stored)
            rows.append(settlement_row(sequence, at, mark, stored, growth.hash))
            used += _used(at, told, mark)
        if rows:
            driver.run_many(say.insert_settlement, rows)
        if used:
            driver.run_many(say.insert_used, used)
        through = min((at for at, _ in kept.values()), default=growth.seq + 1) - 1
        note_through(driver, say, through)
        move_on(driver, say, growth)
        driver.commit()
    book.position = book.sequence = growth.seq
    book.settled += len(rows) + 1  # what else came another way, nobody counted
    book.open = kept


def head_of(driver: Driver, say: Statements) -> Head | None:
    """Return where the chain stands, and let nobody else move it on until the transaction ends.

    None: the database does not say.
    """
    for seq, hash in list(driver.run(say.head)):
        return head_from(seq, hash)
    return None


def move_on(driver: Driver, say: Statements, growth: Growth) -> None:
    """Move the chain on by what was added.

    Raises:
        ChainMoved: it does not stand any more where it was thought to.
    """
    start = growth.start
    if growth.seq == start.seq:
        return
    new, old = memoryview(growth.hash), memoryview(start.hash)
    if not list(driver.run(say.move, (growth.seq, new, start.seq, old))):
        raise ChainMoved(head_of(driver, say))


def note_through(driver: Driver, say: Statements, position: int) -> None:
    """Write down the position up to which every record is settled."""
    driver.run(say.set_through, (WRITER, position, position))


def _number(driver: Driver, statement: str, *values: object) -> int:
    for (number,) in driver.run(statement, values):
        return int(number)
    return 0


def _uuid_of(raw: bytes | UUID) -> UUID:
    return raw if isinstance(raw, UUID) else UUID(bytes=raw)


def _used(at: int, told: bytes | None, mark: Settlement) -> list[tuple[object, ...]]:
    """Return the rows of `used` for a record that nobody can tell the use of: all that it had in reach."""
    try:
        record = record_of(bytes(told or b""))
    except ValueError:  # from before the chain, or spoilt
        return []
    return used_rows(RecordEntry(at, record, mark))


def _mark(id: UUID, owed: Settlement | None, now: datetime, *, fresh: bool) -> Settlement:
    if owed is not None:
        detail = WITHHELD.format(outcome=owed.outcome.value)
        return Settlement(id, owed.at, Outcome.UNKNOWN, owed.seconds, detail)
    return Settlement(id, now, Outcome.UNKNOWN, 0.0, STOPPED if fresh else UNCONFIRMED)
