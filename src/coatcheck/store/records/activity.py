"""Implements `ports.Counting`: the calls of a stretch of time, summed up by the database itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    case,
    func,
    literal_column,
    select,
    text,
    type_coerce,
)

from coatcheck.core.activity import BOUNDS, By, Counted, Counts, Focus, Knock, Knocks
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import KNOCKING, Outcome, RecordFilter, Verdict
from coatcheck.store.columns import time_of
from coatcheck.store.engines.database import Database
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.records.conditions import bounds_of
from coatcheck.store.records.segments import sealed_head
from coatcheck.store.tables import NOT_ALLOWED, record, segment, settlement

MOST_KNOCKS: Final = 500
"""Grants that are told of; there are no more than were issued and presented again."""
MOST_ADDRESSES: Final = 20
_MOST_GROUPS: Final = 50_000

_Done = TypeVar("_Done")

_OK: Final = 0
_FAILED: Final = 1
_UNDER_WAY: Final = 2
_REFUSED: Final = 3
_KNOCK: Final = 4

_REASONS: Final = sorted(KNOCKING)
_MICROS: Final = type_coerce(record.c.at, BigInteger)
_SECONDS: Final = settlement.c.seconds
_ENDED: Final = record.outerjoin(settlement, settlement.c.position == record.c.position)
_NAMES: Final = {
    By.SERVER: record.c.server,
    By.REACHED: record.c.server,
    By.TOOL: record.c.tool,
    By.SUBJECT: record.c.subject,
}


def _number(value: float) -> ColumnElement[Any]:
    """Return a constant in the text of a statement: PostgreSQL groups by no expression with parameters."""
    return literal_column(repr(value))


def _band(first: int, beyond: int) -> ColumnElement[Any]:
    """Return the band of `BOUNDS` that the seconds are in: a tree, since each record goes through it."""
    if beyond - first == 1:
        return _number(first)
    middle = (first + beyond) // 2
    return case((_number(BOUNDS[middle]) > _SECONDS, _band(first, middle)), else_=_band(middle, beyond))


_ALLOWED: Final = record.c.decision == Verdict.ALLOWED.value
_KIND: Final = case(
    (_ALLOWED & (settlement.c.outcome == Outcome.OK.value), _number(_OK)),
    (_ALLOWED & settlement.c.outcome.is_(None), _number(_UNDER_WAY)),
    (_ALLOWED, _number(_FAILED)),
    (
        and_(record.c.decision == Verdict.REFUSED.value, record.c.reason.in_(_REASONS)),
        _number(_KNOCK),
    ),
    else_=_number(_REFUSED),
).label("kind")
_BAND: Final = case((_ALLOWED & _SECONDS.is_not(None), _band(0, len(BOUNDS))), else_=_number(-1)).label(
    "band"
)


class StoredCounting:
    """Implements `ports.Counting` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, focus: Focus, since: int, until: int, grain: int) -> Counted:
        """Count what began from one time on and before another."""
        return await self._tried(lambda reading: count_in(reading, focus, since, until, grain))

    async def knocks(self, since: datetime) -> Knocks:
        """Return who presented what was good once, from a time on."""
        return await self._tried(lambda reading: knocks_in(reading, since))

    async def _tried(self, read: Callable[[Connection], _Done]) -> _Done:
        work: Awaitable[_Done] = self._database.read(read)
        try:
            return await work
        except StoreUnavailable as error:
            raise LedgerUnavailable(f"the record cannot be read: {error.message}", fix=error.fix) from None


