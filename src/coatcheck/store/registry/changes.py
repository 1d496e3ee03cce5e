"""The admin log: written in the transaction of the change itself, read newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, insert, or_, select

from coatcheck.model.change import Change, ChangeEntry, ChangeFilter, ObjectKind
from coatcheck.store.tables import change

MOST: Final = 10_000
"""Most entries in one answer."""


def insert_changes(writing: Connection, changes: Sequence[Change]) -> None:
    """Append changes, in their order."""
    if changes:
        writing.execute(insert(change), [_row_of(one) for one in changes])


def list_changes(reading: Connection, wanted: ChangeFilter) -> list[ChangeEntry]:
    """Return the newest matching entries, newest first."""
    named = [(change.c.actor, wanted.actor), (change.c.kind, wanted.kind and wanted.kind.value)]
    conditions = [column == value for column, value in named if value is not None]
    if wanted.object is not None:
        conditions.append(or_(change.c.object_id == wanted.object, change.c.object_name == wanted.object))
    if wanted.since is not None:
        conditions.append(change.c.at >= wanted.since)
    if wanted.before is not None:
        conditions.append(change.c.position < wanted.before)
    limit = min(max(wanted.limit, 0), MOST)
    newest = select(change).where(*conditions).order_by(change.c.position.desc()).limit(limit)
    return [ChangeEntry(row[0], _change_of(row)) for row in reading.execute(newest)]


def _row_of(one: Change) -> dict[str, object]:
    fields = {name: getattr(one, name) for name in Change.__slots__}
    return {**fields, "kind": one.kind.value}


def _change_of(row: Sequence[Any]) -> Change:
    values = list(row[1:])
    values[6] = ObjectKind(values[6])
    return Change(*values)
