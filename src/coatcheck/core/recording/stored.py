"""The bytes of an entry that the chain is over: canonical JSON, whose first member says which form it has.

Fields are in the order of the classes in `model`. A field that came later has a default, which entries of
before are read with; so a class may gain fields, and may not lose or turn them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from coatcheck.model.chain import EntryKind, Link
from coatcheck.model.change import Change
from coatcheck.model.record import Record, Settlement

FORM: Final = 1
"""Number of the form; another form gets another number, and the readers read both."""

_encode = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical").encode

_Noun = TypeVar("_Noun")


class _StoredRecord(msgspec.Struct, frozen=True):
    v: int
    record: Record


class _StoredSettlement(msgspec.Struct, frozen=True):
    v: int
    of: int
    settlement: Settlement


class _StoredChange(msgspec.Struct, frozen=True):
    v: int
    change: Change


def stored_record(record: Record) -> bytes:
    """Return the bytes of a record.

    Raises:
        UnicodeEncodeError: a text holds a lone surrogate, as all three do.
    """
    return b'{"v":1,"record":%b}' % _encode(record)


def stored_settlement(of: int, settlement: Settlement) -> bytes:
    """Return the bytes of a settlement of the record with number `of`."""
    return b'{"v":1,"of":%d,"settlement":%b}' % (of, _encode(settlement))


def stored_change(change: Change) -> bytes:
    """Return the bytes of a change."""
    return b'{"v":1,"change":%b}' % _encode(change)


def record_of(stored: bytes) -> Record:
    """Return the record that bytes say.

    Raises:
        ValueError: they are no record in a form that is known, as for all three.
    """
    found = _read(stored, _RECORDS).record
    _refuse_naive(found.at)
    return found


def settlement_of(stored: bytes) -> tuple[int, Settlement]:
    """Return the number of the record, and its settlement."""
    found = _read(stored, _SETTLEMENTS)
    _refuse_naive(found.settlement.at)
    return found.of, found.settlement


def change_of(stored: bytes) -> Change:
    """Return the change that bytes say."""
    found = _read(stored, _CHANGES).change
    _refuse_naive(found.at)
    return found


def moment_of(link: Link) -> datetime | None:
    """Return when an entry was made, as its stored bytes say; None if they do not."""
    try:
        match link.kind:
            case EntryKind.RECORD:
                return record_of(link.stored).at
            case EntryKind.SETTLEMENT:
                return settlement_of(link.stored)[1].at
            case EntryKind.CHANGE:
                return change_of(link.stored).at
    except ValueError:
        return None


_RECORDS: Final = msgspec.json.Decoder(_StoredRecord)
_SETTLEMENTS: Final = msgspec.json.Decoder(_StoredSettlement)
_CHANGES: Final = msgspec.json.Decoder(_StoredChange)


def _read(stored: bytes, decoder: msgspec.json.Decoder[_Noun]) -> _Noun:
    try:
        found: Any = decoder.decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the stored bytes are no entry: {type(error).__name__}") from None
    if found.v != FORM:
        raise ValueError(f"the entry has form {found.v}, which this version does not know")
    return found  # type: ignore[no-any-return]


def _refuse_naive(at: datetime) -> None:
    """Refuse a time without a zone: none was ever written, and it compares with no other."""
    if at.tzinfo is None:
        raise ValueError("the time of the entry has no zone")
