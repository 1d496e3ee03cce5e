"""Brings the book and the database together when the writer opens: at start, and after a failure.

Records that no one will settle any more get the outcome `unknown`, so that none stays open for ever: those of
a gateway that died, those whose settlement failed, and those that failed but reached the disk all the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert as upsert

from coatcheck.model.record import Outcome, Settlement
from coatcheck.store.journal import Book
from coatcheck.store.rows import INSERT_SETTLEMENT, settlement_row
from coatcheck.store.tables import record, settled_through, settlement

WRITER: Final = "gateway"
"""Our row in `settled_through`; with several replicas each will have its own."""

STOPPED: Final = "the gateway stopped before the outcome was recorded"
UNCONFIRMED: Final = "the record could not be confirmed in time, so the request was not sent"
WITHHELD: Final = "the outcome ({outcome}) could not be recorded in time, so the answer was withheld"

_DIALECT: Final = sqlite.dialect(paramstyle="qmark")


def _sql(statement: Any) -> str:
    return str(statement.compile(dialect=_DIALECT))


_THROUGH = _sql(select(settled_through.c.position).where(settled_through.c.writer == bindparam("writer")))
_UNSETTLED = _sql(
    select(record.c.position, record.c.id)
    .select_from(record.outerjoin(settlement, settlement.c.position == record.c.position))
    .where(record.c.position > bindparam("through"), settlement.c.position.is_(None))
    .order_by(record.c.position)
)
_SET_THROUGH = _sql(
    upsert(settled_through)
    .values(writer=bindparam("writer"), position=bindparam("position"))
    .on_conflict_do_update(index_elements=["writer"], set_={"position": bindparam("again")})
)
_LAST_KEY = "SELECT seq FROM sqlite_sequence WHERE name = ?"  # SQLite's own table: Core does not know it


def reconcile(
    connection: sqlite3.Connection, book: Book, owed: Mapping[UUID, Settlement], now: datetime, *, fresh: bool
) -> None:
    """Settle what no one else will, in one transaction, and set the book's keys from the database.

    `owed` are settlements that failed; `fresh` tells a start from a recovery. The book is changed only
    once the transaction is durable; it also proves that the database takes writes.

    Raises:
        sqlite3.Error: nothing was written.
    """
    connection.execute("BEGIN IMMEDIATE")
    position, sequence = _last_key(connection, "record"), _last_key(connection, "settlement")
    (through,) = connection.execute(_THROUGH, (WRITER,)).fetchone() or (0,)
    unsettled = [(at, UUID(bytes=raw)) for at, raw in connection.execute(_UNSETTLED, (through,))]
    rows: list[tuple[object, ...]] = []
    kept = {}
    for at, id in unsettled:
        if id in book.open and id not in owed:
            kept[id] = book.open[id]
            continue
        mark = _mark(id, owed.get(id), now, fresh=fresh)
        rows.append(settlement_row(sequence + len(rows) + 1, at, mark))
    connection.executemany(INSERT_SETTLEMENT, rows)
    through = min((at for at, _ in kept.values()), default=position + 1) - 1
    note_through(connection, through)
    connection.execute("COMMIT")
    book.position, book.sequence, book.open = position, sequence + len(rows), kept


def note_through(connection: sqlite3.Connection, position: int) -> None:
    """Write down the position up to which every record is settled."""
    connection.execute(_SET_THROUGH, (WRITER, position, position))


def _last_key(connection: sqlite3.Connection, table: str) -> int:
    (key,) = connection.execute(_LAST_KEY, (table,)).fetchone() or (0,)
    return int(key)


def _mark(id: UUID, owed: Settlement | None, now: datetime, *, fresh: bool) -> Settlement:
    if owed is not None:
        detail = WITHHELD.format(outcome=owed.outcome.value)
        return Settlement(id, owed.at, Outcome.UNKNOWN, owed.seconds, detail)
    return Settlement(id, now, Outcome.UNKNOWN, 0.0, STOPPED if fresh else UNCONFIRMED)
