"""Puts members into JSON with comments and takes them out; the rest of the text stays as it was written.

A path is the keys that lead to a value, from the outside in. A member that is put in comes last, after every
comment of its object. Comments stay, but for those inside a value that is replaced or taken out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, Self

from coatcheck.declared.editing.layout import WIDTH, has_break, indent_at, layout_of, one_line, spread
from coatcheck.declared.reading import jsonc
from coatcheck.declared.reading.jsonc import Document, Span, pointer_to

_PIECE: Final = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<line>//[^\r\n]*)|(?P<block>/\*(?s:.*?)\*/)|(?P<comma>,)"
)
_REST_OF_LINE: Final = re.compile(r"[ \t]*(?=[\r\n])")
_SPACES: Final = re.compile(r"[ \t]*")

Cut = tuple[int, int]
"""A part of the text to leave out: from, up to."""


def pointer_of(path: Sequence[str]) -> str:
    """Return the JSON pointer of a path (RFC 6901)."""
    return reduce(pointer_to, path, "")


def put(text: str, path: Sequence[str], key: str, value: Any) -> str:
    """Return the text with one more member in the object at `path`, which must not have that key."""
    document = jsonc.read(text)
    outer = _Object.at(document, path)
    if not outer.spans:
        return _put_first(text, document, outer, key, value)
    last, tail = outer.spans[-1], outer.gap_after(text, -1)
    own_line = has_break(text, outer.end_before(-1), last.key) or has_break(text, tail.start, tail.end)
    layout, indent = layout_of(text, document), indent_at(text, last.key)
    if own_line:
        like_last = text[last.start] == "{" and not has_break(text, last.start, last.end)
        added = layout.newline + indent + _member(key, value, spread(value, indent, layout), like_last)
    else:
        added = " " + _member(key, value, one_line(value), flat=True)
    at = tail.comments_end
    return f"{text[: last.end]},{text[last.end : at]}{added}{text[at:]}"


def replace(text: str, path: Sequence[str], value: Any) -> str:
    """Return the text with another value for the member at `path`; its key and place stay."""
    document = jsonc.read(text)
    span = document.spans[pointer_of(path)]
    if has_break(text, span.start, span.end):
        written = spread(value, indent_at(text, span.key), layout_of(text, document))
    else:
        written = one_line(value)
    return text[: span.start] + written + text[span.end :]


def drop(text: str, path: Sequence[str]) -> str:
    """Return the text without the member at `path`. Of a member that `put` added, nothing is left.

    An object with nothing but white space in it becomes `{}`.
    """
    document = jsonc.read(text)
    outer = _Object.at(document, path[:-1])
    cuts = sorted(_cuts(text, outer, outer.keys.index(path[-1])))
    kept, done = [], 0
    for start, end in cuts:
        kept.append(text[done:start])
        done = end
    shorter = "".join(kept) + text[done:]
    if len(outer.keys) > 1:
        return shorter
    close = outer.close - (len(text) - len(shorter))
    inner = shorter[outer.open + 1 : close]
    return shorter if inner.strip(" \t\r\n") else shorter[: outer.open + 1] + shorter[close:]


# --- where things stand ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Gap:
    """What stands between two values: white space, comments and at most one comma."""

    start: int
    end: int
    comments_end: int
    comma: int | None
    blank_start: int
    """Where the white space at the end begins."""
    after_line_comment: bool
    """Whether that white space follows a comment that only the end of its line ends."""

    @classmethod
    def between(cls, text: str, start: int, end: int) -> Self:
        """Read the gap between two positions."""
        comments_end, comma, blank_start, kind = start, None, start, ""
        for piece in _PIECE.finditer(text, start, end):
            if piece.lastgroup == "space":
                continue
            kind, blank_start = piece.lastgroup or "", piece.end()
            if kind == "comma":
                comma = piece.start()
            else:
                comments_end = piece.end()
        return cls(start, end, comments_end, comma, blank_start, kind == "line")

    @property
    def has_comments(self) -> bool:
        return self.comments_end > self.start


@dataclass(frozen=True, slots=True)
class _Object:
    """An object in the text: where its braces stand, and its members in order."""

    open: int
    close: int
    keys: list[str]
    spans: list[Span]

    @classmethod
    def at(cls, document: Document, path: Sequence[str]) -> Self:
        """Find the object at a path, which must be one."""
        value, pointer = document.value, pointer_of(path)
        for key in path:
            value = value[key]
        span = document.spans[pointer]
        spans = [document.spans[pointer_to(pointer, key)] for key in value]
        return cls(span.start, span.end - 1, list(value), spans)

    def end_before(self, at: int) -> int:
        """Return where the value before a member ends, or the opening brace."""
        at %= len(self.spans)
        return self.spans[at - 1].end if at else self.open + 1

    def gap_before(self, text: str, at: int) -> _Gap:
        """Return the gap that a member comes after."""
        return _Gap.between(text, self.end_before(at), self.spans[at].key)

    def gap_after(self, text: str, at: int) -> _Gap:
        """Return the gap that comes after a member."""
        at %= len(self.spans)
        end = self.spans[at + 1].key if at + 1 < len(self.spans) else self.close
        return _Gap.between(text, self.spans[at].end, end)


# --- putting in, taking out --------------------------------------------------------------------------------


def _member(key: str, value: Any, written: str, flat: bool) -> str:
    line = f"{one_line(key)}: {one_line(value)}"
    return line if flat and len(line) <= WIDTH else f"{one_line(key)}: {written}"


def _put_first(text: str, document: Document, outer: _Object, key: str, value: Any) -> str:
    gap = _Gap.between(text, outer.open + 1, outer.close)
    layout, indent = layout_of(text, document), indent_at(text, outer.open)
    inner = indent + layout.unit
    lines = layout.newline + inner + _member(key, value, spread(value, inner, layout), flat=False)
    line = _member(key, value, one_line(value), flat=True)
    at = gap.comments_end
    if gap.has_comments:
        added = lines if has_break(text, gap.start, gap.end) else " " + line
        return text[:at] + added + text[at:]
    whole = document.spans[""]
    if document.value and not has_break(text, whole.start, whole.end):
        return text[: gap.start] + line + text[gap.end :]
    return f"{text[: gap.start]}{lines}{layout.newline}{indent}{text[gap.end :]}"


def _cuts(text: str, outer: _Object, at: int) -> list[Cut]:
    span, is_last = outer.spans[at], at == len(outer.spans) - 1
    before, after = outer.gap_before(text, at), outer.gap_after(text, at)
    start, end, cuts = span.key, span.end, []
    comma = before.comma if is_last else after.comma
    if comma is not None:
        if not is_last and not text[end:comma].strip(" \t\r\n"):
            end = comma + 1
        else:
            cuts.append((comma, comma + 1))
    ends_line = _REST_OF_LINE.match(text, end) is not None
    ends_object = is_last and not after.has_comments and not before.after_line_comment
    if ends_line or ends_object:
        start = before.blank_start
    if not (ends_line or ends_object) or before.after_line_comment:
        end = _end_of_spaces(text, end)  # else they would belong to the comment
    return [*cuts, (start, end)]


def _end_of_spaces(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    return match.end() if match else at
