"""The ledger as sinks read it, in order of settling, and the table that keeps how far each has come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import RecordFilter
from coatcheck.model.sink import Copy
from coatcheck.store.engines.database import Database
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.records.reading import page_settled
from coatcheck.store.registry.changes import page_changes
from coatcheck.store.tables import change, settlement, sink_cursor

_BEYOND: Final = (1 << 63) - 1
_EVERYTHING: Final = RecordFilter()

_Done = TypeVar("_Done")


class StoredCopies:
    """Implements `ports.Copies` and `ports.SinkCursors` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last(self) -> int:
        """Return the place of the newest entry; 0 if there is none."""
        return await self._tried(self._database.read(_last))

    async def page(self, after: int, most: int) -> Sequence[Copy]:
        """Return the next entries after a place, oldest first."""
        return await self._tried(self._database.read(lambda reading: page_copies(reading, after, most)))

    async def count(self, after: int, most: int) -> int:
        """Return how many entries are after a place, counted up to `most`."""
        return await self._tried(self._database.read(lambda reading: _count(reading, after, most)))

    async def list(self) -> Mapping[str, int]:
        """Return the cursor of every sink."""
        return await self._tried(self._database.read(list_cursors))

    async def keep(self, cursors: Mapping[str, int]) -> None:
        """Make cursors durable."""
        if cursors:
            await self._tried(self._database.write(_keeping(cursors)))

    async def forget(self, names: Sequence[str]) -> None:
        """Remove the cursors of sinks that are no more."""
        if names:
            gone = delete(sink_cursor).where(sink_cursor.c.name.in_(names))
            await self._tried(self._database.write(lambda writing: writing.execute(gone).rowcount))

    async def _tried(self, work: Awaitable[_Done]) -> _Done:
        try:
            return await work
        except StoreUnavailable as error:
            raise LedgerUnavailable(f"the record cannot be copied: {error.message}", fix=error.fix) from None


def list_cursors(reading: Connection) -> dict[str, int]:
    """Return the cursor of every sink: what is after the least of them, some sink has not got."""
    rows = reading.execute(select(sink_cursor.c.name, sink_cursor.c.seq))
    return {str(name): int(seq) for name, seq in rows}


def wanted_after(reading: Connection) -> int | None:
    """Return the place up to which no sink wants anything any more; None where there are no sinks.

    A record that is settled late is wanted with its outcome: so it may be far below every cursor.
    """
    cursors = list_cursors(reading)
    if not cursors:
        return None
    least = min(cursors.values())
    late = select(func.min(settlement.c.position)).where(settlement.c.sequence > least)
    first = reading.execute(late).scalar_one_or_none()
    return least if first is None else min(least, int(first) - 1)


def page_copies(reading: Connection, after: int, most: int) -> list[Copy]:
    """Return up to `most` copies after a place, and those that share the place of the last one.

    A record and a change share one only in a store from before both were counted together.
    """
    settled = page_settled(reading, _EVERYTHING, after, _BEYOND, most)
    changes = page_changes(reading, after, most)
    found = [Copy(seq, entry) for seq, entry in settled] + [Copy(one.position, one) for one in changes]
    found.sort(key=lambda copy: copy.seq)
    whole = min(
        settled[-1][0] if len(settled) >= most else _BEYOND,
        changes[-1].position if len(changes) >= most else _BEYOND,
    )
    bound = min(whole, found[most - 1].seq if len(found) > most else _BEYOND)
    return [copy for copy in found if copy.seq <= bound]


def _last(reading: Connection) -> int:
    newest = (select(func.max(settlement.c.sequence)), select(func.max(change.c.position)))
    return max(reading.execute(one).scalar_one() or 0 for one in newest)


def _count(reading: Connection, after: int, most: int) -> int:
    total = 0
    for key in (settlement.c.sequence, change.c.position):
        some = select(key).where(key > after).limit(most - total).subquery()
        total += reading.execute(select(func.count()).select_from(some)).scalar_one()
    return total


def _keeping(cursors: Mapping[str, int]) -> Callable[[Connection], None]:
    rows = [{"name": name, "seq": seq} for name, seq in cursors.items()]

    def write(writing: Connection) -> None:
        dialect: Any = postgresql if writing.dialect.name == "postgresql" else sqlite
        upsert = dialect.insert(sink_cursor)
        upsert = upsert.on_conflict_do_update(index_elements=["name"], set_={"seq": upsert.excluded.seq})
        writing.execute(upsert, rows)

    return write
