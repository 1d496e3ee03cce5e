"""Reading the lists that servers give: each entry kept as sent, or left out with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coatcheck.core import names
from coatcheck.core.wire import messages, strict
from coatcheck.model.catalogue import Entry

MAX_DESCRIPTION: Final = 16 * 1024
MAX_SCHEMA: Final = 256 * 1024
MAX_SCHEMA_DEPTH: Final = 32
MAX_ENTRIES: Final = 10_000
MAX_URI: Final = 8 * 1024
MAX_TTL_DIGITS: Final = 15


@dataclass(frozen=True, slots=True)
class ListShape:
    """Where a list keeps its entries in the result, and which member of an entry identifies it."""

    member: str
    key: str
    longest: int


SHAPES: Final[Mapping[str, ListShape]] = {
    "tools/list": ListShape("tools", "name", names.MAX_OWN),
    "prompts/list": ListShape("prompts", "name", names.MAX_OWN),
    "resources/list": ListShape("resources", "uri", MAX_URI),
    "resources/templates/list": ListShape("resourceTemplates", "uriTemplate", MAX_URI),
}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: entries as raw objects, the next page's cursor, how long to keep it."""

    items: Sequence[bytes]
    next_cursor: str | None
    ttl_ms: int


def read_page(method: str, raw: bytes) -> Page | None:
    """Read one list result; None if it is not one."""
    result = messages.members_of(raw)
    if result is None:
        return None
    items = messages.items_of(result.get(SHAPES[method].member, b""))
    if items is None:
        return None
    ttl = result.get("ttlMs", b"0")
    plain = ttl.isdigit() and len(ttl) <= MAX_TTL_DIGITS
    return Page(items, messages.text_of(result.get("nextCursor")), int(ttl) if plain else 0)


def read_entries(method: str, items: Sequence[bytes]) -> tuple[dict[str, Entry], list[str]]:
    """Read the entries of a whole list, in order. Returns those fit to be shown, and why others are not."""
    shape = SHAPES[method]
    found: dict[str, Entry] = {}
    problems: list[str] = []
    repeated: set[str] = set()
    for raw in items[:MAX_ENTRIES]:
        members = messages.members_of(raw)
        name = messages.text_of(members.get(shape.key)) if members else None
        if members is None or name is None:
            problems.append(f"{method}: an entry has no {shape.key}")
        elif reason := _unfit(members):
            problems.append(f"{method}: {name[:80]!r} is left out: {reason}")
        elif name in found:
            repeated.add(name)
        else:
            found[name] = Entry(name, members)
    if len(items) > MAX_ENTRIES:
        problems.append(f"{method}: only the first {MAX_ENTRIES} entries are used")
    return _without_unroutable(method, found, repeated, problems), problems


def _without_unroutable(
    method: str, found: dict[str, Entry], repeated: set[str], problems: list[str]
) -> dict[str, Entry]:
    shape = SHAPES[method]
    bad = dict(names.unroutable(found, limit=shape.longest, twins=shape.key != "name"))
    bad.update(dict.fromkeys(repeated, "the server lists it more than once"))
    problems.extend(f"{method}: {name[:80]!r} is left out: {reason}" for name, reason in bad.items())
    return {name: entry for name, entry in found.items() if name not in bad}


def _unfit(members: Mapping[str, bytes]) -> str:
    if len(members.get("description", b"")) > MAX_DESCRIPTION:
        return f"its description is longer than {MAX_DESCRIPTION} bytes"
    for schema in ("inputSchema", "outputSchema"):
        raw = members.get(schema, b"")
        if len(raw) > MAX_SCHEMA:
            return f"its {schema} is longer than {MAX_SCHEMA} bytes"
        if strict.is_deeper(raw.decode("utf-8", "replace"), MAX_SCHEMA_DEPTH):
            return f"its {schema} is nested deeper than {MAX_SCHEMA_DEPTH} levels"
    return ""
