"""Writes values the way a text is written already: its line ends, its indentation, one line or many."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from coatcheck.declared.reading.jsonc import Document, pointer_to

WIDTH: Final = 100
"""Characters up to which a list, or an object among others on one line, stays on one line."""

_BREAK: Final = re.compile(r"[\r\n]")
_BLANK: Final = re.compile(r"[ \t]*")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a text is written: what ends its lines, and by what each level is indented further."""

    newline: str
    unit: str


def layout_of(text: str, document: Document) -> Layout:
    """Return the layout of a text; two spaces where it shows no indentation of its own."""
    windows = text.count("\r\n") * 2 > text.count("\n")
    outer = document.spans[""].start
    for key in document.value if isinstance(document.value, dict) else ():
        at = document.spans[pointer_to("", key)].key
        if has_break(text, outer, at):
            return Layout("\r\n" if windows else "\n", _deeper(indent_at(text, outer), indent_at(text, at)))
    return Layout("\r\n" if windows else "\n", "  ")


def _deeper(outer: str, inner: str) -> str:
    return inner.removeprefix(outer) if inner != outer else ""


def has_break(text: str, start: int, end: int) -> bool:
    """Tell whether a line ends within a part of the text."""
    return _BREAK.search(text, start, end) is not None


def indent_at(text: str, at: int) -> str:
    """Return the spaces and tabs that the line of a position begins with."""
    start = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
    match = _BLANK.match(text, start)
    return match[0] if match else ""


def one_line(value: Any) -> str:
    """Return a value as JSON on one line. Characters that cannot be seen are escaped."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{one_line(key)}: {one_line(each)}" for key, each in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(one_line, value))}]"
    return json.dumps(value, ensure_ascii=not (isinstance(value, str) and value.isprintable()))


def spread(value: Any, indent: str, layout: Layout) -> str:
    """Return a value as JSON with a line for each member; `indent` is that of the line it begins on.

    Lists stay on one line while they are short and hold no lists or objects.
    """
    if not isinstance(value, Mapping | list) or not value or _is_short(value):
        return one_line(value)
    inner = indent + layout.unit
    if isinstance(value, list):
        parts, ends = [spread(each, inner, layout) for each in value], "[]"
    else:
        parts = [f"{one_line(key)}: {spread(each, inner, layout)}" for key, each in value.items()]
        ends = "{}"
    lines = f",{layout.newline}{inner}".join(parts)
    return f"{ends[0]}{layout.newline}{inner}{lines}{layout.newline}{indent}{ends[1]}"


def _is_short(value: Any) -> bool:
    if not isinstance(value, list) or any(isinstance(each, Mapping | list) for each in value):
        return False
    return len(one_line(value)) <= WIDTH
