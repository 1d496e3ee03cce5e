"""All that a credential or a grant touched: its records, summed up by name in the database, part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    CTE,
    BigInteger,
    Connection,
    Select,
    Text,
    cast,
    func,
    literal,
    select,
    type_coerce,
    union_all,
)

from coatcheck.model.reading import Radius, RadiusFilter, Touched
from coatcheck.model.record import RecordFilter
from coatcheck.store.columns import time_of
from coatcheck.store.records.conditions import conditions_of, first_since, made_with
from coatcheck.store.tables import record, settlement, used

PART: Final = 50_000
"""Calls that one reading sums up: in between others have the reader, and no long record is held in memory."""
MOST: Final = 1_000
"""Names that are told of each kind; there may be as many addresses as an attacker likes."""
MOST_HELD: Final = 100_000
"""Names of one kind that are kept apart while reading."""

_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "tools": ("server", "tool"),
    "subjects": ("subject",),
    "grants": ("grant_id", "grant_label"),
    "addresses": ("client_ip",),
    "clients": ("client_name", "client_version"),
}
"""What calls are summed up by; the sums of servers, and of all, are made of those of tools."""
_CREDENTIALS: Final = "credentials"
_KINDS: Final = ("whole", "servers", *_GROUPS, _CREDENTIALS)
_ENDED: Final = record.outerjoin(settlement, settlement.c.position == record.c.position)
_NOWHERE: Final = -1
"""Before the first position."""


@dataclass(frozen=True, slots=True)
class Sum:
    """How many calls of a group ended in one way, and when the first and the last was made, in microseconds.

    `first_text` and `second_text` are what the group has in common.
    """

    group: str
    first_text: str
    second_text: str
    outcome: str
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Part:
    """The sums of the next calls. `through` is the position of the last; None: there are no more."""

    sums: Sequence[Sum]
    through: int | None


def part_in(reading: Connection, of: RadiusFilter, after: int | None) -> Part:
    """Return the sums of the next calls after a position; None: from the first that was asked for on."""
    if after is None:
        after = _NOWHERE if of.since is None else first_since(reading, of.since) - 1
    conditions = conditions_of(reading, RecordFilter(grant=of.grant, since=of.since, after=after))
    positions = _positions(of, after, conditions).limit(PART).subquery()
    through, count = reading.execute(select(func.max(positions.c.position), func.count())).one()
    if through is None:
        return Part([], None)
    conditions.append(record.c.position <= through)
    if of.credential is not None:
        mine = made_with(of.credential, of.version)
        between = mine.where(used.c.position > after, used.c.position <= through)
        conditions.append(record.c.position.in_(between))
    sums = [Sum(*row) for row in reading.execute(_summed(of, conditions))]
    return Part(sums, int(through) if count == PART else None)


def _positions(of: RadiusFilter, after: int, conditions: Sequence[Any]) -> Select[tuple[int]]:
    """Return the positions of what was asked for, as the index has them."""
    if of.credential is None:
        return select(record.c.position).where(*conditions).order_by(record.c.position)
    mine = made_with(of.credential, of.version).where(used.c.position > after)
    return mine.distinct().order_by(used.c.position)


def _summed(of: RadiusFilter, conditions: Sequence[Any]) -> Any:
    """Return the sums of each group: of calls that are read once, which the database keeps for that."""
    columns = dict.fromkeys(column for columns in _GROUPS.values() for column in columns)
    found = select(
        record.c.position,
        type_coerce(record.c.at, BigInteger).label("micros"),
        func.coalesce(settlement.c.outcome, "").label("outcome"),
        *(record.c[column] for column in columns),
    )
    calls = found.select_from(_ENDED).where(*conditions).cte("calls").prefix_with("MATERIALIZED")
    return union_all(*(_by(calls, group, columns) for group, columns in _GROUPS.items()), _uses(calls, of))


def _by(calls: CTE, group: str, columns: Sequence[str]) -> Select[Any]:
    texts = [calls.c[column] for column in columns]
    shown = [*texts, literal("")][:2]
    return select(literal(group), *shown, *_sums(calls)).group_by(*texts, calls.c.outcome)


def _uses(calls: CTE, of: RadiusFilter) -> Select[Any]:
    """Return the sums by version of what was used; apart, since one call may have used several."""
    shown = literal(_CREDENTIALS), used.c.credential, cast(used.c.version, Text)
    joined = calls.join(used, used.c.position == calls.c.position)
    groups = used.c.credential, used.c.version, calls.c.outcome
    asked = select(*shown, *_sums(calls)).select_from(joined).group_by(*groups)
    if of.credential is not None:
        asked = asked.where(used.c.credential == of.credential)
    return asked if of.version is None else asked.where(used.c.version == of.version)


def _sums(calls: CTE) -> tuple[Any, ...]:
    micros = calls.c.micros
    return calls.c.outcome, func.count(), func.min(micros), func.max(micros)


class RadiusSums:
    """Adds up the parts, by name."""

    def __init__(self) -> None:
        self._kinds = {kind: _Fold() for kind in _KINDS}

    def add(self, part: Part) -> None:
        """Take the next part."""
        for one in part.sums:
            for kind, name in _names(one).items():
                if name or kind == "whole":
                    self._kinds[kind].add(name, one)

    def told(self) -> Radius:
        """Return all that was touched by what was taken."""
        told = {kind: fold.told() for kind, fold in self._kinds.items()}
        whole = told.pop("whole")
        left_out = sum(fold.left_out for fold in self._kinds.values())
        return Radius(whole=next(iter(whole), None), left_out=left_out, **told)


def _names(one: Sum) -> dict[str, str]:
    """Return the names that a sum is of, by kind; an empty one is none."""
    first, second = one.first_text, one.second_text
    if one.group == "tools":
        return {"whole": "", "servers": first, "tools": f"{first} {second}" if second else ""}
    return {one.group: f"{first}@{second}" if one.group == _CREDENTIALS else f"{first} {second}".strip()}


class _Fold:
    """Sums up by name."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._beyond = 0
        self.left_out = 0
        """How many names are not told; those beyond `MOST_HELD` count each time that they come."""

    def add(self, name: str, one: Sum) -> None:
        found = self._held.get(name)
        if found is None:
            if len(self._held) >= MOST_HELD:
                self._beyond += 1
                return
            found = self._held[name] = _Held(one.first, one.last)
        found.count += one.count
        found.outcomes[one.outcome] = found.outcomes.get(one.outcome, 0) + one.count
        found.first, found.last = min(found.first, one.first), max(found.last, one.last)

    def told(self) -> tuple[Touched, ...]:
        """Return the names with the most calls."""
        ordered = sorted(self._held.items(), key=lambda item: (-item[1].count, item[0]))
        self.left_out = self._beyond + max(0, len(ordered) - MOST)
        return tuple(
            Touched(
                name, one.count, time_of(one.first), time_of(one.last), dict(sorted(one.outcomes.items()))
            )
            for name, one in ordered[:MOST]
        )


@dataclass(slots=True)
class _Held:
    first: int
    last: int
    count: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
