"""Checks what tables beside the chain say of records: the credentials they used, and that they ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Select, or_, select

from coatcheck.core.recording.stored import record_of, settlement_of
from coatcheck.model.record import RecordEntry
from coatcheck.store.records.rows import used_rows
from coatcheck.store.tables import record, settlement, used

_SETTLED: Final[Select[Any]] = (
    select(settlement.c.position, record.c.stored, settlement.c.stored)
    .join(record, record.c.position == settlement.c.position)
    .where(record.c.stored.is_not(None), settlement.c.stored.is_not(None))
)
_USED: Final[Select[Any]] = select(*used.c).join(settlement, settlement.c.position == used.c.position)
_POSITION: Final = [column.name for column in used.c].index("position")
"""Where the position is in a row, whose columns are in the table's order."""

_STRAY: Final[Select[Any]] = (
    select(used.c.position)
    .outerjoin(settlement, settlement.c.position == used.c.position)
    .outerjoin(record, record.c.position == used.c.position)
    .where(or_(settlement.c.position.is_(None), record.c.position.is_(None)))
    .limit(1)
)
_UNSETTLED: Final[Select[Any]] = (
    select(record.c.position)
    .outerjoin(settlement, settlement.c.position == record.c.position)
    .where(settlement.c.position.is_(None))
    .order_by(record.c.position)
)


def odd_uses(reading: Connection, first: int, last: int) -> list[int]:
    """Return the records, settled by entries `first` to `last`, whose credentials the table tells otherwise.

    An entry that cannot be read is left to whoever checks entries.
    """
    between = settlement.c.sequence.between(first, last)
    due, here = set[tuple[Any, ...]](), set[int]()
    for position, stored, settled in reading.execute(_SETTLED.where(between)):
        here.add(int(position))
        due.update(_due(int(position), stored, settled))
    told = {tuple(row) for row in reading.execute(_USED.where(between))}
    return sorted({row[_POSITION] for row in due ^ told} & here)


def stray_use(reading: Connection) -> int | None:
    """Return a record that the table has credentials of, and that has no outcome; None if there is none."""
    found = reading.execute(_STRAY).scalar_one_or_none()
    return None if found is None else int(found)


def unsettled(reading: Connection, first: int, last: int) -> list[int]:
    """Return the records from `first` to `last` that have no outcome."""
    rows = reading.execute(_UNSETTLED.where(record.c.position.between(first, last)))
    return [int(row[0]) for row in rows]


def _due(position: int, stored: object, settled: object) -> Iterator[tuple[Any, ...]]:
    if not isinstance(stored, bytes) or not isinstance(settled, bytes):
        return
    try:
        entry = RecordEntry(position, record_of(stored), settlement_of(settled)[1])
    except ValueError:
        return
    yield from used_rows(entry)
