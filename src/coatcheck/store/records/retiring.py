"""Takes the oldest part of the chain out of the tables, once it is sealed in a file."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection, Table, delete, func, select

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.change import Change
from coatcheck.model.reading import Stretch
from coatcheck.model.segment import Segment
from coatcheck.store.chain import Growth, beginning_in, head_in
from coatcheck.store.copies import list_cursors
from coatcheck.store.engines.database import Database
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.records.chained import link_at
from coatcheck.store.records.segments import add_segment, sealed_head, segments_in
from coatcheck.store.registry.changes import insert_changes
from coatcheck.store.tables import change, record, settlement, used

SLICE: Final = 2_000
"""Numbers whose rows are removed in one transaction; calls are recorded between two of them."""
PAUSE_SECONDS: Final = 0.02

_KEYS: Final = ((record, record.c.position), (settlement, settlement.c.sequence), (change, change.c.position))


class StoredSegments:
    """Implements `ports.Segments` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> list[Segment]:
        """Return every segment, oldest first."""
        return await self._database.read(segments_in)

    async def oldest(self, before: datetime) -> Stretch | None:
        """Return the entries from before a time that can be sealed; None if there are none.

        They end before the first record that is still under way.
        """
        return await self._database.read(lambda reading: oldest_in(reading, before))

    async def cursors(self) -> dict[str, int]:
        """Return how far each sink has come."""
        return await self._database.read(list_cursors)

    async def add(self, segment: Segment, made: Change) -> None:
        """Keep what became of a part, with the change that says who had it sealed."""

        def write(writing: Connection, growth: Growth) -> None:
            add_segment(writing, segment)
            insert_changes(writing, growth, [made])

        try:
            await self._database.write_chained(write)
        except StoreUnavailable as error:
            raise LedgerUnavailable(f"the segment cannot be kept: {error.message}", fix=error.fix) from None

    async def clear(self) -> None:
        """Remove the rows of everything that is sealed; also what was left by a stop in the middle of it."""
        last = await self._database.read(sealed_head)
        if last is None:
            return
        beginning = await self._database.read(beginning_in)
        first = beginning.seq
        while (found := await self._first(first, last.seq)) is not None:
            first = min(found + SLICE, last.seq + 1) - 1
            await self._database.write(partial(_remove, first=found, last=first))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _first(self, after: int, last: int) -> int | None:
        def read(reading: Connection) -> int | None:
            firsts = [_first_of(reading, table, after, last) for table, _ in _KEYS]
            return min((one for one in firsts if one is not None), default=None)

        return await self._database.read(read)


def oldest_in(reading: Connection, before: datetime) -> Stretch | None:
    """Return the entries from before a time that can be sealed."""
    beginning, head = beginning_in(reading), head_in(reading)
    start = sealed_head(reading)
    after, prev = (start.seq, start.hash) if start is not None else (beginning.seq, beginning.prev)
    open_ones = (
        select(func.min(record.c.position))
        .select_from(record.outerjoin(settlement, settlement.c.position == record.c.position))
        .where(record.c.position > after, settlement.c.position.is_(None))
    )
    bounds = (
        select(func.min(record.c.position)).where(record.c.at >= before),
        select(func.min(change.c.position)).where(change.c.at >= before),
        open_ones,
    )
    found = (reading.execute(one).scalar_one_or_none() for one in bounds)
    through = min([head.seq, *(int(first) - 1 for first in found if first is not None)])
    if through <= after:
        return None
    last = link_at(reading, through)
    if last is None:
        raise LedgerUnavailable(
            f"entry {through} of the record is not there any more", fix="run `coatcheck audit verify`"
        )
    return Stretch(beginning.log, after, prev, through, start is None, beginning.before, last.hash)


def _first_of(reading: Connection, table: Table, after: int, last: int) -> int | None:
    column = table.primary_key.columns.values()[0]
    asked = select(func.min(column)).where(column > after, column <= last, table.c.hash.is_not(None))
    found = reading.execute(asked).scalar_one_or_none()
    return None if found is None else int(found)


def _remove(writing: Connection, first: int, last: int) -> None:
    for table, key in _KEYS:
        writing.execute(delete(table).where(key.between(first, last), table.c.hash.is_not(None)))
    writing.execute(delete(used).where(used.c.position.between(first, last)))
