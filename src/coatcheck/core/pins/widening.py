"""Whether an input schema takes more than the one before: yes, unless it is proven not to.

What is proven is by JSON Schema (2020-12 and draft 7): keywords hold together, so each may be looked at by
itself, but for those that say to which members others apply. A keyword that is not known here is a doubt, and
a member that is declared anew is more, also where undeclared ones were taken before. What a reference leads
to must be the same: it may stand under `not`, where less is more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from coatcheck.core.pins.definitions import Number, written
from coatcheck.core.pins.references import doubtful
from coatcheck.core.policy.conditions.paths import escaped

_WORDS: Final = frozenset(
    {"title", "description", "$comment", "examples", "default", "deprecated", "readOnly", "writeOnly"}
)
"""Keywords that only tell."""
_SCHEMA: Final = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_SCHEMAS_BY_NAME: Final = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)
_LISTS_OF_SCHEMAS: Final = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_LEAST: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_MOST: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_ONLY_ADDED: Final = frozenset({"const", "format", "multipleOf", "pattern"})
"""Keywords that take something away where they are added, and of which nothing else is known."""
_NONE: Final = object()
_NAMES_OF_TYPES: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


def widens(before: Any, after: Any) -> bool:
    """Tell whether a schema takes more than the one before, or may. Values are as of `definitions.read`."""
    return next(widenings(before, after), None) is not None


def widenings(before: Any, after: Any) -> Iterator[str]:
    """Yield where, by JSON Pointer, a schema takes more than the one before, or may; nothing: it does not."""
    if before == after:
        return
    one, other = _bare(before), _bare(after)
    yield from _compare("", one, other)
    yield from doubtful(one, other)


def _bare(schema: Any) -> Any:
    """Return a schema without what only tells, in itself and in all schemas within."""
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _WORDS:
            continue
        if key in _SCHEMAS_BY_NAME and isinstance(value, dict):
            found[key] = {name: _bare(one) for name, one in value.items()}
        elif key in _LISTS_OF_SCHEMAS and isinstance(value, list):
            found[key] = [_bare(one) for one in value]
        else:
            found[key] = _bare(value) if key in _SCHEMA else value
    return found


def _compare(where: str, before: Any, after: Any) -> Iterator[str]:
    """Compare two schemas that are bare."""
    if before == after or after is False:
        return
    before, after = ({} if one is True else one for one in (before, after))
    if not isinstance(before, dict) or not isinstance(after, dict):
        yield where  # nothing was taken before, or it is no schema at all
        return
    yield from _compare_members(where, before, after)
    for rest, key in _REST.items():
        if rest in before and key in after and key not in before:
            yield f"{where}/{key}"  # what it takes, and were it all, counts as looked at
    for key in dict.fromkeys((*before, *after)):
        if key in _OF_MEMBERS:
            continue
        one, other = before.get(key, _NONE), after.get(key, _NONE)
        if one is not _NONE and other is not _NONE and one == other:
            continue
        yield from _JUDGES.get(key, _doubt)(f"{where}/{escaped(key)}", one, other)


_OF_MEMBERS: Final = frozenset({"properties", "patternProperties", "additionalProperties"})
_REST: Final = {"unevaluatedProperties": "additionalProperties", "unevaluatedItems": "items"}
"""Keyword on what no other looked at -> one that looks at all there is."""


def _compare_members(where: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    one, other = before.get("properties", {}), after.get("properties", {})
    if not isinstance(one, dict) or not isinstance(other, dict):
        yield f"{where}/properties"
        return
    patterns = [schema.get("patternProperties", {}) for schema in (before, after)]
    if patterns[0] != patterns[1]:
        yield f"{where}/patternProperties"
    for name, schema in other.items():
        at = f"{where}/properties/{escaped(name)}"
        yield from _compare(at, one[name], schema) if name in one else [at]
    rest, others = before.get("additionalProperties", True), after.get("additionalProperties", True)
    is_shut = others is False and patterns[1] == {}
    # What is declared no more is one of the others, of which all may be taken that was not.
    yield from (f"{where}/properties/{escaped(name)}" for name in one if name not in other and not is_shut)
    yield from _compare(f"{where}/additionalProperties", rest, others)


# --- one keyword, which is not the same before and after; _NONE: not there ---------------------------------


def _doubt(where: str, before: Any, after: Any) -> Iterator[str]:  # noqa: ARG001 - nothing is known of it
    yield where


def _added(where: str, before: Any, after: Any) -> Iterator[str]:  # noqa: ARG001 - as the others
    if before is not _NONE:
        yield where


def _bound(fits: Callable[[Decimal, Decimal], bool]) -> Callable[[str, Any, Any], Iterator[str]]:
    def judge(where: str, before: Any, after: Any) -> Iterator[str]:
        one, other = _number(before), _number(after)
        if other is None or (before is not _NONE and (one is None or not fits(one, other))):
            yield where

    return judge


def _number(value: Any) -> Decimal | None:
    try:
        found = Decimal(value.lexeme) if isinstance(value, Number) else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() else None


def _type(where: str, before: Any, after: Any) -> Iterator[str]:
    one, other = _types(before), _types(after)
    if one is None or other is None:
        yield where
        return
    allowed = one | {"integer"} if "number" in one else one
    if not other <= allowed:
        yield where


def _types(value: Any) -> frozenset[str] | None:
    """Return the types that a keyword names; all where it is not there, None where it cannot be read."""
    if value is _NONE:
        return _NAMES_OF_TYPES
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        return None
    return frozenset(names)


def _fewer(where: str, before: Any, after: Any) -> Iterator[str]:
    """Judge a list of what is taken: fewer is less."""
    if not isinstance(after, list) or not after:
        yield where
    elif before is not _NONE:
        known = {written(one) for one in before} if isinstance(before, list) else set()
        yield from (f"{where}/{number}" for number, one in enumerate(after) if written(one) not in known)


def _fewer_of_those(where: str, before: Any, after: Any) -> Iterator[str]:
    """Judge alternatives, which may not come anew: they could declare members."""
    yield from [where] if before is _NONE else _fewer(where, before, after)


def _required(where: str, before: Any, after: Any) -> Iterator[str]:
    known = [] if before is _NONE else before
    readable = isinstance(known, list) and isinstance(after, list)
    if not readable or not {written(one) for one in known} <= {written(one) for one in after}:
        yield where


def _unique(where: str, before: Any, after: Any) -> Iterator[str]:
    if after is not True and not (after is False and before is _NONE):
        yield where


def _items(where: str, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, list) or isinstance(after, list) or after is _NONE:
        yield where
    else:
        yield from _compare(where, True if before is _NONE else before, after)


_JUDGES: Final[dict[str, Callable[[str, Any, Any], Iterator[str]]]] = {
    **dict.fromkeys(_LEAST, _bound(lambda one, other: one <= other)),
    **dict.fromkeys(_MOST, _bound(lambda one, other: one >= other)),
    **dict.fromkeys(_ONLY_ADDED, _added),
    "anyOf": _fewer_of_those,
    "enum": _fewer,
    "items": _items,
    "required": _required,
    "type": _type,
    "uniqueItems": _unique,
}
