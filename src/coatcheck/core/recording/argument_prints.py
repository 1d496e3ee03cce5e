"""Keyed prints of the values in a call's arguments: equal for equal values, and telling nothing of them.

HMAC with SHA-256 (RFC 2104) over the value as compact JSON, cut to 8 bytes. Who has the key can look for a
value in the record; who has not, cannot try values out.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

MAX_PRINTS: Final = 64
"""Values of one call that have prints of their own; beyond, one print stands for the whole."""
MAX_PATH_CHARS: Final = 200
WHOLE: Final = "*"
"""The path of the print over all of the arguments, as they came."""
_PRINT_DIGITS: Final = 16
_BLOCK: Final = 64

_write = msgspec.json.encode
_read = msgspec.json.Decoder().decode


class ArgumentPrints:
    """One key."""

    def __init__(self, key: bytes) -> None:
        if len(key) > _BLOCK:
            raise ValueError(f"a key has at most {_BLOCK} bytes")
        block = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def __repr__(self) -> str:
        return "ArgumentPrints(...)"

    def of(self, raw: bytes) -> str:
        """Return the prints of JSON arguments by JSON Pointer (RFC 6901), as a JSON object.

        Too many values, paths that are too long and what cannot be read are covered by the print at `WHOLE`.
        """
        found: dict[str, str] = {}
        try:
            whole = self._add(found, "", _read(raw))
        except (msgspec.DecodeError, RecursionError):
            whole = False
        if not whole:
            found[WHOLE] = self._print(raw)
        return _write(found).decode("utf-8")

    def of_value(self, value: str | float | bool | None) -> str:
        """Return the print of one value: 16 hexadecimal digits."""
        return self._print(_write(value))

    def _add(self, found: dict[str, str], path: str, value: Any) -> bool:
        """Add the prints of values that hold no others, and of what is empty; tell whether all fit."""
        if type(value) is dict and value:
            for name, member in value.items():
                if not self._add(found, f"{path}/{_escaped(name)}", member):
                    return False
        elif type(value) is list and value:
            for number, item in enumerate(value):
                if not self._add(found, f"{path}/{number}", item):
                    return False
        elif len(found) == MAX_PRINTS or len(path) > MAX_PATH_CHARS:
            return False
        else:
            found[path] = self._print(_write(value))
        return True

    def _print(self, raw: bytes) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()  # a third of what the module hmac takes
        inner.update(raw)
        outer.update(inner.digest())
        return outer.hexdigest()[:_PRINT_DIGITS]


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1") if "~" in name or "/" in name else name
