"""What a server made of a tool since it was accepted, as lines that say before and after."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from coatcheck.console.pages.servers.words import visible
from coatcheck.core.pins.definitions import Difference
from coatcheck.operations.pinning.views import ToolChange, ToolState

WIDTH: Final = 100
CONTEXT: Final = 2
"""Lines around a change that are shown of what stayed."""
MOST: Final = 400
Line = tuple[str, str]
_NAMES: Final = {
    "inputSchema": "input",
    "outputSchema": "output",
    "properties": "",
    "items": "items",
    "": "everything",
}
_STATES: Final = {
    ToolState.NEW: ("new", "info", "It was not there when its server's tools were accepted."),
    ToolState.CHANGED: ("changed", "warn", "It is not any more what was accepted."),
    ToolState.BACK: ("changed back", "mute", "It was changed, and is again as it was accepted."),
    ToolState.GONE: ("gone", "mute", "Its server does not list it any more."),
}


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A change as it is shown, and how it stands in one word, with its tone."""

    change: ToolChange
    tool: str
    word: str
    tone: str
    about: str
    lines: Sequence[Line]
    why: Sequence[str]


def row_of(change: ToolChange) -> ChangeRow:
    """Return a change as it is shown."""
    word, tone, about = _STATES[change.state]
    lines = list(_all_lines(change.differences))
    if len(lines) > MOST:
        lines = [*lines[:MOST], ("@", f"and {len(lines) - MOST} more lines")]
    return ChangeRow(change, visible(change.tool), word, tone, about, lines, tuple(map(visible, change.why)))


def _all_lines(differences: Sequence[Difference]) -> Iterator[Line]:
    for one in differences:
        yield "@", where_in_words(one.where)
        yield from lines_of(one.before, one.after)


def where_in_words(pointer: str) -> str:
    """Return a JSON Pointer (RFC 6901) as words: `/inputSchema/properties/q/type` is `input, q, type`."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    words = [_NAMES.get(part, part) for part in parts]
    return visible(" \u203a ".join(word for word in words if word)) or "the whole tool"


def lines_of(before: str | None, after: str | None) -> Iterator[Line]:
    """Yield what became of a JSON value, line by line; None: there was, or is, none."""
    old, new = _readable(before), _readable(after)
    for tag, start, end, first, last in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from ((" ", line) for line in _around(old[start:end], start == 0, end == len(old)))
            continue
        yield from (("-", line) for line in old[start:end])
        yield from (("+", line) for line in new[first:last])


def _around(lines: Sequence[str], is_first: bool, is_last: bool) -> Sequence[str]:
    """Return what is shown of lines that stayed: those next to a change."""
    if is_first and is_last:
        return []
    before = [] if is_first else list(lines[:CONTEXT])
    after = [] if is_last else list(lines[-CONTEXT:])
    if len(before) + len(after) >= len(lines):
        return lines
    return [*before, "\u2026", *after]


def _readable(text: str | None) -> list[str]:
    """Return a JSON value as lines: a text as it reads, anything else written out."""
    if text is None:
        return []
    try:
        value = json.loads(text)
        told = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):  # cut where it was long
        told = text
    found: list[str] = []
    for line in visible(told).replace("\t", "    ").split("\n"):
        wrapped = textwrap.wrap(
            line, WIDTH, drop_whitespace=False, replace_whitespace=False, break_on_hyphens=False
        )
        found += wrapped or [""]
    return found
