"""The table of segments: parts of the chain that were sealed in files, and are in no other table any more."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.chain import Head
from coatcheck.model.segment import Segment
from coatcheck.store.records.chained import next_after
from coatcheck.store.tables import segment


def segments_in(reading: Connection) -> list[Segment]:
    """Return every segment, oldest first."""
    at = segment.c
    columns = (at.first, at.last, at.prev, at.hash, at.entries, at.at, at.file, at.sha256)
    rows = reading.execute(select(*columns).order_by(at.first))
    return [_segment(*row) for row in rows]


def _segment(  # what a column holds that somebody wrote to is anybody's guess
    first: Any, last: Any, prev: Any, hash: Any, entries: Any, at: datetime, file: Any, sha256: Any
) -> Segment:
    return Segment(int(first), int(last), bytes(prev), bytes(hash), int(entries), at, str(file), str(sha256))


def sealed_head(reading: Connection) -> Head | None:
    """Return number and hash of the last entry that was sealed; None if none was."""
    row = reading.execute(
        select(segment.c.last, segment.c.hash).order_by(segment.c.last.desc()).limit(1)
    ).first()
    return None if row is None else Head(int(row[0]), bytes(row[1]))


def require_removed(reading: Connection, after: int, sealed: Head | None) -> None:
    """Do nothing if of the entries after a number, those that are sealed are in no table any more.

    Raises:
        LedgerUnavailable: some are, so that what is read after them would leave them out.
    """
    first = next_after(reading, after)
    if sealed is not None and first is not None and first <= sealed.seq:
        raise LedgerUnavailable(
            f"entries {first} to {sealed.seq} are said to be in a file, and are in the store",
            fix="they are being removed: try again in some minutes; else run `coatcheck audit verify`",
        )


def add_segment(writing: Connection, made: Segment) -> None:
    """Keep what became of a part of the chain."""
    row = {name: getattr(made, name) for name in Segment.__slots__}
    writing.execute(insert(segment).values(row))
