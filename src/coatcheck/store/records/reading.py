"""Reading the record back, in SQLAlchemy Core, for `coatcheck logs` and for followers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Select, exists, func, select, text, union_all

from coatcheck.model.reading import Looked
from coatcheck.model.record import Outcome, RecordEntry, RecordFilter, Verdict
from coatcheck.store.records.conditions import bounds_of, conditions_of, meaning_of
from coatcheck.store.records.rows import ENTRIES, entry_of, sequence_of
from coatcheck.store.tables import NOT_ALLOWED, NOT_OK, record, settlement

LOOKED: Final = 100_000
"""Numbers of the chain that are looked through for what is hard to find; half of them are records."""
MOST_ERRORS: Final = 1_000
"""More of what went wrong than this is looked for by going back through everything."""
PAGE: Final = 500
"""Entries that a follower who lags reads at a time."""

_ALL_ERRORS: Final = RecordFilter(errors=True)
_THEN: Final = record.alias("then")
"""The record of a call whose time is asked for, beside those that are gone through."""


def list_entries(connection: Connection, wanted: RecordFilter) -> list[RecordEntry]:
    """Return the newest `limit` matching entries, oldest first, however long that takes."""
    if _is_of_errors(wanted):
        return _newest(connection, _newest_errors(connection, wanted), wanted.limit)
    conditions = conditions_of(connection, wanted) + bounds_of(connection, wanted)
    return _newest(connection, conditions, wanted.limit)


def look_back(connection: Connection, wanted: RecordFilter) -> Looked:
    """Return the same, or of what is hard to find only what is among the newest entries."""
    if _is_of_errors(wanted):
        return Looked(list_entries(connection, wanted))
    meaning, bounds = meaning_of(connection, wanted), bounds_of(connection, wanted)
    if not meaning.is_hard:
        return Looked(_newest(connection, meaning.conditions + bounds, wanted.limit))
    around = _in_positions(wanted) + bounds
    top = connection.execute(select(func.max(record.c.position)).where(*around)).scalar_one_or_none()
    if top is None:
        return Looked([])
    floor = int(top) - LOOKED
    near = [*meaning.conditions, *bounds, record.c.position > floor]
    found = _newest(connection, near, wanted.limit)
    if len(found) == wanted.limit:
        return Looked(found)
    older = select(record.c.position).where(*around, record.c.position <= floor).limit(1)
    if connection.execute(older).first() is None:
        return Looked(found)
    oldest = select(record.c.at).where(record.c.position > floor).order_by(record.c.position).limit(1)
    return Looked(found, floor + 1, connection.execute(oldest).scalar_one())


def _is_of_errors(wanted: RecordFilter) -> bool:
    """Tell whether a filter asks for all that went wrong, of some time or of any."""
    plain = replace(wanted, since=None, until=None, after=None, before=None, limit=_ALL_ERRORS.limit)
    return plain == _ALL_ERRORS and wanted.limit <= MOST_ERRORS


def _newest_errors(connection: Connection, wanted: RecordFilter) -> list[ColumnElement[bool]]:
    """Return the conditions on the newest calls that went wrong, `limit` at least.

    Going back from the newest call, one might go through millions that went well. The indexes of what did not
    have positions in order for each word of a decision or an outcome, so the newest of each are enough.
    """
    refusals, failures = record.c.position, settlement.c.position
    refused = [one.value for one in Verdict if one is not Verdict.ALLOWED]
    failed = [one.value for one in Outcome if one is not Outcome.OK]
    kinds = [(refusals, NOT_ALLOWED, record.c.decision, word) for word in refused]
    kinds += [(failures, NOT_OK, settlement.c.outcome, word) for word in failed]
    around = {
        position: [*_in_positions(wanted, position), *bounds_of(connection, wanted, position)]
        for position in (refusals, failures)
    }
    newest = [
        _newest_of(
            wanted,
            position,
            [text(f"{position.table.name}.{exception}"), said == word, *around[position]],
        )
        for position, exception, said, word in kinds
    ]
    return [refusals.in_(union_all(*newest))]


def _newest_of(wanted: RecordFilter, position: Column[int], conditions: Sequence[Any]) -> Select[tuple[int]]:
    """Return the newest positions of a kind that are in the time asked for."""
    mine = position.table
    asked = select(position).where(*conditions)
    if wanted.since is not None or wanted.until is not None:
        times = select(_THEN.c.position).where(_THEN.c.position == position)
        if wanted.since is not None:
            times = times.where(_THEN.c.at >= wanted.since)
        if wanted.until is not None:
            times = times.where(_THEN.c.at < wanted.until)
        asked = asked.where(exists(times.correlate(mine)))
    newest = asked.order_by(position.desc()).limit(wanted.limit).subquery()
    return select(newest.c.position)


def _in_positions(
    wanted: RecordFilter, position: Column[int] = record.c.position
) -> list[ColumnElement[bool]]:
    found = []
    if wanted.after is not None:
        found.append(position > wanted.after)
    if wanted.before is not None:
        found.append(position < wanted.before)
    return found


def _newest(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], limit: int
) -> list[RecordEntry]:
    newest = ENTRIES.where(*conditions).order_by(record.c.position.desc()).limit(max(limit, 0))
    found = [entry_of(row) for row in connection.execute(newest)]
    found.reverse()
    return found


def page_settled(
    connection: Connection, wanted: RecordFilter, after: int, through: int, most: int = PAGE
) -> list[tuple[int, RecordEntry]]:
    """Return up to `most` matching entries settled after sequence `after`, in the order of settling.

    Each comes with its sequence; none is beyond sequence `through`.
    """
    sequence = settlement.c.sequence
    page = (
        ENTRIES.where(sequence > after, sequence <= through, *conditions_of(connection, wanted))
        .order_by(sequence)
        .limit(most)
    )
    return [(sequence_of(row), entry_of(row)) for row in connection.execute(page)]


def first_sequence_beyond(connection: Connection, position: int) -> int | None:
    """Return the first sequence among the settlements of records after `position`, or None."""
    first = select(func.min(settlement.c.sequence)).where(settlement.c.position > position)
    return connection.execute(first).scalar_one_or_none()
