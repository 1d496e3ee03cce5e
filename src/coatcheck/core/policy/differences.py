"""What is other in one document than in another, by pointer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from coatcheck.core.policy.conditions.paths import escaped

_NOTHING: Final = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One member that was added, removed or changed. `before` and `after` are plain values.

    What was added has no `before`, and what was removed has no `after`: `added` and `removed` tell that apart
    from null.
    """

    where: str
    before: Any = None
    after: Any = None
    added: bool = False
    removed: bool = False


def differences(before: object, after: object) -> tuple[Difference, ...]:
    """Return what is other in `after`, in the order of `before` with what was added last; lists by place.

    `1` and `1.0` are one number, `1` and `true` are not the same.
    """
    return tuple(_compare("", before, after))


def _compare(where: str, before: Any, after: Any) -> Iterator[Difference]:
    if before is _NOTHING:
        yield Difference(where, None, after, added=True)
    elif after is _NOTHING:
        yield Difference(where, before, None, removed=True)
    elif isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            one, other = before.get(key, _NOTHING), after.get(key, _NOTHING)
            yield from _compare(f"{where}/{escaped(key)}", one, other)
    elif isinstance(before, list) and isinstance(after, list):
        for number in range(max(len(before), len(after))):
            one, other = _at(before, number), _at(after, number)
            yield from _compare(f"{where}/{number}", one, other)
    elif isinstance(before, bool) is not isinstance(after, bool) or before != after:
        yield Difference(where, before, after)


def _at(items: list[Any], number: int) -> Any:
    return items[number] if number < len(items) else _NOTHING
