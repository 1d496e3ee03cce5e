"""Writing rows of the registry so that no one's newer row is overwritten and no name is given twice."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Table, Update, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from coatcheck.errors import Stale, Taken
from coatcheck.store.registry.kinds import Kind
from coatcheck.store.registry.rows import Row
from coatcheck.store.registry.whole import Sum, difference, sum_of

_UNIQUE: Final = (
    "uq_grant_label",
    "grant.label",
    "uq_server_folded",
    "server.folded",
    "uq_credential_folded",
    "credential.folded",
)
"""What the databases call the indexes on labels and names: PostgreSQL the index, SQLite the column."""


def put_rows(writing: Connection, rows: Sequence[tuple[Kind, Row]]) -> Sum:
    """Write rows inside a transaction: changed ones first, in their order, since they may free a name.

    Returns what this adds to the sum over all rows.

    Raises:
        Stale: a row is not at the version before the one given.
        Taken: its label or name belongs to another.
    """
    change = Sum()
    for kind, row in rows:
        if row["version"] != 1:
            change += _change(writing, kind, row)
    new = sorted((each for each in rows if each[1]["version"] == 1), key=lambda each: each[0].table.name)
    for _, group in groupby(new, key=lambda each: each[0].table.name):
        some = list(group)
        _add(writing, some[0][0], [row for _, row in some])
    return change + sum_of(str(row["mac"]) for _, row in new)


def _change(writing: Connection, kind: Kind, row: Row) -> Sum:
    former = {"former_version": int(row["version"] or 0) - 1, **_keys_of(kind, row)}
    mac = writing.execute(_mac_of(kind.table), former).scalar_one_or_none()
    if mac is None:
        raise _stale(kind, row)
    try:
        changed = writing.execute(_update_of(kind.table), {**row, **former}).rowcount
    except IntegrityError as error:
        raise _refusal(kind, row, error) from None
    if changed != 1:
        raise _stale(kind, row)
    return difference(mac, str(row["mac"]))


def _keys_of(kind: Kind, row: Row) -> dict[str, Any]:
    return {f"key_{key.name}": row[key.name] for key in kind.keys}


@cache
def _update_of(table: Table) -> Update:
    """Return the statement, built once: building it costs more than running it."""
    return update(table).where(*_former(table)).values({c.name: bindparam(c.name) for c in table.columns})


@cache
def _mac_of(table: Table) -> Select[Any]:
    return select(table.c.mac).where(*_former(table))


def _former(table: Table) -> list[ColumnElement[bool]]:
    keys = [key == bindparam(f"key_{key.name}") for key in table.primary_key.columns]
    return [*keys, table.c.version == bindparam("former_version")]


def _add(writing: Connection, kind: Kind, rows: list[Row]) -> None:
    if len(rows) > 1:
        try:
            with writing.begin_nested():
                writing.execute(insert(kind.table), rows)
            return
        except IntegrityError:
            pass  # one by one, to find out which
    for row in rows:
        try:
            writing.execute(insert(kind.table), row)
        except IntegrityError as error:
            raise _refusal(kind, row, error) from None


def _refusal(kind: Kind, row: Row, error: IntegrityError) -> Stale | Taken:
    diagnosis = getattr(error.orig, "diag", None)
    broken = str(getattr(diagnosis, "constraint_name", None) or error.orig)
    if kind.again or any(unique in broken for unique in _UNIQUE):
        name = row[kind.named]
        return Taken(
            f"the {kind.unique} '{name}' belongs to another {kind.table.name}", fix="choose another one"
        )
    return _stale(kind, row)


def _stale(kind: Kind, row: Row) -> Stale:
    return Stale(
        f"the {kind.table.name} '{row[kind.named]}' was changed since it was read", fix="read it again"
    )
