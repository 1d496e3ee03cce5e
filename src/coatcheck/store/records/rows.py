"""Between the nouns of the record and the rows of its tables, on the one path that is paid for each call.

SQLAlchemy compiles the two inserts once for each database (`statements`); rows then go to the driver as plain
tuples in column order. Fields to search by have the column of their name; which form it has there follows
from its type: `bytes` are a UUID, and a `bytearray` is binary, which sqlite3 takes with the least ado. An
entry is read from its stored bytes, and from its columns only where it has none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, get_type_hints
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import Column, Select, Table, select

from coatcheck.core.recording.record_lines import credentials_of
from coatcheck.core.recording.stored import record_of, settlement_of
from coatcheck.model.record import Record, RecordEntry, Settlement
from coatcheck.store import tables
from coatcheck.store.columns import micros_of

KNOWN: Final = 1_024
"""So many sets of credentials are taken apart once, not for each call."""

_Noun = TypeVar("_Noun", Record, Settlement)
_Found = TypeVar("_Found")
_Read = TypeVar("_Read")


class Form(Generic[_Noun]):
    """How one noun is laid out in its table: `columns` are those of its own, in the table's order."""

    def __init__(self, noun: type[_Noun], table: Table, given: frozenset[str] = frozenset()) -> None:
        types = {name: kind for name, kind in get_type_hints(noun).items() if name not in given}
        self.columns: list[Column[Any]] = [column for column in table.c if column.name in types]
        self._noun: Callable[..., _Noun] = noun
        names = [column.name for column in self.columns]
        self._names = names
        self._take: Callable[[Any], tuple[Any, ...]] = attrgetter(
            *(f"{name}{_part(types[name])}" for name in names)
        )
        self._times = [at for at, name in enumerate(names) if types[name] is datetime]
        self._lists = [at for at, name in enumerate(names) if _is_list(types[name])]
        self._words = [(at, types[name]) for at, name in enumerate(names) if _is_word(types[name])]

    def values_of(self, noun: _Noun) -> list[Any]:
        """Return what the columns hold."""
        values = list(self._take(noun))
        for at in self._times:
            values[at] = micros_of(values[at])
        for at in self._lists:
            values[at] = json.dumps(values[at], separators=(",", ":")) if values[at] else ""
        return values

    def noun_of(self, values: Sequence[Any], **given: Any) -> _Noun:
        """Return the noun that columns say, read through SQLAlchemy; `given` is what is not among them.

        Raises:
            ValueError, TypeError: a column holds what no noun has there.
        """
        return self._noun(**given, **self._read(values))

    def fits(self, values: Sequence[Any], noun: _Noun) -> bool:
        """Tell whether columns say what a noun says.

        Raises:
            ValueError, TypeError: a column holds what no noun has there.
        """
        return all(getattr(noun, name) == value for name, value in self._read(values).items())

    def _read(self, values: Sequence[Any]) -> dict[str, Any]:
        read = list(values)
        for at in self._lists:
            read[at] = tuple(json.loads(read[at])) if read[at] else ()
        for at, word in self._words:
            read[at] = word(read[at])
        return dict(zip(self._names, read, strict=True))


def _part(kind: Any) -> str:
    if kind is UUID:
        return ".bytes"
    return "._value_" if _is_word(kind) else ""  # `value` is a property, which costs a call


def _is_word(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, StrEnum)


def _is_list(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is tuple


RECORD: Final = Form(Record, tables.record)
SETTLEMENT: Final = Form(Settlement, tables.settlement, frozenset({"record_id"}))


def record_row(position: int, record: Record, stored: bytes, hash: bytes) -> tuple[object, ...]:
    """Return the row of a record, in the order of the table's columns."""
    return (position, *RECORD.values_of(record), bytearray(stored), bytearray(hash))


def settlement_row(
    sequence: int, position: int, settlement: Settlement, stored: bytes, hash: bytes
) -> tuple[object, ...]:
    """Return the row of a settlement, in the order of the table's columns."""
    return (sequence, position, *SETTLEMENT.values_of(settlement), bytearray(stored), bytearray(hash))


def used_rows(entry: RecordEntry) -> list[tuple[object, ...]]:
    """Return the rows of `used` for an entry, in the order of the table's columns."""
    return [(entry.position, *use) for use in _uses_in(credentials_of(entry))]


@lru_cache(KNOWN)
def _uses_in(credentials: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    uses = (use.rpartition("@") for use in dict.fromkeys(credentials))  # the table takes each once
    return tuple((name, int(number)) for name, _, number in uses if number.isdecimal())


def writable(noun: _Noun, spelt: Callable[[str], str]) -> _Noun:
    """Return a noun whose text can be stored: `spelt` spells out what the database has no place for."""
    found = {name: getattr(noun, name) for name in noun.__struct_fields__}
    changed: dict[str, Any] = {
        name: tuple(map(spelt, value)) if type(value) is tuple else spelt(value)
        for name, value in found.items()
        if type(value) in {str, tuple}
    }
    return replace(noun, **changed)


_KEYS = (
    tables.record.c.position,
    tables.settlement.c.sequence,
    tables.record.c.stored,
    tables.settlement.c.stored,
)
_OWN = len(_KEYS) + len(RECORD.columns)

ENTRIES: Final[Select[Any]] = select(*_KEYS, *RECORD.columns, *SETTLEMENT.columns).select_from(
    tables.record.outerjoin(tables.settlement, tables.settlement.c.position == tables.record.c.position)
)
"""Every record with its settlement, if any; rows are read by `entry_of` and `sequence_of`."""


def entry_of(row: Sequence[Any]) -> RecordEntry:
    """Read one row of `ENTRIES`."""
    record = _from(record_of, row[2]) or RECORD.noun_of(row[len(_KEYS) : _OWN])
    if row[1] is None:
        return RecordEntry(row[0], record, None)
    _, settlement = _from(settlement_of, row[3]) or (0, None)
    if settlement is None:
        settlement = SETTLEMENT.noun_of(row[_OWN:], record_id=record.id)
    return RecordEntry(row[0], record, settlement)


def _from(read: Callable[[bytes], _Found], stored: bytes | None) -> _Found | None:
    """Return what stored bytes say; None for those from before there were any, or that somebody broke."""
    if not stored:
        return None
    try:
        return read(stored)
    except ValueError:
        return None


def sequence_of(row: Sequence[Any]) -> int:
    """Return the place of a row of `ENTRIES` in the order of settling; 0 if it is not settled."""
    return int(row[1] or 0)
