"""Whether the registry is whole: a sum over the MACs of all rows, with a MAC of its own.

A row that was removed, or an older copy of it put back, passes every check of the rows themselves; so a
revocation or a disabled subject could vanish. The sum is kept up to date in the transaction of each edit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from coatcheck.core.sealing.row_macs import Value, row_fits, row_mac
from coatcheck.store.tables import whole

NOT_WHOLE: Final = "registry (rows were removed, or older ones put back)"
"""How a registry that is not whole is named among what is damaged."""

_MODULUS: Final = 1 << 256
_BROKEN: Final = "broken"


@dataclass(frozen=True, slots=True)
class Sum:
    """How many rows there are, and the sum of their MACs modulo 2^256."""

    rows: int = 0
    total: int = 0

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.rows + other.rows, (self.total + other.total) % _MODULUS)


def sum_of(macs: Iterable[str]) -> Sum:
    """Return the sum over MACs of rows that were added."""
    numbers = [_number(mac) for mac in macs]
    return Sum(len(numbers), sum(numbers) % _MODULUS)


def difference(former: str, mac: str) -> Sum:
    """Return what a row that was changed adds to the sum."""
    return Sum(0, (_number(mac) - _number(former)) % _MODULUS)


class WholeSum:
    """Keeps the one row that holds the sum."""

    def __init__(self, key: bytes, key_id: str) -> None:
        self._key = key
        self._key_id = key_id

    def fits(self, reading: Connection, found: Sum) -> bool:
        """Tell whether the rows that were found are all there shall be, as they shall be."""
        kept = self._kept(reading)
        return kept is not None and kept == found

    def add(self, writing: Connection, change: Sum) -> None:
        """Take an edit into the sum. A sum that does not fit its MAC is never mended by this."""
        kept = self._kept(writing)
        self._write(writing, None if kept is None else kept + change)

    def start(self, writing: Connection, found: Sum) -> None:
        """Take what is there as the whole."""
        self._write(writing, found)

    def _kept(self, connection: Connection) -> Sum | None:
        found = connection.execute(select(whole)).mappings().one_or_none()
        if found is None:
            return None
        row = dict(found)
        mac = row.pop("mac")
        if not row_fits(self._key, whole.name, row, self._key_id, mac):
            return None
        return Sum(row["rows"], _number(row["total"]))

    def _write(self, writing: Connection, found: Sum | None) -> None:
        writing.execute(delete(whole))
        kept = found or Sum()
        row: dict[str, Value] = {"rows": kept.rows, "total": f"{kept.total:064x}"}
        mac = _BROKEN if found is None else row_mac(self._key, whole.name, row, self._key_id)
        writing.execute(insert(whole), {**row, "mac": mac})


def _number(mac: str) -> int:
    try:
        return int(mac, 16)
    except (TypeError, ValueError):  # someone wrote something else there: the sum will not fit
        return 0
