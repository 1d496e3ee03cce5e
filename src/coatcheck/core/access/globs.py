"""Globs in which only `*` is special, matched in linear time whatever the pattern."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=4096)
def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.split("*"))


def matches(pattern: str, name: str) -> bool:
    """Tell whether the whole of `name` matches. Code points are compared as they are: no folding."""
    first, *rest = _parts(pattern)
    if not rest:
        return name == first
    *middle, last = rest
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    position, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


def any_matches(patterns: Iterable[str], name: str) -> bool:
    """Tell whether one of the patterns matches the whole of `name`."""
    for pattern in patterns:  # noqa: SIM110 - asked several times for every call, and a generator costs more
        if pattern == "*" or matches(pattern, name):
            return True
    return False
