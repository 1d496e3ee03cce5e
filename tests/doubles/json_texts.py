"""JSON texts for properties: every spelling that RFC 8259 allows, and a second, slow reading to compare with."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st

NUMBERS = (
    "0", "-0", "7", "-7", "1E2", "1e+2", "1.0", "-0.0", "2.50", "1e-308", "9007199254740993",
    "1" + "0" * 79, "-" + "9" * 80, "123456789.123456789", "1.7976931348623157e308",
)  # fmt: skip
_SPACE = st.sampled_from(("", "", "", " ", "\n", "\t ", "\r\n"))
_LETTERS = st.text(st.characters(codec="utf-8") | st.sampled_from('ab"\\/\n\u007f\u2028é€😀'), max_size=6)


@st.composite
def strings(draw: st.DrawFn, content: st.SearchStrategy[str] = _LETTERS) -> str:
    """Return a JSON string; each character as it is, or escaped in one of the ways there are."""
    return '"' + "".join(_spelled(draw, char) for char in draw(content)) + '"'


def _spelled(draw: st.DrawFn, char: str) -> str:
    short = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\n": "\\n", "\t": "\\t"}
    must = char < " " or char in '"\\'
    way = draw(st.integers(0, 3))
    if char in short and (must or way == 0):
        return short[char]
    if must or way == 1:
        units = char.encode("utf-16-be")
        return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    return char


def _array(items: list[str]) -> st.SearchStrategy[str]:
    return st.tuples(_SPACE, _SPACE).map(lambda space: f"[{space[0]}{','.join(items)}{space[1]}]")


def _object(pairs: list[tuple[str, str]]) -> st.SearchStrategy[str]:
    return st.tuples(_SPACE, _SPACE).map(
        lambda space: "{" + ",".join(f"{space[0]}{name}{space[1]}:{value}" for name, value in pairs) + "}"
    )


_SCALARS = st.sampled_from((*NUMBERS, "true", "false", "null")) | strings()
_NAMES = strings(st.sampled_from(("a", "b", "name", "é", "")))


def texts(*, unique: bool) -> st.SearchStrategy[str]:
    """Return JSON texts. Without `unique`, objects often have equal members, some of them by escapes."""

    def longer(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pairs = st.lists(
            st.tuples(_NAMES, inner),
            max_size=4,
            unique_by=(lambda pair: unescape(pair[0])) if unique else None,
        )
        return st.lists(inner, max_size=4).flatmap(_array) | pairs.flatmap(_object)

    return st.recursive(_SCALARS, longer, max_leaves=8)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a JSON text with, mostly, one byte taken out, put in or replaced."""
    raw = draw(texts(unique=False)).encode()
    at = draw(st.integers(0, len(raw)))
    put = draw(
        st.sampled_from(
            (b"", b"", b"{", b"}", b"[", b"]", b",", b":", b'"', b"0", b"e", b".", b"\\", b"\xff")
        )
    )
    return raw[:at] + put + raw[at + draw(st.integers(0, 1)) :]


# --- the second reading ---------------------------------------------------------------------------------

_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?(?:[eE]([+-]?[0-9]+))?")
_BLANK = re.compile(r"[ \t\n\r]*")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def unescape(string: str) -> str:
    """Return what a JSON string stands for. Raises ValueError for a lone surrogate."""

    def one(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else _SHORT.get(match[2], match[2])

    found = _ESCAPE.sub(one, string[1:-1])
    return found.encode("utf-16-be", "surrogatepass").decode("utf-16-be")


def read_slowly(body: bytes) -> Any:
    """Read a JSON text by the letter of RFC 8259 and of our limits on numbers; names must be unique.

    Raises ValueError for everything else. Knows no limit of depth or size: give it small texts.
    """
    text = body.decode("utf-8")
    value, at = _value(text, _skip(text, 0))
    if _skip(text, at) != len(text):
        raise ValueError("more than one value")
    return value


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()


def _value(text: str, at: int) -> tuple[Any, int]:
    if text.startswith(("[", "{"), at):
        return _collection(text, at)
    for word, value in (("true", True), ("false", False), ("null", None)):
        if text.startswith(word, at):
            return value, at + len(word)
    if match := _STRING.match(text, at):
        return unescape(match[0]), match.end()
    if match := _NUMBER.match(text, at):
        return _number(match), match.end()
    raise ValueError(f"no value at {at}")


def _number(match: re.Match[str]) -> str | float:
    if match[1] is None and match[2] is None:
        return match[0]
    value = float(match[0])
    if abs(value) == float("inf") or len(match[0]) > 40 or abs(int(match[2] or 0)) > 308:
        raise ValueError("a number out of range")
    return value


def _collection(text: str, at: int) -> tuple[Any, int]:
    is_object, end = text[at] == "{", "}" if text[at] == "{" else "]"
    members: dict[str, Any] = {}
    at = _skip(text, at + 1)
    if text.startswith(end, at):
        return ({} if is_object else []), at + 1
    while True:
        name = str(len(members))
        if is_object:
            match = _STRING.match(text, at)
            if match is None:
                raise ValueError(f"no name at {at}")
            name, at = unescape(match[0]), _skip(text, match.end())
            if name in members or not text.startswith(":", at):
                raise ValueError(f"an equal name, or no colon, at {at}")
            at = _skip(text, at + 1)
        members[name], at = _value(text, at)
        at = _skip(text, at)
        if text.startswith(end, at):
            return (members if is_object else list(members.values())), at + 1
        if not text.startswith(",", at):
            raise ValueError(f"no comma at {at}")
        at = _skip(text, at + 1)
