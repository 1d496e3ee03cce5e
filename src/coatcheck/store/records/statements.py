"""The few statements of the ledger's hot path, compiled once by SQLAlchemy for each database's own driver."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import Dialect, Table, bindparam, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from coatcheck.store.tables import record, settled_through, settlement

WRITER: Final = "gateway"
"""Our row in `settled_through`; with several replicas each will have its own."""


@dataclass(frozen=True, slots=True)
class Statements:
    """SQL texts with positional values. Rows are in the order of the tables' columns.

    `last_record` and `last_settlement` give the last key; `through` (writer) the position up to which all is
    settled; `unsettled` (that position) gives position and id of the open records, oldest first;
    `set_through` takes the writer, and a position twice.
    """

    insert_record: str
    insert_settlement: str
    last_record: str
    last_settlement: str
    through: str
    unsettled: str
    set_through: str


@cache
def statements_for(dialect: str) -> Statements:
    """Return the statements for `sqlite` or `postgresql`."""
    return _on_sqlite() if dialect == "sqlite" else _on_postgresql()


def _on_sqlite() -> Statements:
    words = sqlite.dialect(paramstyle="qmark")
    # SQLite's own table, which Core does not know, remembers keys whose rows are gone.
    last = "SELECT seq FROM sqlite_sequence WHERE name = '{}'"
    return _statements(
        words, sqlite.insert(settled_through), last.format("record"), last.format("settlement")
    )


def _on_postgresql() -> Statements:
    from sqlalchemy.dialects.postgresql import psycopg

    words = psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
    noted = select(settled_through.c.position).where(settled_through.c.writer == WRITER).scalar_subquery()
    last = select(func.greatest(func.max(record.c.position), noted, 0))
    last_settled = select(func.coalesce(func.max(settlement.c.sequence), 0))
    literally = {"literal_binds": True}
    texts = [str(one.compile(dialect=words, compile_kwargs=literally)) for one in (last, last_settled)]
    return _statements(words, postgresql.insert(settled_through), *texts)


def _statements(words: Dialect, upsert: Any, last_record: str, last_settlement: str) -> Statements:
    def text(statement: Any) -> str:
        return str(statement.compile(dialect=words))

    def inserting(table: Table) -> str:
        return text(insert(table))

    through = select(settled_through.c.position).where(settled_through.c.writer == bindparam("writer"))
    unsettled = (
        select(record.c.position, record.c.id)
        .select_from(record.outerjoin(settlement, settlement.c.position == record.c.position))
        .where(record.c.position > bindparam("through"), settlement.c.position.is_(None))
        .order_by(record.c.position)
    )
    set_through = upsert.values(
        writer=bindparam("writer"), position=bindparam("position")
    ).on_conflict_do_update(index_elements=["writer"], set_={"position": bindparam("again")})
    return Statements(
        inserting(record),
        inserting(settlement),
        last_record,
        last_settlement,
        text(through),
        text(unsettled),
        text(set_through),
    )
