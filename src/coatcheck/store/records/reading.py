"""Reading the record back, in SQLAlchemy Core, for `coatcheck logs` and for followers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select, text, union_all

from coatcheck.model.record import RecordEntry, RecordFilter, Verdict
from coatcheck.store.records.rows import ENTRIES, entry_of, sequence_of
from coatcheck.store.tables import NOT_ALLOWED, NOT_OK, record, settlement

PAGE: Final = 500
"""Entries that a follower who lags reads at a time."""

FEW: Final = 10_000
"""If fewer records than this are late enough, the first of them bounds the search."""

_BEYOND: Final = 1 << 62

_ERRORS = union_all(
    select(record.c.position).where(text(NOT_ALLOWED)),
    select(settlement.c.position).where(text(NOT_OK)),
)


def list_entries(connection: Connection, wanted: RecordFilter) -> list[RecordEntry]:
    """Return the newest `limit` matching entries, oldest first."""
    conditions = _conditions(wanted)
    if wanted.since is not None and (floor := _floor(connection, wanted.since)) is not None:
        conditions.append(record.c.position >= floor)
    newest = ENTRIES.where(*conditions).order_by(record.c.position.desc()).limit(max(wanted.limit, 0))
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


def _floor(connection: Connection, since: datetime) -> int | None:
    """Return a position before which nothing is as late as `since`, or None if that is not cheap to tell.

    Without it, a search that finds less than its limit would read back to the first record ever. Positions
    only nearly grow with time, since clocks are set back, so the earliest time does not tell.
    """
    late = select(record.c.position).where(record.c.at >= since).order_by(record.c.at).limit(FEW).subquery()
    first, count = connection.execute(select(func.min(late.c.position), func.count())).one()
    if count == FEW:
        return None
    return _BEYOND if first is None else int(first)


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
    if wanted.before is not None:
        conditions.append(record.c.position < wanted.before)
    if wanted.errors:
        conditions.append(record.c.position.in_(_ERRORS.scalar_subquery()))
    return conditions
