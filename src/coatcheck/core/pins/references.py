"""Whether what the references within a schema lead to is the same as before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from coatcheck.core.policy.conditions.paths import escaped

_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_DEFINITIONS: Final = re.compile(r"#/(?:\$defs|definitions)/[^/%]*\Z")
"""References to what is compared as a whole in any case."""
_NOWHERE: Final = object()


def doubtful(before: Any, after: Any) -> Iterator[str]:
    """Yield where a schema refers to what is not the same in the one before, or to where nobody can tell.

    Both are without what only tells, so that nothing there can be referred to. A name (`$anchor`), another
    document and a part with an identity of its own are not followed.
    """
    same: dict[str, bool] = {}
    for where, reference in _references(after):
        if _DEFINITIONS.match(reference):
            continue
        if reference not in same:
            one, other = _found(before, reference), _found(after, reference)
            same[reference] = one is not _NOWHERE and other is not _NOWHERE and one == other
        if not same[reference]:
            yield where


def _references(schema: Any) -> Iterator[tuple[str, str]]:
    """Yield each reference with where it stands; an empty one for a part with an identity of its own."""
    left: list[tuple[str, Any]] = [("", schema)]
    while left:
        where, value = left.pop()
        if isinstance(value, list):
            left.extend((f"{where}/{number}", one) for number, one in enumerate(value))
        if not isinstance(value, dict):
            continue
        if where and isinstance(value.get("$id"), str):
            yield f"{where}/$id", ""
        for key, one in value.items():
            if key in _REFERENCES and isinstance(one, str):
                yield f"{where}/{key}", one
            left.append((f"{where}/{escaped(key)}", one))


def _found(schema: Any, reference: str) -> Any:
    """Return what a reference leads to in a schema, by a plain JSON Pointer."""
    start, *steps = reference.split("/")
    if start != "#" or "%" in reference:
        return _NOWHERE
    found = schema
    for step in steps:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif (
            isinstance(found, list)
            and key.isdecimal()
            and key.isascii()
            and len(key) < 6
            and int(key) < len(found)
        ):
            found = found[int(key)]
        else:
            return _NOWHERE
    return found
