"""Takes the oldest part of the chain out of the tables, once it is sealed in a file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection, Table, delete, func, select

from coatcheck.core.recording.chain import entry_hash
from coatcheck.core.recording.segments import SEAL, Vouching, WhyNot, digest_of
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.chain import Beginning, Head, Link
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

_NOT_SEALED: Final = "what the store says was sealed is not what was; nothing is removed"
_LOOK: Final = "run `coatcheck audit verify`, and find out who can write the store"

_KEYS: Final = ((record, record.c.position), (settlement, settlement.c.sequence), (change, change.c.position))


class StoredSegments:
    """Implements `ports.Segments` on a database. `why_not` proves the signatures of sealings."""

    def __init__(self, database: Database, why_not: WhyNot) -> None:
        self._database = database
        self._why_not = why_not

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

    async def vouched(self) -> bytes:
        """Return the digest over every segment, once the chain vouches for all of them.

        Raises:
            LedgerUnavailable: it does not.
        """
        return (await self._database.read(self._vouched))[0]

    def _vouched(self, reading: Connection) -> tuple[bytes, range]:
        """Return the digest over every segment, and the numbers that are in them."""
        try:
            segments, beginning = segments_in(reading), beginning_in(reading)
            why = _doubt(reading, beginning, segments, self._why_not)
        except (ValueError, TypeError, OverflowError) as error:
            why = f"a column of theirs holds what it never holds: {type(error).__name__}"
        if why:
            raise LedgerUnavailable(f"{_NOT_SEALED}: {why}", fix=_LOOK)
        last = segments[-1].last if segments else beginning.seq
        return digest_of(beginning.prev, segments), range(beginning.seq + 1, last + 1)

    async def clear(self) -> None:
        """Remove the rows of everything that is sealed; also what was left by a stop in the middle of it.

        Raises:
            LedgerUnavailable: the chain does not say that it was sealed; nothing is removed.
        """
        _, numbers = await self._database.read(self._vouched)
        first, last = numbers.start - 1, numbers.stop - 1
        while (found := await self._first(first, last)) is not None:
            first = min(found + SLICE, last + 1) - 1
            await self._database.write(partial(_remove, first=found, last=first))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _first(self, after: int, last: int) -> int | None:
        def read(reading: Connection) -> int | None:
            firsts = [_first_of(reading, table, after, last) for table, _ in _KEYS]
            return min((one for one in firsts if one is not None), default=None)

        return await self._database.read(read)


def _doubt(reading: Connection, beginning: Beginning, segments: Sequence[Segment], why_not: WhyNot) -> str:
    """Return why the table of segments is not to be believed; empty if the chain vouches for all of it."""
    if not segments:
        return ""
    end = segments[-1]
    found = select(func.max(change.c.position)).where(change.c.action == SEAL, change.c.position > end.last)
    seq = reading.execute(found).scalar_one_or_none()
    sealing = None if seq is None else link_at(reading, int(seq))
    if sealing is None:
        return f"the chain does not say that entries {end.first} to {end.last} were sealed"
    if not _follows(reading, sealing, Head(end.last, end.hash)):
        return f"change {sealing.seq} is not as it was written"
    vouching = Vouching(beginning.prev, segments, why_not)
    findings = [vouching.take(sealing), *vouching.end()]
    for finding in findings:
        if finding is not None:
            return finding.words
    left = link_at(reading, end.last)
    if left is not None and left.hash != end.hash:
        return f"entry {end.last} in the store is another than the one that was sealed"
    return ""


def _follows(reading: Connection, link: Link, sealed: Head) -> bool:
    """Tell whether an entry has its place in the chain, by its hash and that of the entry before."""
    before = link_at(reading, link.seq - 1)
    prev = before.hash if before is not None else sealed.hash if link.seq - 1 == sealed.seq else b""
    return entry_hash(link.seq, link.kind, prev, link.stored) == link.hash


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
