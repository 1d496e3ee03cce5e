"""The one strict reading of JSON that callers send: what two readers could take differently is refused.

Grammar: RFC 8259. Beyond it, refused are: equal members (also after unescaping), lone surrogates, a byte
order mark, numbers that a double cannot hold, and more depth, nodes or members than a call needs. Nothing
is converted: a reading only proves the bytes unambiguous; what goes on are the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn

import msgspec

from coatcheck.core.normalizing import nfkc
from coatcheck.errors import AmbiguousJson, BadJson

MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000
MAX_MEMBERS: Final = 1_000
MAX_FRACTION_CHARS: Final = 40
"""Longest number with a fraction or an exponent. Integers may have any size: they are never converted."""
_MAX_FOLDED: Final = 1_024
"""Longest member that could fold to a known one; folding takes several characters for one, four at most."""

_MAX_REWRITTEN: Final = 16 * 1024
"""Longer bodies are read with care: writing them again is no cheaper, and long integers take very long."""

_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|([\[{])|([\]}])', re.DOTALL)
"""Brackets outside strings. Possessive, and a string may stay open: nothing is scanned twice."""
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def read(body: bytes) -> Any:
    """Return the value of a JSON text, proven unambiguous. Integers come back as their decimal text.

    Raises:
        BadJson: not UTF-8, not JSON, or a number out of range.
        AmbiguousJson: equal members, or over a limit of depth, nodes or members.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadJson("the body is not UTF-8") from None
    if is_deeper(text, MAX_DEPTH):
        raise AmbiguousJson(f"the body is nested deeper than {MAX_DEPTH} levels")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadJson(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    _limit_nodes(text, value)
    if _SURROGATE_ESCAPE.search(text):
        _refuse_lone_surrogates(value)
    return value


def is_canonical(body: bytes) -> bool:
    """Tell whether `body` is what a plain writer makes of its value, and so is proven without `read`.

    What is read and written again to the same bytes is JSON in UTF-8, has no equal members (one of them would
    be gone), no lone surrogate and no number that a double cannot hold. Nearly every client writes like that.
    What is not canonical may be as good: `read` tells. Numbers are converted here, and thrown away.
    """
    if len(body) > _MAX_REWRITTEN or b"e-3" in body:  # `read` refuses some of these numbers
        return False
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH or body.count(b",") >= MAX_MEMBERS:
        return False
    try:
        return _rewrite(_reread(body)) == body
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError):
        return False


_reread = msgspec.json.Decoder().decode
_rewrite = msgspec.json.Encoder().encode


def refuse_look_alikes(names: Collection[str], known: frozenset[str], where: str) -> None:
    """Refuse members that a lenient reader could take for a known one (`Method`, `param\u017f`).

    Raises:
        AmbiguousJson: a name folds to a known name, or to another name present, without being it.
    """
    if known.issuperset(names):
        return  # as nearly always; no two known names fold alike
    seen = dict(_folded(known))
    for name in names:
        twin = seen.setdefault(_fold(name), name)
        if twin != name:
            raise AmbiguousJson(f"member {name[:80]!r} of {where} looks like {twin[:80]!r} but is not")


@lru_cache(maxsize=16)
def _folded(known: frozenset[str]) -> Mapping[str, str]:
    return {_fold(name): name for name in known}


def _fold(name: str) -> str:
    if name.isascii():
        return name.lower()
    return nfkc(name).casefold() if len(name) <= _MAX_FOLDED else name


def is_deeper(text: str, limit: int) -> bool:
    """Tell whether brackets nest deeper than `limit`, without parsing and so at any depth."""
    if text.count("[") + text.count("{") <= limit:
        return False  # cannot be deeper than it has brackets
    depth = 0
    for match in _BRACKETS.finditer(text):
        if match[1]:
            depth += 1
            if depth > limit:
                return True
        elif match[2]:
            depth -= 1
    return False


def _limit_nodes(text: str, value: Any) -> None:
    if text.count(",") + text.count("[") + text.count("{") < MAX_NODES:
        return  # every node but the first follows a comma or an opening bracket
    nodes, pending = 0, [value]
    while pending:
        node = pending.pop()
        nodes += 1
        if isinstance(node, dict):
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    if nodes > MAX_NODES:
        raise AmbiguousJson(f"the body has more than {MAX_NODES} values")


def _refuse_lone_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise BadJson("the body has a lone surrogate in a string") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise AmbiguousJson("the body has an object with two equal members")
    if len(members) > MAX_MEMBERS:
        raise AmbiguousJson(f"the body has an object with more than {MAX_MEMBERS} members")
    return members


def _fraction(lexeme: str) -> float:
    value = float(lexeme)
    if value in (float("inf"), float("-inf")) or len(lexeme) > MAX_FRACTION_CHARS:
        raise BadJson("the body has a number that is too large or too long")
    exponent = lexeme.lower().partition("e")[2]
    if exponent and abs(int(exponent)) > 308:
        raise BadJson("the body has a number whose exponent is out of range")
    return value


def _constant(name: str) -> NoReturn:
    raise BadJson(f"the body has {name}, which is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_fraction, parse_int=str, parse_constant=_constant
)


def refuse_wide_numbers(body: bytes) -> None:
    """Refuse numbers that a double cannot hold, in a body that is lenient otherwise.

    Raises:
        BadJson: there is such a number, or the body is not JSON.
    """
    try:
        _WIDE.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise BadJson("the body is not JSON") from None


_WIDE = json.JSONDecoder(parse_float=_fraction, parse_int=str, parse_constant=_constant)
