"""Reading the record back, in SQLAlchemy Core, for `coatcheck logs` and for followers."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select, text, union_all

from coatcheck.model.record import RecordEntry, RecordFilter, Verdict
from coatcheck.store.rows import ENTRIES, entry_of, sequence_of
from coatcheck.store.tables import NOT_ALLOWED, NOT_OK, record, settlement

PAGE: Final = 500
"""Entries that a follower who lags reads at a time."""

_ERRORS = union_all(
    select(record.c.position).where(text(NOT_ALLOWED)),
    select(settlement.c.position).where(text(NOT_OK)),
)


def list_entries(connection: Connection, wanted: RecordFilter) -> list[RecordEntry]:
    """Return the newest `limit` matching entries, oldest first."""
    newest = (
        ENTRIES.where(*_conditions(wanted)).order_by(record.c.position.desc()).limit(max(wanted.limit, 0))
    )
    found = [entry_of(row) for row in connection.execute(newest)]
    found.reverse()
    return found


def page_settled(
    connection: Connection, wanted: RecordFilter, after: int, through: int
) -> list[tuple[int, RecordEntry]]:
    """Return up to `PAGE` matching entries settled after sequence `after`, in the order of settling.

    Each comes with its sequence; none is beyond sequence `through`.
    """
    sequence = settlement.c.sequence
    page = (
        ENTRIES.where(sequence > after, sequence <= through, *_conditions(wanted))
        .order_by(sequence)
        .limit(PAGE)
    )
    return [(sequence_of(row), entry_of(row)) for row in connection.execute(page)]


def first_sequence_beyond(connection: Connection, position: int) -> int | None:
    """Return the first sequence among the settlements of records after `position`, or None."""
    first = select(func.min(settlement.c.sequence)).where(settlement.c.position > position)
    return connection.execute(first).scalar_one_or_none()


def _conditions(wanted: RecordFilter) -> list[ColumnElement[bool]]:
    named: list[tuple[ColumnElement[Any], str | None]] = [
        (record.c.server, wanted.server),
        (record.c.tool, wanted.tool),
        (record.c.subject, wanted.subject),
        (record.c.decision, wanted.decision.value if wanted.decision else None),
    ]
    conditions = [column == value for column, value in named if value is not None]
    if wanted.decision not in {None, Verdict.ALLOWED}:
        conditions.append(text(f"record.{NOT_ALLOWED}"))  # type: ignore[arg-type]
    if wanted.since is not None:
        conditions.append(record.c.at >= wanted.since)
    if wanted.after is not None:
        conditions.append(record.c.position > wanted.after)
    if wanted.errors:
        conditions.append(record.c.position.in_(_ERRORS.scalar_subquery()))
    return conditions
