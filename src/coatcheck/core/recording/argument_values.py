"""The arguments of a call as the record keeps them where that is wanted: sealed, each to its own record."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from coatcheck.core.sealing.sealed_values import BrokenSeal, ValueSeal
from coatcheck.model.record import Record

_PLACE: Final = ("record", "argument_values")


class ArgumentValues:
    """One key."""

    def __init__(self, key: bytes) -> None:
        self._seal = ValueSeal(key)

    def __repr__(self) -> str:
        return "ArgumentValues(...)"

    def seal(self, raw: bytes, id: UUID, nonce: bytes) -> str:
        """Return the arguments, JSON, sealed for the record of this id. `nonce` as in `ValueSeal`."""
        return self._seal.seal(raw.decode("utf-8"), (*_PLACE, str(id)), nonce)

    def open(self, record: Record) -> str | None:
        """Return the arguments of a record as JSON; None: it has none, or they were not sealed for it."""
        if not record.argument_values:
            return None
        try:
            return self._seal.open(record.argument_values, (*_PLACE, str(record.id)))
        except BrokenSeal:
            return None
