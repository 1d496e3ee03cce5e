"""What a filter means in SQL, said so that a search goes by the index that leaves the least to read.

Databases choose indexes by statistics, which SQLite has none of here. So the narrowest of the named columns
is found by counting a little, and the others are said in a form that no index serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    collate,
    exists,
    func,
    or_,
    select,
    text,
    union_all,
)

from coatcheck.model.record import KNOCKING, SEARCHED, Outcome, RecordFilter, Verdict
from coatcheck.store import tables
from coatcheck.store.records.matching import folded
from coatcheck.store.tables import NOT_ALLOWED, NOT_OK, OF_THE_FILE, record, settlement, used

NEAREST: Final = 100_000
"""So many records nearest to a time are looked at for the positions that it stands for."""
COUNTED: Final = 50_000
"""So many matches of a column are counted, to find the narrowest."""
FEW: Final = 5_000
"""Fewer matches than this are read one by one; of more, some are met soon enough."""

_BEYOND: Final = 1 << 62
_NONE: Final = 0

_ERRORS: Final = union_all(
    select(record.c.position).where(text(NOT_ALLOWED)),
    select(settlement.c.position).where(text(NOT_OK)),
)

_Conditions = list[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Meaning:
    """The conditions on `record` and `settlement` that a filter means, but for its `limit`.

    `is_hard` tells that many records may have to be looked at for each that matches.
    """

    conditions: _Conditions
    is_hard: bool


def conditions_of(connection: Connection, wanted: RecordFilter) -> _Conditions:
    """Return the conditions alone."""
    return meaning_of(connection, wanted).conditions


def meaning_of(connection: Connection, wanted: RecordFilter) -> Meaning:
    """Return what a filter means."""
    grant_id = None if wanted.grant is None else _id_of_grant(connection, wanted.grant)
    by_index = _by_index(wanted, grant_id)
    counts = {column.name: _count(connection, column, value) for column, value in by_index}
    lead = min(counts, key=lambda name: counts[name], default=None)
    named = (
        [(column if column.name == lead else _plain(column)) == value for column, value in by_index]
        + _named(wanted)
        + _with_text(connection, wanted.text)
        + ([] if grant_id is not None else _of_label(connection, wanted.grant))
    )
    narrow = lead is not None and counts[lead] < FEW
    rare = not narrow and _are_rare(connection, wanted)
    conditions = [
        *named,
        *_decided(connection, wanted, narrow=narrow),
        *_exceptions(wanted, rare=rare),
        *_in_time(wanted),
        *_made_with(connection, wanted, narrow=narrow),
    ]
    return Meaning(conditions, not narrow and _is_hard(wanted, rare=rare))


def _is_hard(wanted: RecordFilter, *, rare: bool) -> bool:
    """Tell whether there is a condition that no index serves, or more than one that some does."""
    if wanted.rule or wanted.client_ip or wanted.method or wanted.client or wanted.text:
        return True
    if rare:  # they are found by their own index, and few are judged by all else
        return False
    served = (wanted.server, wanted.tool, wanted.subject, wanted.grant, wanted.credential, wanted.outcome)
    flags = wanted.errors + wanted.knocking
    many = wanted.failed or wanted.not_allowed
    return many or sum(name is not None for name in (*served, wanted.decision)) + flags > 1


def bounds_of(
    connection: Connection, wanted: RecordFilter, position: Column[int] = record.c.position
) -> _Conditions:
    """Return the bounds that times put on positions.

    Without them, a search that finds less than its limit would read through everything. Positions only nearly
    grow with time, since clocks are set back; so a bound is the outermost of the `NEAREST` records. It hides
    a record only if more than that many others lie between where its time puts it and where it is.
    """
    bounds: _Conditions = []
    at = record.c.at
    if wanted.since is not None:
        bounds.append(position >= first_since(connection, wanted.since))
    if wanted.until is not None:
        near = (
            select(record.c.position).where(at < wanted.until).order_by(at.desc()).limit(NEAREST).subquery()
        )
        last = connection.execute(select(func.max(near.c.position))).scalar_one_or_none()
        bounds.append(position <= (_NONE if last is None else last))
    return bounds


def first_since(connection: Connection, since: datetime) -> int:
    """Return the first position of what was made from a time on, as `bounds_of` has it."""
    near = select(record.c.position).where(record.c.at >= since).order_by(record.c.at).limit(NEAREST)
    first = connection.execute(select(func.min(near.subquery().c.position))).scalar_one_or_none()
    return _BEYOND if first is None else int(first)


def made_with(credential: str, version: int | None) -> Select[tuple[int]]:
    """Return the positions of the records that were made with a credential, or with one version of it."""
    found = select(used.c.position).where(used.c.credential == credential)
    return found if version is None else found.where(used.c.version == version)


def _by_index(wanted: RecordFilter, grant_id: str | None) -> list[tuple[Column[str], str]]:
    """Return the columns that have an index and what is wanted of them."""
    named: list[tuple[Column[str], str | None]] = [
        (record.c.server, wanted.server),
        (record.c.tool, wanted.tool),
        (record.c.subject, wanted.subject),
        (record.c.grant_id, grant_id),
    ]
    return [(column, value) for column, value in named if value is not None]


def _id_of_grant(connection: Connection, grant: str) -> str | None:
    """Return the one id that a word stands for: one that records have, or that of the grant so labelled.

    None if there is none, or if several grants had the label one after the other.
    """
    by_id = select(record.c.position).where(record.c.grant_id == grant).limit(1)
    if connection.execute(by_id).first() is not None:
        return grant
    ids = connection.execute(_labelled(grant).limit(2)).scalars().all()
    return str(ids[0]) if len(ids) == 1 else None


def ids_of_grant(connection: Connection, grant: str) -> frozenset[str]:
    """Return all ids that a word may stand for: itself, and those of the grants that it labels now."""
    return frozenset({grant, *connection.execute(_labelled(grant)).scalars()})


def _labelled(grant: str) -> Select[tuple[str]]:
    return select(tables.grant.c.id).where(tables.grant.c.label == grant)


def _of_label(connection: Connection, grant: str | None) -> _Conditions:
    """Return the condition on a label that stands for no one id: those of the file, or of several grants."""
    if grant is None:
        return []
    if connection.execute(_labelled(grant).limit(1)).first() is not None:
        return [record.c.grant_id.in_(_labelled(grant))]
    return [record.c.grant_label == grant, text(OF_THE_FILE)]  # type: ignore[list-item]


def _count(connection: Connection, column: Column[str], value: str) -> int:
    """Return how many records have this value, counted up to `COUNTED`."""
    some = select(record.c.position).where(column == value).limit(COUNTED).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def _plain(column: Column[str]) -> ColumnElement[str]:
    return column.concat("")


def _named(wanted: RecordFilter) -> _Conditions:
    """Return the conditions that no index serves."""
    named: list[tuple[ColumnElement[Any], str | None]] = [
        (record.c.decision, wanted.decision.value if wanted.decision else None),
        (record.c.rule, wanted.rule),
        (record.c.client_ip, wanted.client_ip),
        (record.c.method, wanted.method),
        (record.c.client_name, wanted.client),
        (settlement.c.outcome, wanted.outcome.value if wanted.outcome else None),
    ]
    return [column == value for column, value in named if value is not None]


def _with_text(connection: Connection, part: str | None) -> _Conditions:
    """Return the condition on a part of any text, letters of ASCII in either case (`matching.folded`).

    SQLite's LIKE compares so by itself; PostgreSQL folds no other letters where the collation is "C".
    """
    if part is None:
        return []
    columns = [*(record.c[name] for name in SEARCHED), settlement.c.detail]
    if connection.dialect.name == "sqlite":
        return [or_(*(column.contains(part, autoescape=True) for column in columns))]
    small = [func.lower(collate(column, "C")) for column in columns]
    return [or_(*(column.contains(folded(part), autoescape=True) for column in small))]


def _exceptions(wanted: RecordFilter, *, rare: bool) -> _Conditions:
    """Return what keeps refusals, or failures: by their own indexes if they are rare, else by going back."""
    conditions: list[Any] = []
    if wanted.not_allowed:
        refused = select(record.c.position).where(text(NOT_ALLOWED)).scalar_subquery()
        conditions.append(
            record.c.position.in_(refused)
            if rare
            else _plain(record.c.decision) != Verdict.ALLOWED.value  # no index: it has another order
        )
    if wanted.failed:
        failed = select(settlement.c.position).where(text(NOT_OK)).scalar_subquery()
        conditions.append(_plain(record.c.decision) == Verdict.ALLOWED.value)
        conditions.append(
            record.c.position.in_(failed) if rare else _plain(settlement.c.outcome) != Outcome.OK.value
        )
    return conditions


def _are_rare(connection: Connection, wanted: RecordFilter) -> bool:
    """Tell whether there are few enough refusals or failures to look at each of them."""
    if not (wanted.not_allowed or wanted.failed):
        return False
    found = (
        select(record.c.position).where(text(NOT_ALLOWED))
        if wanted.not_allowed
        else select(settlement.c.position).where(text(NOT_OK))
    )
    some = found.limit(FEW).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one() < FEW


def _decided(connection: Connection, wanted: RecordFilter, *, narrow: bool) -> _Conditions:
    """Return the conditions for which there are small indexes, in the words that those go by."""
    conditions: list[Any] = []
    if wanted.knocking or wanted.decision not in {None, Verdict.ALLOWED}:
        conditions.append(text(f"record.{NOT_ALLOWED}"))
    if wanted.knocking:
        conditions.append(record.c.decision == Verdict.REFUSED.value)
        conditions.append(record.c.reason.in_(sorted(KNOCKING)))
    if wanted.errors and (narrow or _are_many(connection)):
        conditions.append(or_(text(f"record.{NOT_ALLOWED}"), text(f"settlement.{NOT_OK}")))
    elif wanted.errors:
        conditions.append(record.c.position.in_(_ERRORS.scalar_subquery()))
    if wanted.outcome is not None and wanted.outcome is not Outcome.OK:
        ended = select(settlement.c.position).where(
            text(NOT_OK), settlement.c.outcome == wanted.outcome.value
        )
        conditions.append(record.c.position.in_(ended))
    return conditions


def _are_many(connection: Connection) -> bool:
    """Tell whether so much was not allowed or went wrong that it is met soon enough by going back."""
    for refused in (
        select(record.c.position).where(text(NOT_ALLOWED)),
        select(settlement.c.position).where(text(NOT_OK)),
    ):
        some = refused.limit(FEW).subquery()
        if connection.execute(select(func.count()).select_from(some)).scalar_one() == FEW:
            return True
    return False


def _in_time(wanted: RecordFilter) -> _Conditions:
    conditions: _Conditions = []
    if wanted.since is not None:
        conditions.append(record.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(record.c.at < wanted.until)
    if wanted.after is not None:
        conditions.append(record.c.position > wanted.after)
    if wanted.before is not None:
        conditions.append(record.c.position < wanted.before)
    return conditions


def _made_with(connection: Connection, wanted: RecordFilter, *, narrow: bool) -> _Conditions:
    """Return the condition on the credential: a list if it is short, else a question asked of each record.

    `narrow`: there is another condition that leaves few records to ask of.
    """
    if wanted.credential is None:
        return []
    asked: _Conditions
    uses, position = made_with(wanted.credential, wanted.version), record.c.position
    asked = [exists(uses.where(used.c.position == position).correlate(record))]
    if narrow:
        return [*asked]
    newest = connection.execute(uses.order_by(used.c.position.desc()).limit(FEW)).scalars().all()
    if len(newest) < FEW:
        return [position.in_(uses)]
    asked.append(position <= newest[0])
    if wanted.limit >= FEW:  # all of it may be wanted, so what is before it all is not to be looked at
        first = connection.execute(uses.order_by(used.c.position).limit(1)).scalar_one()
        asked.append(position >= first)
    return asked
