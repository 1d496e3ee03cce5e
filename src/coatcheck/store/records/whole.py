"""Implements `ports.Reading`: the ledger from its first entry to its last, in pages of constant size."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence, Set
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import Connection, func, select

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.chain import Checkpoint, Head
from coatcheck.model.reading import Held, Radius, RadiusFilter, Stretch, Wanted
from coatcheck.model.record import RecordFilter
from coatcheck.store.chain import beginning_in, head_in
from coatcheck.store.engines.database import Database
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.records.chained import checkpoints_after, link_at
from coatcheck.store.records.conditions import conditions_of
from coatcheck.store.records.radius import RadiusSums, part_in
from coatcheck.store.records.rows import ENTRIES, entry_of, sequence_of
from coatcheck.store.records.segments import require_removed, sealed_head
from coatcheck.store.records.walking import first_of, is_narrow, judged_page, last_of, plain_page
from coatcheck.store.tables import change, record, settlement

_Done = TypeVar("_Done")
NEWEST: Final = 500_000
"""Numbers of the chain that are looked through for an id, which no index has."""
_HELD: Final = ENTRIES.add_columns(record.c.hash, settlement.c.hash)


class StoredReading:
    """Implements `ports.Reading` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stretch(self, wanted: RecordFilter) -> Stretch:
        """Return the part of the chain that the times of a filter stand for."""
        return await _tried(self._database.read(lambda reading: stretch_in(reading, wanted)))

    async def links(
        self,
        after: int,
        through: int,
        wanted: RecordFilter | None,
        about: Set[str] = frozenset(),
        *,
        judged: bool = False,
    ) -> tuple[Sequence[Wanted], int]:
        """Return the next entries after a number, and the number that they go to."""

        def read(reading: Connection) -> tuple[list[Wanted], int]:
            return links_in(reading, after, through, wanted, about, judged=judged)

        return await _tried(self._database.read(read))

    async def held(self, wanted: RecordFilter, after: int, most: int) -> Sequence[Held]:
        """Return the next calls that match after a position, oldest first."""
        return await _tried(self._database.read(lambda reading: held_in(reading, wanted, after, most)))

    async def find(self, id: UUID) -> int | None:
        """Return the position of the call of this id, if it is one of the newest."""
        return await _tried(self._database.read(lambda reading: find_in(reading, id)))

    async def checkpoints(self, after: int, most: int) -> Sequence[Checkpoint]:
        """Return the next checkpoints of entries after a number."""
        return await _tried(self._database.read(lambda reading: checkpoints_after(reading, after, most)))

    async def radius(self, of: RadiusFilter) -> Radius:
        """Return all that something touched, read part by part."""
        sums, after = RadiusSums(), None

        def read(reading: Connection) -> int | None:
            part = part_in(reading, of, after)
            sums.add(part)
            return part.through

        while (after := await _tried(self._database.read(read))) is not None:
            pass
        return await asyncio.to_thread(sums.told)


def stretch_in(reading: Connection, wanted: RecordFilter) -> Stretch:
    """Return the part of the chain with every entry of the times of a filter, outcomes included."""
    beginning, head, sealed = beginning_in(reading), head_in(reading), sealed_head(reading)
    require_removed(reading, beginning.seq, sealed)
    start = sealed or Head(beginning.seq, beginning.prev)
    first, through = start.seq + 1, head.seq
    if wanted.since is not None:
        records = select(func.min(record.c.position)).where(record.c.at >= wanted.since)
        changes = select(func.min(change.c.position)).where(change.c.at >= wanted.since)
        here = min(_number(reading, one, head.seq + 1) for one in (records, changes))
        first = max(first, first_of(reading, here, wanted.since))
    if wanted.until is not None:
        through = _through(reading, first, wanted.until)
    prev = start.hash if first == start.seq + 1 else _hash_at(reading, first - 1)
    whole = sealed is None and first == beginning.seq + 1
    return Stretch(
        beginning.log,
        first - 1,
        prev,
        max(through, first - 1),
        whole,
        beginning.before,
        sealed=sealed is not None and first == start.seq + 1,
    )


def _through(reading: Connection, first: int, until: datetime) -> int:
    records = select(func.max(record.c.position)).where(record.c.at < until)
    changes = select(func.max(change.c.position)).where(change.c.at < until)
    last = _number(reading, records, 0)
    ended = select(func.max(settlement.c.sequence)).where(settlement.c.position.between(first, last))
    through = max(last, _number(reading, changes, 0), _number(reading, ended, 0), first - 1)
    return last_of(reading, range(first, last + 1), through, until)


def links_in(
    reading: Connection,
    after: int,
    through: int,
    wanted: RecordFilter | None,
    about: Set[str] = frozenset(),
    *,
    judged: bool = False,
) -> tuple[list[Wanted], int]:
    """Return a page of links, and the number that it goes to."""
    if wanted is not None and (judged or is_narrow(wanted)):
        return judged_page(reading, after, through, wanted, about)
    return plain_page(reading, after, through, asked=wanted is not None)


def held_in(reading: Connection, wanted: RecordFilter, after: int, most: int) -> list[Held]:
    """Return a page of calls."""
    conditions = conditions_of(reading, wanted)
    page = _HELD.where(record.c.position > after, *conditions).order_by(record.c.position).limit(most)
    found = []
    for row in reading.execute(page):
        hash = row[-1] if sequence_of(row) else row[-2]
        found.append(Held(sequence_of(row) or int(row[0]), bytes(hash or b""), entry_of(row[:-2])))
    return found


def find_in(reading: Connection, id: UUID) -> int | None:
    """Return the position of a call among the newest."""
    top = reading.execute(select(func.max(record.c.position))).scalar_one_or_none()
    near = select(record.c.position).where(record.c.position > int(top or 0) - NEWEST, record.c.id == id)
    newest_first = near.order_by(record.c.position.desc())  # it is asked of what just went wrong
    found = reading.execute(newest_first.limit(1)).scalar_one_or_none()
    return None if found is None else int(found)


def _hash_at(reading: Connection, seq: int) -> bytes:
    link = link_at(reading, seq)
    if link is None:
        raise LedgerUnavailable(
            f"entry {seq} of the record is not there any more", fix="run `coatcheck audit verify`"
        )
    return link.hash


def _number(reading: Connection, asked: object, otherwise: int) -> int:
    found = reading.execute(asked).scalar_one_or_none()  # type: ignore[call-overload]
    return otherwise if found is None else int(found)


async def _tried(work: Awaitable[_Done]) -> _Done:
    try:
        return await work
    except StoreUnavailable as error:
        raise LedgerUnavailable(f"the record cannot be read: {error.message}", fix=error.fix) from None
