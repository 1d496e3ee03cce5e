"""Reads JSON with comments and remembers the line of every key and value.

RFC 8259 and `//` and `/* */` comments, nothing more: trailing commas, equal keys, a byte order mark, NaN and
lone surrogates are refused with line and column. No message quotes the text, for it may hold secrets.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from coatcheck.errors import ConfigError
from coatcheck.model.declaration import Problem

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 64
_MAX_NUMBER: Final = 40

_GAP = re.compile(r"(?:[ \t\r\n]++|//[^\r\n]*+|/\*(?s:.*?)\*/)*+")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z_$][\w$-]*")
_WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}
_SURROGATE = re.compile("[\ud800-\udfff]")


class JsoncError(ConfigError):
    """The text is not JSON with comments. `line` and `column` count from 1."""

    code = "jsonc"

    def __init__(self, message: str, line: int, column: int, fix: str = "") -> None:
        super().__init__(f"{message}, line {line} column {column}", fix=fix)
        self.line = line
        self.column = column


class Span(NamedTuple):
    """Where a member of an object stands in the text, in characters: its key from `key`, its value from
    `start` up to `end`. For the whole document, `key` is `start`.
    """

    key: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """What a text says. `lines` maps JSON pointers (RFC 6901) to the line of the key, or of the list item.

    `spans` maps the pointers of members, and of the whole, to their places. `doubles` are keys written
    twice in one object; the value keeps the first of them.
    """

    value: Any
    lines: dict[str, int]
    spans: dict[str, Span]
    doubles: tuple[Problem, ...]


def pointer_to(parent: str, key: str | int) -> str:
    """Return the JSON pointer of a member or item of what `parent` points at (RFC 6901)."""
    return f"{parent}/{str(key).replace('~', '~0').replace('/', '~1')}"


def read(text: bytes | str, *, last_commas: bool = False) -> Document:
    """Return the value of a text and where its parts stand.

    `last_commas`: a comma may stand after the last entry, as in the settings of some editors.

    Raises:
        JsoncError: not UTF-8, not JSON with comments, or over a limit of size or depth.
    """
    return _Reader(_decoded(text), last_commas=last_commas).document()


def _decoded(text: bytes | str) -> str:
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        raise JsoncError(f"the file is larger than {MAX_BYTES // 1024} KiB", 1, 1)
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise JsoncError("the file starts with a byte order mark", 1, 1, "save it as UTF-8 without BOM")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise JsoncError("the file is not UTF-8", line, column, "save it as UTF-8") from None


class _Reader:
    def __init__(self, text: str, *, last_commas: bool) -> None:
        self._text = text
        self._last_commas = last_commas
        self._at = 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._lines: dict[str, int] = {}
        self._spans: dict[str, Span] = {}
        self._doubles: list[Problem] = []

    def document(self) -> Document:
        self._skip()
        if self._at == len(self._text):
            raise self._error("the file is empty", "write {} if nothing is to be declared")
        self._lines[""] = self._line(self._at)
        start = self._at
        value = self._value("", 0)
        self._spans[""] = Span(start, start, self._at)
        self._skip()
        if self._at < len(self._text):
            raise self._error("there is more text after the end of the value", "remove it")
        return Document(value, self._lines, self._spans, tuple(self._doubles))

    def _value(self, where: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels")
        start = self._peek()
        if start == "{":
            return self._object(where, depth)
        if start == "[":
            return self._list(where, depth)
        if start == '"':
            return self._string()
        if match := _NUMBER.match(self._text, self._at):
            return self._number(match[0])
        if (match := _WORD.match(self._text, self._at)) and match[0] in _WORDS:
            self._at = match.end()
            return _WORDS[match[0]]
        raise self._unexpected("a value")

    def _object(self, where: str, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        self._step()
        if self._closes("}"):
            return members
        while True:
            if self._peek() != '"':
                raise self._unexpected("a key in double quotes")
            at = self._at
            key = self._string()
            pointer = pointer_to(where, key)
            if key in members:
                self._note_double(pointer, at)
                pointer = pointer_to(pointer, "(again)")  # keeps the lines of the first one right
            self._lines[pointer] = self._line(at)
            self._skip()
            if self._peek() != ":":
                raise self._unexpected("a colon after the key")
            self._step()
            start = self._at
            value = self._value(pointer, depth + 1)
            self._spans[pointer] = Span(at, start, self._at)
            members.setdefault(key, value)
            if not self._continues("}"):
                return members

    def _list(self, where: str, depth: int) -> list[Any]:
        items: list[Any] = []
        self._step()
        if self._closes("]"):
            return items
        while True:
            pointer = pointer_to(where, len(items))
            self._lines[pointer] = self._line(self._at)
            items.append(self._value(pointer, depth + 1))
            if not self._continues("]"):
                return items

    def _continues(self, end: str) -> bool:
        """Step over a comma and tell that more follows, or over the end and tell that nothing does."""
        self._skip()
        if self._closes(end):
            return False
        if self._peek() != ",":
            raise self._unexpected(f"a comma or {end}")
        comma = self._at
        self._step()
        if self._last_commas and self._closes(end):
            return False
        if self._peek() == end:
            raise self._error("there is a comma after the last entry", "remove the comma", comma)
        return True

    def _string(self) -> str:
        match = _STRING.match(self._text, self._at)
        if match is None:
            raise self._bad_string()
        value: str = json.loads(match[0])
        if _SURROGATE.search(value):
            raise self._error("the string has half of a surrogate pair", "write the character itself")
        self._at = match.end()
        return value

    def _number(self, lexeme: str) -> int | float:
        if len(lexeme) > _MAX_NUMBER:
            raise self._error("the number is too long")
        value: int | float = json.loads(lexeme)
        if value in (float("inf"), float("-inf")):
            raise self._error("the number is too large")
        self._at += len(lexeme)
        return value

    # --- places and errors ---------------------------------------------------------------------------

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _step(self) -> None:
        self._at += 1
        self._skip()

    def _skip(self) -> None:
        match = _GAP.match(self._text, self._at)
        assert match is not None  # noqa: S101  # the pattern matches the empty string
        self._at = match.end()
        if self._text.startswith("/*", self._at):
            raise self._error("the comment is never closed", "end it with */")

    def _closes(self, end: str) -> bool:
        if self._peek() != end:
            return False
        self._at += 1
        return True

    def _line(self, at: int) -> int:
        return bisect_right(self._starts, at)

    def _error(self, message: str, fix: str = "", at: int | None = None) -> JsoncError:
        at = self._at if at is None else at
        line = self._line(at)
        return JsoncError(message, line, at - self._starts[line - 1] + 1, fix)

    def _unexpected(self, expected: str) -> JsoncError:
        found = self._peek()
        if not found:
            return self._error(f"the file ends where {expected} should stand")
        fix = {
            "'": "use double quotes",
            "#": "write comments as // or /* */",
            '"': "is a comma missing before it?",
        }.get(found, "")
        return self._error(f"expected {expected}", fix)

    def _bad_string(self) -> JsoncError:
        at = self._at + 1
        while match := re.compile(r'[^"\\\x00-\x1f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})').match(
            self._text, at
        ):
            at = match.end()
        found = self._text[at : at + 1]
        if found == "\\":
            return self._error("the string has an unknown escape", "write a backslash as \\\\", at)
        if found in ("", "\n", "\r"):
            return self._error("the string is never closed", 'end it with " on the same line')
        return self._error("the string has a control character", "write it as \\t, \\n or \\u....", at)

    def _note_double(self, pointer: str, at: int) -> None:
        # Neither the key nor a pointer is told: both may hold a token.
        first = self._lines[pointer]
        message = f"this key stands in the same object already, on line {first}"
        self._doubles.append(Problem(self._line(at), "", message, "keep one of the two"))
