"""Brings the book and the database together when the writer opens: at start, and after a failure.

Records that no one will settle any more get the outcome `unknown`, so that none stays open for ever: those of
a gateway that died, those whose settlement failed, and those that failed but reached the disk all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from coatcheck.model.record import Outcome, Settlement
from coatcheck.store.engines.driver import Driver
from coatcheck.store.records.journal import Book
from coatcheck.store.records.rows import settlement_row
from coatcheck.store.records.statements import WRITER, Statements

STOPPED: Final = "the gateway stopped before the outcome was recorded"
UNCONFIRMED: Final = "the record could not be confirmed in time, so the request was not sent"
WITHHELD: Final = "the outcome ({outcome}) could not be recorded in time, so the answer was withheld"


def reconcile(
    driver: Driver,
    say: Statements,
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
        Exception: what `Database.faults` says; nothing was written.
    """
    driver.begin()
    position, sequence = _number(driver, say.last_record), _number(driver, say.last_settlement)
    through = _number(driver, say.through, WRITER)
    unsettled = [(at, _uuid_of(raw)) for at, raw in driver.run(say.unsettled, (through,))]
    rows: list[tuple[object, ...]] = []
    kept = {}
    for at, id in unsettled:
        if id in book.open and id not in owed:
            kept[id] = book.open[id]
            continue
        mark = _mark(id, owed.get(id), now, fresh=fresh)
        rows.append(settlement_row(sequence + len(rows) + 1, at, mark))
    if rows:
        driver.run_many(say.insert_settlement, rows)
    through = min((at for at, _ in kept.values()), default=position + 1) - 1
    note_through(driver, say, through)
    driver.commit()
    book.position, book.sequence, book.open = position, sequence + len(rows), kept


def note_through(driver: Driver, say: Statements, position: int) -> None:
    """Write down the position up to which every record is settled."""
    driver.run(say.set_through, (WRITER, position, position))


def _number(driver: Driver, statement: str, *values: object) -> int:
    for (number,) in driver.run(statement, values):
        return int(number)
    return 0


def _uuid_of(raw: bytes | UUID) -> UUID:
    return raw if isinstance(raw, UUID) else UUID(bytes=raw)


def _mark(id: UUID, owed: Settlement | None, now: datetime, *, fresh: bool) -> Settlement:
    if owed is not None:
        detail = WITHHELD.format(outcome=owed.outcome.value)
        return Settlement(id, owed.at, Outcome.UNKNOWN, owed.seconds, detail)
    return Settlement(id, now, Outcome.UNKNOWN, 0.0, STOPPED if fresh else UNCONFIRMED)