def count_in(reading: Connection, focus: Focus, since: int, until: int, grain: int) -> Counted:
    """Count what began from one time on and before another."""
    begins, sealed = _begins(reading)
    conditions = _conditions(reading, focus, since, until)
    units: dict[int, dict[str, Counts]] = {}
    if conditions is None:
        return Counted(units, begins, sealed)
    unit = (_MICROS // _number(grain * 1_000_000)).label("unit")
    name = _NAMES[focus.by].label("named")
    sums = (
        func.sum(record.c.repeats),
        func.count(),
        func.sum(_SECONDS),
        func.max(_SECONDS),
        func.max(record.c.at),
    )
    asked = select(unit, name, _KIND, _BAND, *sums).select_from(_ENDED).where(*conditions)
    groups = asked.group_by(unit, name, _KIND, _BAND)
    for number, named, *counted in reading.execute(groups, execution_options={"yield_per": 1_000}):
        names = units.setdefault(int(number) * grain, {})
        if (counts := names.get(named)) is None:
            counts = names[named] = Counts()
        _put(counts, *counted)
    return Counted(units, begins, sealed)


def _put(
    counts: Counts,
    kind: int,
    band: int,
    repeats: int,
    rows: int,
    seconds: float | None,
    longest: float | None,
    last: datetime,
) -> None:
    repeats = int(repeats)
    counts.calls += repeats
    if counts.last is None or last > counts.last:
        counts.last = last
    if kind in {_REFUSED, _KNOCK}:
        counts.refused += repeats
        counts.knocks += repeats if kind == _KNOCK else 0
    elif kind == _UNDER_WAY:
        counts.under_way += repeats
    else:
        counts.failed += repeats if kind == _FAILED else 0
        counts.timed += rows
        counts.seconds += seconds or 0.0
        counts.longest = max(counts.longest, longest or 0.0)
        counts.bands[band] = counts.bands.get(band, 0) + rows


def _conditions(
    reading: Connection, focus: Focus, since: int, until: int
) -> list[ColumnElement[bool]] | None:
    """Return the conditions on records; None where none meets them.

    One server, grant or subject is found by its index, between the positions of the records of that time. The
    time itself is then said in a form that no index serves.
    """
    first, beyond = since * 1_000_000, until * 1_000_000
    in_time = [record.c.at >= time_of(first), record.c.at < time_of(beyond)]
    named = [
        column == value
        for column, value in (
            (record.c.grant_id, focus.grant),
            (record.c.subject, focus.subject),
            (record.c.server, focus.server),
        )
        if value is not None
    ]
    if not named:
        return in_time
    position = record.c.position
    row = reading.execute(select(func.min(position), func.max(position)).where(*in_time)).one()
    if row[0] is None:
        return None
    unserved = _MICROS + _number(0)
    return [*named, position.between(row[0], row[1]), unserved >= first, unserved < beyond]


def _begins(reading: Connection) -> tuple[datetime | None, bool]:
    """Return the time from which on the store has every call, and whether older ones are sealed in files."""
    head = sealed_head(reading)
    if head is None:
        return reading.execute(select(func.min(record.c.at))).scalar_one_or_none(), False
    left = select(record.c.at).where(record.c.position > head.seq).order_by(record.c.position).limit(1)
    found = reading.execute(left).scalar_one_or_none()
    if found is None:
        found = reading.execute(select(func.max(segment.c.at))).scalar_one_or_none()
    return found, True


def knocks_in(reading: Connection, since: datetime) -> Knocks:
    """Return who presented what was good once."""
    begins, sealed = _begins(reading)
    groups = (record.c.grant_id, record.c.grant_label, record.c.reason, record.c.client_ip)
    times = (func.sum(record.c.repeats), func.min(record.c.at), func.max(record.c.at).label("newest"))
    asked = (
        select(*groups, *times)
        .where(
            text(NOT_ALLOWED),
            record.c.decision == Verdict.REFUSED.value,
            record.c.reason.in_(_REASONS),
            record.c.at >= since,
            *bounds_of(reading, RecordFilter(since=since)),
        )
        .group_by(*groups)
        .order_by(text("newest DESC"))
        .limit(_MOST_GROUPS)
    )
    back_to = begins if sealed and begins is not None and begins > since else None
    return _knocks(reading.execute(asked), back_to)


def _knocks(rows: Iterable[Any], back_to: datetime | None) -> Knocks:
    """Fold what comes with the newest first."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.grant_id, []).append(row)
    knocks = [
        Knock(
            grant_id,
            next((row.grant_label for row in all_of if row.grant_label), ""),
            sum(int(row[4]) for row in all_of),
            min(row[5] for row in all_of),
            all_of[0].newest,
            tuple(dict.fromkeys(row.reason for row in all_of)),
            tuple(dict.fromkeys(row.client_ip for row in all_of))[:MOST_ADDRESSES],
        )
        for grant_id, all_of in found.items()
    ]
    return Knocks(tuple(knocks[:MOST_KNOCKS]), max(0, len(knocks) - MOST_KNOCKS), back_to)
