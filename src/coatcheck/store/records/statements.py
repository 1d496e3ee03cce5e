"""The few statements of the ledger's hot path, compiled once by SQLAlchemy for each database's own driver."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import Dialect, Table, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from coatcheck.store.tables import chain, record, settled_through, settlement, used

WRITER: Final = "gateway"
"""Our row in `settled_through`; with several replicas each will have its own."""


@dataclass(frozen=True, slots=True)
class Statements:
    """SQL texts with positional values. Rows are in the order of the tables' columns.

    `head` gives number and hash of the chain's last entry, and keeps others from moving it; `move` moves it
    on (new number and hash, old number and hash) and gives a row if it stood there; `through` (writer) the
    position up to which all is settled; `unsettled` (that position) gives position, id and stored bytes of
    the open records, oldest first; `set_through` takes the writer, and a position twice.
    """

    insert_record: str
    insert_settlement: str
    insert_used: str
    head: str
    move: str
    through: str
    unsettled: str
    set_through: str


_HEAD: Final = update(chain).values(seq=chain.c.seq).returning(chain.c.seq, chain.c.hash)
_MOVE: Final = (
    update(chain)
    .values(seq=bindparam("new_seq"), hash=bindparam("new_hash"))
    .where(chain.c.seq == bindparam("old_seq"), chain.c.hash == bindparam("old_hash"))
    .returning(chain.c.seq)
)


@cache
def statements_for(dialect: str) -> Statements:
    """Return the statements for `sqlite` or `postgresql`."""
    return _on_sqlite() if dialect == "sqlite" else _on_postgresql()


def _on_sqlite() -> Statements:
    return _statements(sqlite.dialect(paramstyle="qmark"), sqlite.insert(settled_through))


def _on_postgresql() -> Statements:
    from sqlalchemy.dialects.postgresql import psycopg

    words = psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
    return _statements(words, postgresql.insert(settled_through))


def _statements(words: Dialect, upsert: Any) -> Statements:
    def text(statement: Any) -> str:
        return str(statement.compile(dialect=words))

    def inserting(table: Table) -> str:
        # A row that fails undoes its batch in any case: SQLite need not be able to undo its statement alone.
        return text(insert(table).prefix_with("OR ROLLBACK", dialect="sqlite"))

    through = select(settled_through.c.position).where(settled_through.c.writer == bindparam("writer"))
    unsettled = (
        select(record.c.position, record.c.id, record.c.stored)
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
        inserting(used),
        text(_HEAD),
        text(_MOVE),
        text(through),
        text(unsettled),
        text(set_through),
    )
