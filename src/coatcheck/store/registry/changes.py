"""The admin log: written in the transaction of the change itself, read newest first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, insert, or_, select

from coatcheck.core.recording.stored import stored_change
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.chain import EntryKind
from coatcheck.model.change import Change, ChangeEntry, ChangeFilter, ObjectKind
from coatcheck.store.chain import Growth
from coatcheck.store.engines.database import Database
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.tables import change

MOST: Final = 10_000
"""Most entries in one answer."""


COLUMNS: Final = tuple(column for column in change.c if column.name not in {"stored", "hash"})
"""The position, then the fields of a `Change`."""


def insert_changes(writing: Connection, growth: Growth, changes: Sequence[Change]) -> None:
    """Append changes, in their order."""
    if changes:
        writing.execute(insert(change), [_row_of(one, growth) for one in changes])


def list_changes(reading: Connection, wanted: ChangeFilter) -> list[ChangeEntry]:
    """Return the newest matching entries, newest first."""
    named = [
        (change.c.actor, wanted.actor),
        (change.c.action, wanted.action),
        (change.c.kind, wanted.kind and wanted.kind.value),
    ]
    conditions = [column == value for column, value in named if value is not None]
    if wanted.object is not None:
        conditions.append(or_(change.c.object_id == wanted.object, change.c.object_name == wanted.object))
    if wanted.since is not None:
        conditions.append(change.c.at >= wanted.since)
    if wanted.before is not None:
        conditions.append(change.c.position < wanted.before)
    limit = min(max(wanted.limit, 0), MOST)
    newest = select(*COLUMNS).where(*conditions).order_by(change.c.position.desc()).limit(limit)
    return [ChangeEntry(row[0], change_in(row)) for row in reading.execute(newest)]


def page_changes(reading: Connection, after: int, most: int) -> list[ChangeEntry]:
    """Return the first changes after a position, oldest first."""
    page = select(*COLUMNS).where(change.c.position > after).order_by(change.c.position).limit(most)
    return [ChangeEntry(row[0], change_in(row)) for row in reading.execute(page)]


class StoredChanges:
    """Implements `ports.ChangeLog` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, change: Change) -> None:
        """Make an entry durable that stands for itself."""
        try:
            await self._database.write_chained(partial(_insert_one, change))
        except StoreUnavailable as error:
            raise LedgerUnavailable(f"the record cannot be written: {error.message}", fix=error.fix) from None


def _insert_one(change: Change, writing: Connection, growth: Growth) -> None:
    insert_changes(writing, growth, [change])


def _row_of(one: Change, growth: Growth) -> dict[str, object]:
    fields = {name: getattr(one, name) for name in Change.__slots__}
    stored = stored_change(one)
    position = growth.add(EntryKind.CHANGE, stored)
    return {**fields, "kind": one.kind.value, "position": position, "stored": stored, "hash": growth.hash}


def change_in(row: Sequence[Any]) -> Change:
    """Return the change of a row of `COLUMNS`.

    Raises:
        ValueError: a column holds what no change has there.
    """
    values = list(row[1:])
    values[6] = ObjectKind(values[6])
    return Change(*values)
