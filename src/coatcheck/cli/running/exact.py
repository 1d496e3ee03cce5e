"""JSON whose numbers stay as they were written, so that printing a server's result changes none of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number, as the characters it was written with."""

    text: str

    def __str__(self) -> str:
        return self.text


def read(text: bytes) -> Any:
    """Return the value of a JSON text, each number as a `Number`.

    Raises:
        ValueError: not JSON, or not UTF-8.
        RecursionError: nested too deep.
    """
    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=Number)


def write(value: Any, *, indent: int | None = None) -> str:
    """Return the JSON text of a value from `read`, on one line or spread out by `indent` spaces a level."""
    return _write(value, indent, 0)


def _write(value: Any, indent: int | None, level: int) -> str:
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        members = [f"{_plain(name)}: {_write(member, indent, level + 1)}" for name, member in value.items()]
        return _enclose("{", members, "}", indent, level)
    if isinstance(value, list):
        return _enclose("[", [_write(member, indent, level + 1) for member in value], "]", indent, level)
    return _plain(value)


def _enclose(start: str, members: Sequence[str], end: str, indent: int | None, level: int) -> str:
    if indent is None or not members:
        return f"{start}{', '.join(members)}{end}"
    inner = "\n" + " " * (indent * (level + 1))
    return f"{start}{inner}{f',{inner}'.join(members)}\n{' ' * (indent * level)}{end}"


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
