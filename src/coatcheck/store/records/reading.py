"""Reading the record back, in SQLAlchemy Core, for `coatcheck logs` and for followers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, select

from coatcheck.model.reading import Looked
from coatcheck.model.record import RecordEntry, RecordFilter
from coatcheck.store.records.conditions import bounds_of, conditions_of, meaning_of
from coatcheck.store.records.rows import ENTRIES, entry_of, sequence_of
from coatcheck.store.tables import record, settlement

LOOKED: Final = 100_000
"""Numbers of the chain that are looked through for what is hard to find; half of them are records."""
PAGE: Final = 500
"""Entries that a follower who lags reads at a time."""


def list_entries(connection: Connection, wanted: RecordFilter) -> list[RecordEntry]:
    """Return the newest `limit` matching entries, oldest first, however long that takes."""
    conditions = conditions_of(connection, wanted) + bounds_of(connection, wanted)
    return _newest(connection, conditions, wanted.limit)


def look_back(connection: Connection, wanted: RecordFilter) -> Looked:
    """Return the same, or of what is hard to find only what is among the newest entries."""
    meaning, bounds = meaning_of(connection, wanted), bounds_of(connection, wanted)
    if not meaning.is_hard:
        return Looked(_newest(connection, meaning.conditions + bounds, wanted.limit))
    around = _in_positions(wanted) + bounds
    top = connection.execute(select(func.max(record.c.position)).where(*around)).scalar_one_or_none()
    if top is None:
        return Looked([])
    floor = int(top) - LOOKED
    near = [*meaning.conditions, *bounds, record.c.position > floor]
    found = _newest(connection, near, wanted.limit)
    if len(found) == wanted.limit:
        return Looked(found)
    older = select(record.c.position).where(*around, record.c.position <= floor).limit(1)
    if connection.execute(older).first() is None:
        return Looked(found)
    oldest = select(record.c.at).where(record.c.position > floor).order_by(record.c.position).limit(1)
    return Looked(found, floor + 1, connection.execute(oldest).scalar_one())


def _in_positions(wanted: RecordFilter) -> list[ColumnElement[bool]]:
    found = []
    if wanted.after is not None:
        found.append(record.c.position > wanted.after)
    if wanted.before is not None:
        found.append(record.c.position < wanted.before)
    return found


def _newest(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], limit: int
) -> list[RecordEntry]:
    newest = ENTRIES.where(*conditions).order_by(record.c.position.desc()).limit(max(limit, 0))
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
