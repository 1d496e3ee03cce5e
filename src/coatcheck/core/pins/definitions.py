"""What of a tool is pinned, in one canonical form, and what is other in another form of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from coatcheck.core.policy.differences import differences as compared
from coatcheck.core.wire import strict
from coatcheck.model.catalogue import Entry
from coatcheck.model.pin import Definition

MEMBERS: Final = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
"""What is pinned of a tool; the rest says nothing of what it does or takes."""
MAX_KEPT: Final = 64 * 1024
"""Bytes of a definition that are kept; of a longer one only the digest is."""
MAX_DEPTH: Final = 64
"""Levels of one member; what is nested deeper is not read."""
MAX_DIFFERENCES: Final = 200
MAX_TOLD: Final = 2_000
"""Characters of a value that are told in a difference."""
_MAX_REMEMBERED: Final = 4 * 1024


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written: `1` and `1.0` are two of them, and neither is a text."""

    lexeme: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One member that is other: its JSON Pointer, and the JSON of before and after; None: not there."""

    where: str
    before: str | None
    after: str | None


def definition_of(entry: Entry) -> Definition:
    """Return what is pinned of a tool. Order of members and white space make no difference."""
    members = tuple((name, entry.members[name]) for name in MEMBERS if name in entry.members)
    size = sum(len(raw) for _, raw in members)
    if size > MAX_KEPT:
        return _unread(members)
    return _definition(members) if size > _MAX_REMEMBERED else _remembered(members)


def _definition(members: tuple[tuple[str, bytes], ...]) -> Definition:
    try:
        texts = {name: raw.decode("utf-8") for name, raw in members}
        if any(strict.is_deeper(text, MAX_DEPTH) for text in texts.values()):
            return _unread(members)
        text = written({name: _read(text) for name, text in texts.items()})
    except (ValueError, RecursionError):  # readers do not agree on it
        return _unread(members)
    digest = hashlib.sha256(text.encode("ascii")).hexdigest()
    return Definition(digest, text if len(text) <= MAX_KEPT else "")


def _unread(members: tuple[tuple[str, bytes], ...]) -> Definition:
    """Return the digest of what is not read; of that, order and white space do make a difference."""
    raws = b"\n".join(name.encode("ascii") + b" " + raw for name, raw in members)
    return Definition(hashlib.sha256(raws).hexdigest(), "")


_remembered = lru_cache(maxsize=2_048)(_definition)


def read(definition: Definition) -> dict[str, Any] | None:
    """Return the members of a definition, numbers as `Number`; None where it is not kept."""
    found: dict[str, Any] | None = _read(definition.text) if definition.text else None
    return found


def written(value: Any) -> str:
    """Return the canonical JSON of a value of `read`: sorted, without spaces, ASCII, numbers as written."""
    if isinstance(value, Number):
        return value.lexeme
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{written(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


def differences(before: Definition | None, after: Definition) -> tuple[Difference, ...]:
    """Return what is other, by pointer, up to `MAX_DIFFERENCES`; nothing where either is not kept."""
    one: Mapping[str, Any] | None = {} if before is None else read(before)
    other = read(after)
    if one is None or other is None:
        return ()
    return tuple(
        Difference(
            found.where,
            None if found.added else _told(found.before),
            None if found.removed else _told(found.after),
        )
        for found in compared(one, other)[:MAX_DIFFERENCES]
    )


def _told(value: Any) -> str:
    text = written(value)
    return text if len(text) <= MAX_TOLD else text[: MAX_TOLD - 3] + "..."


def _read(text: str) -> Any:
    return _DECODER.decode(text)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found


_DECODER: Final = json.JSONDecoder(
    parse_int=Number, parse_float=Number, parse_constant=Number, object_pairs_hook=_members
)
