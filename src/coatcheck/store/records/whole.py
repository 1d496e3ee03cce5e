"""Implements `ports.Reading`: the ledger from its first entry to its last, in pages of constant size."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence, Set
from dataclasses import replace
from typing import Final, TypeVar

from sqlalchemy import Connection, func, select

from coatcheck.core.recording.stored import change_of
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.chain import Checkpoint, EntryKind, Head, Link
from coatcheck.model.reading import Held, Radius, RadiusFilter, Stretch, Wanted
from coatcheck.model.record import RecordFilter
from coatcheck.store.chain import beginning_in, head_in
from coatcheck.store.engines.database import Database
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.records.chained import checkpoints_after, link_at, links_after
from coatcheck.store.records.conditions import conditions_of
from coatcheck.store.records.radius import radius_in
from coatcheck.store.records.rows import ENTRIES, entry_of, sequence_of
from coatcheck.store.records.segments import sealed_head
from coatcheck.store.tables import change, record, settlement

PAGE: Final = 1_000
"""Numbers of the chain in one page."""

_EVERYTHING: Final = RecordFilter()
_Done = TypeVar("_Done")
_HELD: Final = ENTRIES.add_columns(record.c.hash, settlement.c.hash)


class StoredReading:
    """Implements `ports.Reading` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stretch(self, wanted: RecordFilter) -> Stretch:
        """Return the part of the chain that the times of a filter stand for."""
        return await _tried(self._database.read(lambda reading: stretch_in(reading, wanted)))

    async def links(
        self, after: int, through: int, wanted: RecordFilter | None, about: Set[str] = frozenset()
    ) -> tuple[Sequence[Wanted], int]:
        """Return the next entries after a number, and the number that they go to."""
        return await _tried(
            self._database.read(lambda reading: links_in(reading, after, through, wanted, about))
        )

    async def held(self, wanted: RecordFilter, after: int, most: int) -> Sequence[Held]:
        """Return the next calls that match after a position, oldest first."""
        return await _tried(self._database.read(lambda reading: held_in(reading, wanted, after, most)))

    async def checkpoints(self, after: int, most: int) -> Sequence[Checkpoint]:
        """Return the next checkpoints of entries after a number."""
        return await _tried(self._database.read(lambda reading: checkpoints_after(reading, after, most)))

    async def radius(self, of: RadiusFilter) -> Radius:
        """Return all that something touched; one reading of its records."""
        return await _tried(self._database.read(lambda reading: radius_in(reading, of)))


def stretch_in(reading: Connection, wanted: RecordFilter) -> Stretch:
    """Return the part of the chain with every entry of the times of a filter, outcomes included."""
    beginning, head, sealed = beginning_in(reading), head_in(reading), sealed_head(reading)
    start = sealed or Head(beginning.seq, beginning.prev)
    first, through = start.seq + 1, head.seq
    if wanted.since is not None:
        records = select(func.min(record.c.position)).where(record.c.at >= wanted.since)
        changes = select(func.min(change.c.position)).where(change.c.at >= wanted.since)
        first = max(first, min(_number(reading, one, head.seq + 1) for one in (records, changes)))
    if wanted.until is not None:
        through = _through(reading, wanted, first)
    prev = start.hash if first == start.seq + 1 else _hash_at(reading, first - 1)
    whole = sealed is None and first == beginning.seq + 1
    return Stretch(beginning.log, first - 1, prev, max(through, first - 1), whole, beginning.before)


def _through(reading: Connection, wanted: RecordFilter, first: int) -> int:
    records = select(func.max(record.c.position)).where(record.c.at < wanted.until)
    changes = select(func.max(change.c.position)).where(change.c.at < wanted.until)
    last = _number(reading, records, 0)
    ended = select(func.max(settlement.c.sequence)).where(settlement.c.position.between(first, last))
    return max(last, _number(reading, changes, 0), _number(reading, ended, 0))


def links_in(
    reading: Connection,
    after: int,
    through: int,
    wanted: RecordFilter | None,
    about: Set[str] = frozenset(),
) -> tuple[list[Wanted], int]:
    """Return a page of links, and the number that it goes to."""
    links = [link for link in links_after(reading, after, PAGE) if link.seq <= through]
    if not links:
        return [], through
    first, last = links[0].seq, links[-1].seq
    if wanted is None:
        return [Wanted(link, False) for link in links], last
    if not is_narrow(wanted):
        return [Wanted(link, True) for link in links], last
    asked = _asked(reading, wanted, first, last)
    named = {wanted.grant, wanted.subject, wanted.server, wanted.credential, *about} - {None}
    return [Wanted(link, link.seq in asked or _is_about(link, named)) for link in links], last


def held_in(reading: Connection, wanted: RecordFilter, after: int, most: int) -> list[Held]:
    """Return a page of calls."""
    conditions = conditions_of(reading, wanted)
    page = _HELD.where(record.c.position > after, *conditions).order_by(record.c.position).limit(most)
    found = []
    for row in reading.execute(page):
        hash = row[-1] if sequence_of(row) else row[-2]
        found.append(Held(sequence_of(row) or int(row[0]), bytes(hash or b""), entry_of(row[:-2])))
    return found


def is_narrow(wanted: RecordFilter) -> bool:
    """Tell whether a filter asks for more than times."""
    return replace(wanted, since=None, until=None, limit=_EVERYTHING.limit) != _EVERYTHING


def _asked(reading: Connection, wanted: RecordFilter, first: int, last: int) -> set[int]:
    """Return the numbers, among some, of the records that match and of their outcomes."""
    both = select(record.c.position, settlement.c.sequence).select_from(
        record.outerjoin(settlement, settlement.c.position == record.c.position)
    )
    conditions = conditions_of(reading, wanted)
    found: set[int] = set()
    for key in (record.c.position, settlement.c.sequence):
        for row in reading.execute(both.where(key.between(first, last), *conditions)):
            found.update(int(number) for number in row if number is not None)
    return found


def _is_about(link: Link, names: Set[str | None]) -> bool:
    """Tell whether a change is of an object with one of these names or ids."""
    if link.kind is not EntryKind.CHANGE:
        return False
    try:
        made = change_of(link.stored)
    except ValueError:  # spoilt; `audit verify` tells of it
        return False
    return made.object_id in names or made.object_name in names


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
