"""All that a credential or a grant touched: one reading of its records, folded as it comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from coatcheck.model.reading import Radius, RadiusFilter, Touched
from coatcheck.model.record import RecordFilter
from coatcheck.store.records.conditions import conditions_of, made_with
from coatcheck.store.tables import record, settlement, used

MOST: Final = 1_000
"""Names that are told of each kind; there may be as many addresses as an attacker likes."""
MOST_HELD: Final = 100_000
"""Names of one kind that are kept apart while reading."""

_KINDS: Final = ("servers", "tools", "subjects", "grants", "addresses", "clients")
_TIMES: Final = (func.count(), func.min(record.c.at), func.max(record.c.at))
_ENDED: Final = record.outerjoin(settlement, settlement.c.position == record.c.position)
_CALLS: Final = (
    record.c.server,
    record.c.tool,
    record.c.subject,
    record.c.grant_id,
    record.c.grant_label,
    record.c.client_ip,
    record.c.client_name,
    record.c.client_version,
    settlement.c.outcome,
)
_USES: Final = (used.c.credential, used.c.version, settlement.c.outcome)


def radius_in(reading: Connection, of: RadiusFilter) -> Radius:
    """Return all that something touched. Uses of calls that are under way count once they are settled."""
    conditions = _conditions(reading, of)
    whole = _Fold()
    kinds = {kind: _Fold() for kind in _KINDS}
    calls = select(*_CALLS, *_TIMES).select_from(_ENDED).where(*conditions).group_by(*_CALLS)
    for row in _rows(reading, calls):
        counted = (row[8] or "", int(row[9]), row[10], row[11])
        whole.add("", counted)
        for kind, name in _names(row).items():
            if name:
                kinds[kind].add(name, counted)
    kinds["credentials"] = _credentials(reading, of, conditions)
    told = {kind: fold.told() for kind, fold in kinds.items()}
    left_out = sum(fold.left_out for fold in kinds.values())
    return Radius(whole=next(iter(whole.told()), None), left_out=left_out, **told)


def _credentials(reading: Connection, of: RadiusFilter, conditions: Sequence[Any]) -> _Fold:
    """Return what was used; apart from the calls, since one call may have used several."""
    fold = _Fold()
    joined = used.join(_ENDED, used.c.position == record.c.position)
    uses = select(*_USES, *_TIMES).select_from(joined).where(*conditions).group_by(*_USES)
    if of.credential is not None:
        uses = uses.where(used.c.credential == of.credential)
    if of.version is not None:
        uses = uses.where(used.c.version == of.version)
    for row in _rows(reading, uses):
        fold.add(f"{row[0]}@{row[1]}", (row[2] or "", int(row[3]), row[4], row[5]))
    return fold


def _conditions(reading: Connection, of: RadiusFilter) -> Sequence[Any]:
    conditions = conditions_of(reading, RecordFilter(grant=of.grant, since=of.since))
    if of.credential is not None:
        conditions.append(record.c.position.in_(made_with(of.credential, of.version)))
    return conditions


def _rows(reading: Connection, asked: Select[Any]) -> Iterable[Any]:
    return reading.execute(asked, execution_options={"yield_per": 1_000})


def _names(row: Any) -> dict[str, str]:
    server, tool, subject, grant, label, address, client, version = row[:8]
    return {
        "servers": server,
        "tools": f"{server} {tool}" if tool else "",
        "subjects": subject,
        "grants": f"{grant} {label}".strip(),
        "addresses": address,
        "clients": f"{client} {version}".strip(),
    }


class _Fold:
    """Sums up by name."""

    def __init__(self) -> None:
        self._held: dict[str, _Sum] = {}
        self.left_out = 0
        """How many names are not told; those beyond `MOST_HELD` count each time that they come."""

    def add(self, name: str, counted: tuple[str, int, datetime, datetime]) -> None:
        found = self._held.get(name)
        if found is None:
            if len(self._held) >= MOST_HELD:
                self.left_out += 1
                return
            found = self._held[name] = _Sum(counted[2], counted[3])
        found.add(*counted)

    def told(self) -> tuple[Touched, ...]:
        """Return the names with the most calls."""
        ordered = sorted(self._held.items(), key=lambda item: (-item[1].count, item[0]))
        self.left_out += max(0, len(ordered) - MOST)
        return tuple(
            Touched(name, one.count, one.first, one.last, dict(sorted(one.outcomes.items())))
            for name, one in ordered[:MOST]
        )


class _Sum:
    __slots__ = ("count", "first", "last", "outcomes")

    def __init__(self, first: datetime, last: datetime) -> None:
        self.count = 0
        self.first = first
        self.last = last
        self.outcomes: Counter[str] = Counter()

    def add(self, outcome: str, count: int, first: datetime, last: datetime) -> None:
        self.count += count
        self.outcomes[outcome] += count
        self.first, self.last = min(self.first, first), max(self.last, last)
