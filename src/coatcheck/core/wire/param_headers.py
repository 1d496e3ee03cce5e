"""Headers made from a tool's arguments: `x-mcp-header` in an input schema, `Mcp-Param-*` on a request.

Source: MCP 2026-07-28, streamable HTTP, "Custom Headers from Tool Parameters" (SEP-2243).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from coatcheck.core.wire import eras, messages
from coatcheck.core.wire.framing import Headers

PREFIX: Final = "Mcp-Param-"
KEYWORD: Final = "x-mcp-header"

Path = tuple[str, ...]
"""The names that lead from a tool's arguments to one value."""

Annotations = Mapping[str, Path]
"""Header name as it is sent (`Mcp-Param-Region`) -> where its value stands in the arguments."""

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_TYPES: Final = frozenset({"string", "integer", "boolean"})
_VISIBLE: Final = re.compile(r"[\t\x20-\x7e]*\Z")
_DECIMAL: Final = re.compile(r"(-?)([0-9]++)(?:\.([0-9]++))?\Z", re.ASCII)
"""Possessive, so that no length costs more than one pass."""

_SUBSCHEMAS: Final = frozenset(
    {
        *("items", "prefixItems", "contains", "unevaluatedItems", "additionalItems"),
        *("additionalProperties", "unevaluatedProperties", "propertyNames", "contentSchema"),
        *("allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
    }
)
"""Keywords that hold a schema or a list of them (JSON Schema 2020-12; `additionalItems` is older)."""
_NAMED_SUBSCHEMAS: Final = frozenset({"patternProperties", "dependentSchemas", "$defs", "definitions"})
"""Keywords that hold schemas by name. Those that hold values (`default`, `enum`, ...) are not looked into."""


class _Flaw(ValueError):
    """An annotation that makes its tool invalid; the text says why."""


# --- annotations -----------------------------------------------------------------------------------------


def annotations_of(input_schema: bytes) -> Annotations | None:
    """Return the headers that a tool asks for, none for most; None if an annotation is invalid.

    A tool with an invalid annotation must be left out of `tools/list`; `flaw_of` says why.
    """
    try:
        return _annotations_of(input_schema)
    except _Flaw:
        return None


def flaw_of(input_schema: bytes) -> str | None:
    """Return why a tool's annotations are invalid, for the log, or None if they are not."""
    try:
        _annotations_of(input_schema)
    except _Flaw as flaw:
        return str(flaw)
    return None


def _annotations_of(input_schema: bytes) -> Annotations:
    if KEYWORD.encode() not in input_schema and b"\\u" not in input_schema:
        return {}  # as nearly always: nothing is read
    found: dict[str, Path] = {}
    folded: set[str] = set()
    for path, schema in _positions(_read(input_schema)):
        if KEYWORD not in schema:
            continue
        name = _name_of(path, schema)
        if name.lower() in folded:
            raise _Flaw(f"two parameters have the {KEYWORD} {name!r}")
        folded.add(name.lower())
        found[PREFIX + name] = path or ()
    return found


def _name_of(path: Path | None, schema: dict[str, Any]) -> str:
    if not path:  # below another keyword than `properties`, or the root itself
        raise _Flaw(f"an {KEYWORD} does not stand on a property that a chain of `properties` leads to")
    name, where = schema[KEYWORD], ".".join(path)[:80]
    if not isinstance(name, str) or not _TOKEN.match(name):
        raise _Flaw(f"the {KEYWORD} of {where!r} is no header name")
    if not isinstance(schema.get("type"), str) or schema["type"] not in _TYPES:
        raise _Flaw(f"{where!r} has an {KEYWORD} and is no string, integer or boolean")
    return name


def _positions(root: Any) -> Iterator[tuple[Path | None, dict[str, Any]]]:
    """Yield every schema within a schema, with its path of `properties`, or None if it has no such path."""
    pending: list[tuple[Path | None, Any]] = [((), root)]
    while pending:
        path, schema = pending.pop()
        if not isinstance(schema, dict):
            continue
        yield path, schema
        for keyword, below in schema.items():
            if keyword == "properties" and isinstance(below, dict):
                pending += [(None if path is None else (*path, name), sub) for name, sub in below.items()]
            elif keyword in _SUBSCHEMAS:
                pending += [(None, sub) for sub in (below if isinstance(below, list) else [below])]
            elif keyword in _NAMED_SUBSCHEMAS and isinstance(below, dict):
                pending += [(None, sub) for sub in below.values()]


def _read(input_schema: bytes) -> Any:
    try:
        return _DECODER.decode(input_schema.decode("utf-8"))
    except (ValueError, RecursionError):
        raise _Flaw("the input schema cannot be read") from None


_DECODER: Final = json.JSONDecoder(parse_int=lambda _: 0, parse_float=lambda _: 0.0)
"""Numbers do not matter here, and long ones must not cost anything."""


# --- towards a server ------------------------------------------------------------------------------------


def headers_for(annotations: Annotations, arguments: bytes) -> list[tuple[str, str]]:
    """Return the headers that a `tools/call` with these arguments (a raw JSON object) owes.

    What is absent, null, an array or an object has no header.
    """
    if not annotations:
        return []
    root = messages.members_of(arguments) or {}
    values = ((name, _text_of(_value_at(root, path))) for name, path in annotations.items())
    return [(name, eras.encode_header(text)) for name, text in values if text is not None]


def _value_at(root: Mapping[str, bytes], path: Path) -> bytes | None:
    members: Mapping[str, bytes] = root
    for name in path[:-1]:
        members = messages.members_of(members.get(name, b"")) or {}
    return members.get(path[-1])


def _text_of(raw: bytes | None) -> str | None:
    """Return a value as its header tells it before encoding, or None if it has none."""
    if raw is None or raw.startswith((b"n", b"[", b"{")):
        return None
    if raw.startswith(b'"'):
        return messages.text_of(raw)  # None for a lone surrogate, which has no UTF-8
    if raw in {b"true", b"false"}:
        return raw.decode("ascii")
    return _decimal(raw.decode("ascii", "replace"))


def _decimal(lexeme: str) -> str | None:
    """Return a JSON number in plain decimals with nothing superfluous; integers of any size stay exact."""
    if match := _DECIMAL.match(lexeme):
        whole, fraction = match[2].lstrip("0") or "0", (match[3] or "").rstrip("0")
        digits = f"{whole}.{fraction}" if fraction else whole
        return digits if digits == "0" else match[1] + digits
    try:
        value = float(lexeme)
    except ValueError:
        return None
    if value.is_integer() and abs(value) <= messages.MAX_ID_INTEGER:
        return str(int(value))
    return repr(value) if abs(value) != float("inf") else None


# --- from a client ---------------------------------------------------------------------------------------


def mismatch(annotations: Annotations, arguments: bytes, headers: Headers) -> str:
    """Return the sentence for a request whose headers differ from its arguments; "" if they agree.

    A header and its argument must both be there and be equal once decoded, numbers as numbers, or both be
    absent (null is absent): whoever routed by the header must have seen what the server acts on.
    """
    if not annotations:
        return ""
    root = messages.members_of(arguments) or {}
    for name, path in annotations.items():
        wrong = _differs(headers.get(name.lower(), ()), _value_at(root, path))
        if wrong:
            return f"The header {name} {wrong} the argument {'.'.join(path)[:80]!r}."
    return ""


def _differs(sent: tuple[str, ...], raw: bytes | None) -> str:
    """Return the words between header and argument if they disagree, or ""."""
    owed = _text_of(raw)
    if not sent:
        return "" if owed is None else "is missing beside"
    if len(sent) > 1:
        return "appears more than once beside"
    if owed is None:
        return "has no counterpart in"
    value = sent[0].strip(" \t")
    told = eras.decode_header(value) if _VISIBLE.match(value) else None
    if told is None:
        return "is malformed beside"
    is_number = raw is not None and not raw.startswith((b'"', b"t", b"f"))
    if is_number and _DECIMAL.match(told):
        told = _decimal(told) or told
    return "" if told == owed else "differs from"
