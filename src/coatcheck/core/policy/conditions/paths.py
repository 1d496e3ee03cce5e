"""Finds what a JSON Pointer with `*` leads to in arguments, and tells where a server may see another."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from coatcheck.core.policy.conditions.texts import look_of

MAX_PARTS: Final = 16
MAX_VALUES: Final = 10_000
"""Most values that one path looks at. Where there are more, it cannot be told."""
EVERY: Final = "*"
_INDEX: Final = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")
_BAD_ESCAPE: Final = re.compile(r"~(?![01])")


class Missing(Enum):
    """What stands in place of a value: nothing is there, or it depends on the reader what is.

    `UNRECORDED`: a replay cannot tell whether something was there.
    """

    ABSENT = "nothing is there"
    UNCLEAR = "another member looks like it, or what it should be in is of another type"
    UNRECORDED = "it was not recorded"


class Printed:
    """A value that was there and was not recorded; `digits` is its keyed print, empty where it has none."""

    __slots__ = ("_print_of", "digits")

    def __init__(self, digits: str, print_of: Callable[[str], str]) -> None:
        self.digits = digits
        self._print_of = print_of

    def is_text(self, text: str) -> bool:
        """Tell whether it was this text, for sure; False where it was not, or cannot be told."""
        return bool(self.digits) and self._print_of(text) == self.digits


Path = tuple[str, ...]


def read_path(text: str) -> Path | None:
    """Return the parts of a pointer, or None if it is none, leads nowhere or has too many (RFC 6901)."""
    if not text.startswith("/") or _BAD_ESCAPE.search(text):
        return None
    parts = tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))
    return parts if len(parts) <= MAX_PARTS else None


def escaped(name: str) -> str:
    """Return a name as a part of a JSON pointer (RFC 6901, section 3)."""
    return name.replace("~", "~0").replace("/", "~1")


def values_at(arguments: Any, path: Path) -> list[Any]:
    """Return what stands at a path; a `Missing` in place of each value that is not there or not clear.

    A path without `*` leads to exactly one. One with `*` leads to as many as there are items of the list or
    members of the object; where that is empty, to one that is absent.
    """
    found = [arguments]
    for part in path:
        if part == EVERY:
            found = [below for value in found for below in _every(value)]
        else:
            found = [_member(value, part) for value in found]
        if len(found) > MAX_VALUES:
            return [Missing.UNCLEAR]
    return found


def _every(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values()) or [Missing.ABSENT]
    if isinstance(value, list):
        return value or [Missing.ABSENT]
    return [_beyond(value)]


def _beyond(value: Any) -> Missing:
    """Return what stands below a value that has no members."""
    if isinstance(value, Missing):
        return value
    return Missing.UNRECORDED if type(value) is Printed else Missing.UNCLEAR


def _member(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        look = look_of(part)
        for key in value:
            if key != part and look_of(key) == look:
                return Missing.UNCLEAR  # servers that do not mind case take the one or the other
        return value.get(part, Missing.ABSENT)
    if isinstance(value, list) and _INDEX.match(part):
        index = int(part)
        return value[index] if index < len(value) else Missing.ABSENT
    return _beyond(value)
