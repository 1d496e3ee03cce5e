"""The table of segments: parts of the chain that were sealed in files, and are in no other table any more."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from coatcheck.model.chain import Head
from coatcheck.model.segment import Segment
from coatcheck.store.tables import segment


def segments_in(reading: Connection) -> list[Segment]:
    """Return every segment, oldest first."""
    at = segment.c
    columns = (at.first, at.last, at.prev, at.hash, at.entries, at.at, at.file, at.sha256)
    rows = reading.execute(select(*columns).order_by(at.first))
    return [
        Segment(int(row[0]), int(row[1]), bytes(row[2]), bytes(row[3]), int(row[4]), row[5], row[6], row[7])
        for row in rows
    ]


def sealed_head(reading: Connection) -> Head | None:
    """Return number and hash of the last entry that was sealed; None if none was."""
    row = reading.execute(
        select(segment.c.last, segment.c.hash).order_by(segment.c.last.desc()).limit(1)
    ).first()
    return None if row is None else Head(int(row[0]), bytes(row[1]))


def add_segment(writing: Connection, made: Segment) -> None:
    """Keep what became of a part of the chain."""
    row = {name: getattr(made, name) for name in Segment.__slots__}
    writing.execute(insert(segment).values(row))
