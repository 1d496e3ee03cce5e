"""Reading the record back, in SQLAlchemy Core, for `coatcheck logs` and for followers."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, func, select

from coatcheck.model.record import RecordEntry, RecordFilter
from coatcheck.store.records.conditions import bounds_of, conditions_of
from coatcheck.store.records.rows import ENTRIES, entry_of, sequence_of
from coatcheck.store.tables import record, settlement

PAGE: Final = 500
"""Entries that a follower who lags reads at a time."""


def list_entries(connection: Connection, wanted: RecordFilter) -> list[RecordEntry]:
    """Return the newest `limit` matching entries, oldest first."""
    conditions = conditions_of(connection, wanted) + bounds_of(connection, wanted)
    newest = ENTRIES.where(*conditions).order_by(record.c.position.desc()).limit(max(wanted.limit, 0))
    found = [entry_of(row) for row in connection.execute(newest)]
    found.reverse()
    return found


def page_settled(
    connection: Connection, wanted: RecordFilter, after: int, through: int, most: int = PAGE
) -> list[tuple[int, RecordEntry]]:
    """Return up to `most` matching entries settled after sequence `after`, in the order of settling.

    Each comes with its sequence; none is beyond sequence `through`.
    """
    sequence = settlement.c.sequence
    page = (
        ENTRIES.where(sequence > after, sequence <= through, *conditions_of(connection, wanted))
        .order_by(sequence)
        .limit(most)
    )
    return [(sequence_of(row), entry_of(row)) for row in connection.execute(page)]


def first_sequence_beyond(connection: Connection, position: int) -> int | None:
    """Return the first sequence among the settlements of records after `position`, or None."""
    first = select(func.min(settlement.c.sequence)).where(settlement.c.position > position)
    return connection.execute(first).scalar_one_or_none()
