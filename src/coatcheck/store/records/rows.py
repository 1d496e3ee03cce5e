"""Between the nouns of the record and the rows of its tables, on the one path that is paid for each call.

SQLAlchemy compiles the two inserts once for each database (`statements`); rows then go to the driver as plain
tuples in column order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Select, select

from coatcheck.model.record import Outcome, Record, RecordEntry, Settlement, Verdict
from coatcheck.store import tables
from coatcheck.store.columns import micros_of


def record_row(position: int, record: Record) -> tuple[object, ...]:
    """Return the row of a record, in the order of the table's columns."""
    return (
        position,
        record.id.bytes,
        micros_of(record.at),
        record.subject,
        record.grant_id,
        record.grant_label,
        record.route,
        record.server,
        record.method,
        record.tool,
        record.decision.value,
        record.rule,
        record.reason,
        record.client_ip,
        record.client_name,
        record.client_version,
        record.arguments,
        record.repeats,
    )


def settlement_row(sequence: int, position: int, settlement: Settlement) -> tuple[object, ...]:
    """Return the row of a settlement, in the order of the table's columns."""
    return (
        sequence,
        position,
        micros_of(settlement.at),
        settlement.outcome.value,
        settlement.seconds,
        settlement.detail,
    )


def writable(row: tuple[object, ...], spelt: Callable[[str], str]) -> tuple[object, ...]:
    """Return a row whose text can be stored: `spelt` spells out what the database has no place for."""
    return tuple(spelt(value) if isinstance(value, str) else value for value in row)


_SETTLED = (tables.settlement.c.at, tables.settlement.c.outcome, tables.settlement.c.seconds)

ENTRIES: Final[Select[Any]] = select(
    *tables.record.c, *_SETTLED, tables.settlement.c.detail, tables.settlement.c.sequence
).select_from(
    tables.record.outerjoin(tables.settlement, tables.settlement.c.position == tables.record.c.position)
)
"""Every record with its settlement, if any; rows are read by `entry_of` and `sequence_of`."""


def entry_of(row: Sequence[Any]) -> RecordEntry:
    """Read one row of `ENTRIES`."""
    settlement = None if row[18] is None else _settlement_of(row)
    return RecordEntry(row[0], _record_of(row), settlement)


def sequence_of(row: Sequence[Any]) -> int:
    """Return the place of a row of `ENTRIES` in the order of settling; 0 if it is not settled."""
    return int(row[22] or 0)


def _record_of(row: Sequence[Any]) -> Record:
    values: list[Any] = list(row[1:18])
    values[9] = Verdict(values[9])
    return Record(*values)


def _settlement_of(row: Sequence[Any]) -> Settlement:
    at, outcome, seconds, detail = row[18:22]
    return Settlement(row[1], at, Outcome(outcome), seconds, detail)
