"""Reading the chain back, entry by entry from all three tables, each row checked against its own bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, func, select

from coatcheck.core.recording.stored import change_of, record_of, settlement_of
from coatcheck.model.chain import Checkpoint, EntryKind, Link
from coatcheck.store import tables
from coatcheck.store.records.rows import RECORD, SETTLEMENT
from coatcheck.store.registry.changes import COLUMNS, change_in

SPAN: Final = 1_000
"""Numbers read at a time. Each number is one entry, so this bounds what is held."""

_KEYS: Final[dict[EntryKind, ColumnElement[int]]] = {
    EntryKind.RECORD: tables.record.c.position,
    EntryKind.SETTLEMENT: tables.settlement.c.sequence,
    EntryKind.CHANGE: tables.change.c.position,
}
_TABLES: Final = {
    EntryKind.RECORD: tables.record,
    EntryKind.SETTLEMENT: tables.settlement,
    EntryKind.CHANGE: tables.change,
}


@dataclass(frozen=True, slots=True)
class Found:
    """One row. `link` is None where it has no place in the chain; `odd` says what is wrong with it."""

    seq: int
    kind: EntryKind
    link: Link | None
    odd: str = ""


def links_after(reading: Connection, after: int, limit: int) -> list[Link]:
    """Return up to `limit` entries after a number, in their order; fewer only at the end.

    What is not in the chain, or cannot be read, is left out.
    """
    found: list[Link] = []
    while len(found) < limit and (first := next_after(reading, after)) is not None:
        after = first - 1 + min(limit, SPAN)
        found += [link for kind in EntryKind for link in _links(reading, kind, first, after)]
        found.sort(key=lambda link: link.seq)
    return found[:limit]


def next_after(reading: Connection, after: int) -> int | None:
    """Return the first number after one that any entry has."""
    firsts = [
        reading.execute(select(func.min(key)).where(key > after)).scalar_one_or_none()
        for key in _KEYS.values()
    ]
    return min((int(first) for first in firsts if first is not None), default=None)


def found_between(reading: Connection, first: int, last: int) -> list[Found]:
    """Return every row with a number from `first` to `last`, in order, checked against its stored bytes."""
    found = [one for kind in EntryKind for one in _found(reading, kind, first, last)]
    found.sort(key=lambda one: one.seq)
    return found


def count_until(reading: Connection, last: int) -> int:
    """Return how many entries have a number up to `last`."""
    return sum(
        int(reading.execute(select(func.count()).where(key <= last)).scalar_one()) for key in _KEYS.values()
    )


def link_at(reading: Connection, seq: int) -> Link | None:
    """Return the entry with a number, or None."""
    for kind in EntryKind:
        for link in _links(reading, kind, seq, seq):
            return link
    return None


def checkpoints_after(reading: Connection, after: int, limit: int) -> list[Checkpoint]:
    """Return checkpoints of numbers after one, in their order, as the table says them."""
    at = tables.checkpoint.c
    log = reading.execute(select(tables.chain.c.log)).scalar_one()
    page = select(at.seq, at.hash, at.at, at.note).where(at.seq > after).order_by(at.seq).limit(limit)
    return [Checkpoint(log, int(row[0]), bytes(row[1]), row[2], row[3]) for row in reading.execute(page)]


def last_checkpoint(reading: Connection) -> int:
    """Return the number that the last checkpoint is of; 0 if there is none."""
    return int(reading.execute(select(func.max(tables.checkpoint.c.seq))).scalar_one() or 0)


def _links(reading: Connection, kind: EntryKind, first: int, last: int) -> Iterator[Link]:
    table, key = _TABLES[kind], _KEYS[kind]
    rows = (
        select(key, table.c.stored, table.c.hash)
        .where(key.between(first, last), table.c.hash.is_not(None))
        .order_by(key)
    )
    for seq, stored, hash in reading.execute(rows):
        if isinstance(stored, bytes) and isinstance(hash, bytes):
            yield Link(int(seq), kind, stored, hash)


def _found(reading: Connection, kind: EntryKind, first: int, last: int) -> Iterator[Found]:
    result = reading.execute(_ROWS[kind].where(_KEYS[kind].between(first, last)).order_by(_KEYS[kind]))
    seq = first
    while True:
        try:
            row = result.fetchone()
        except (ValueError, TypeError, OverflowError, UnicodeDecodeError) as error:
            odd = f"a {kind} among entries {seq} to {last} cannot be read: {type(error).__name__}"
            yield Found(seq, kind, None, odd)
            return
        if row is None:
            return
        seq = int(row[0])
        yield _one(kind, seq, row)


def _one(kind: EntryKind, seq: int, row: Sequence[Any]) -> Found:
    stored, hash = row[1], row[2]
    if not isinstance(stored, bytes) or not isinstance(hash, bytes):
        return Found(seq, kind, None, f"{kind} {seq} is not in the chain")
    link = Link(seq, kind, stored, hash)
    try:
        fits = _fits(kind, row, stored)
    except (ValueError, TypeError) as error:
        return Found(seq, kind, link, f"the columns of {kind} {seq} cannot be read: {type(error).__name__}")
    return Found(seq, kind, link, "" if fits else f"the columns of {kind} {seq} do not say what it says")


def _fits(kind: EntryKind, row: Sequence[Any], stored: bytes) -> bool:
    if kind is EntryKind.RECORD:
        return RECORD.fits(row[3:], record_of(stored))
    if kind is EntryKind.CHANGE:
        return change_in(row[2:]) == change_of(stored)
    of, settlement = settlement_of(stored)
    return row[3] == of and SETTLEMENT.fits(row[4:], settlement)


def _rows(kind: EntryKind, *columns: ColumnElement[Any]) -> Select[Any]:
    table = _TABLES[kind]
    return select(_KEYS[kind], table.c.stored, table.c.hash, *columns)


_ROWS: Final = {
    EntryKind.RECORD: _rows(EntryKind.RECORD, *RECORD.columns),
    EntryKind.SETTLEMENT: _rows(EntryKind.SETTLEMENT, tables.settlement.c.position, *SETTLEMENT.columns),
    EntryKind.CHANGE: _rows(EntryKind.CHANGE, *COLUMNS[1:]),
}
