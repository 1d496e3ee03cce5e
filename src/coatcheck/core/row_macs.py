"""The MAC of a stored row: whoever edits the database without the key is noticed.

HMAC-SHA-256 (RFC 2104) over one canonical text for each row. What is authenticated are the values as the
database returns them, with the table, the names of the columns and the id of the key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Final

Value = str | int | None
"""What a column of an authenticated row may hold. None is distinct from an empty text, 1 from "1"."""

_FORM: Final = 1
"""Number of the canonical form; another form gets another number, so that no two forms give equal bytes."""

_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def row_bytes(table: str, row: Mapping[str, Value], key_id: str) -> bytes:
    """Return the canonical bytes of a row: ASCII JSON, columns sorted by name. No two rows share them.

    Raises:
        TypeError: a value is no text, whole number or None (floats, bytes and booleans have more than one
            form in databases).
    """
    for name, value in row.items():
        if not (value is None or type(value) is str or type(value) is int):
            raise TypeError(f"column {name} of {table} holds a {type(value).__name__}")
    form = [_FORM, key_id, table, sorted(row.items())]
    return _encode(form).encode("ascii")


def row_mac(key: bytes, table: str, row: Mapping[str, Value], key_id: str) -> str:
    """Return the MAC of a row as 64 hexadecimal digits.

    Raises:
        TypeError: see `row_bytes`.
    """
    return hmac.new(key, row_bytes(table, row, key_id), hashlib.sha256).hexdigest()


def row_fits(key: bytes, table: str, row: Mapping[str, Value], key_id: str, mac: object) -> bool:
    """Tell whether the MAC belongs to the row, in constant time; False for values that no row may hold."""
    try:
        expected = row_mac(key, table, row, key_id)
    except TypeError:
        return False
    return isinstance(mac, str) and mac.isascii() and hmac.compare_digest(expected, mac)
