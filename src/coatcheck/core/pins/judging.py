"""Why a tool is no longer what was accepted, where that is more than words."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from coatcheck.core.access.classify import nature_of_tool
from coatcheck.core.pins.definitions import definition_of, read, written
from coatcheck.core.pins.widening import widenings
from coatcheck.model.access import Nature
from coatcheck.model.catalogue import Entry
from coatcheck.model.pin import Definition, Pin, Quarantine
from coatcheck.model.server import AccessMarks

NEW: Final = "it is new"
CHANGED: Final = "it is not as it was accepted"
TOO_LONG: Final = "it is too long to be compared"
_MOST: Final = 5
"""Places that are told where an input takes more."""


class Compared:
    """One list of tools, each with what it is now and what is worse: worked out once, as it may take long."""

    def __init__(self) -> None:
        self.is_news = True
        """Whether it was not judged yet."""
        self._definitions: dict[str, Definition] = {}
        self._worse: dict[str, tuple[str, AccessMarks, tuple[str, ...]]] = {}

    def definition(self, entry: Entry) -> Definition:
        """Return what a tool of the list is."""
        found = self._definitions.get(entry.name)
        if found is None:
            found = self._definitions[entry.name] = definition_of(entry)
        return found

    def worse(self, pin: Pin, now: Definition, marks: AccessMarks) -> tuple[str, ...]:
        """Say what is worse in a tool of the list than was accepted."""
        digest, known, found = self._worse.get(pin.tool, ("", None, ()))
        if digest != pin.accepted.digest or known != marks:
            found = worsenings(pin.tool, pin.accepted, now, marks)
            self._worse[pin.tool] = (pin.accepted.digest, marks, found)
        return found


def why_held(
    pin: Pin, now: Definition, marks: AccessMarks, quarantine: Quarantine, compared: Compared | None = None
) -> tuple[str, ...]:
    """Say why a tool that is listed as `now` is hidden until it is accepted; nothing: it is not."""
    if quarantine is Quarantine.NEVER:
        return ()
    is_changed = now.digest != pin.accepted.digest
    found = (compared or Compared()).worse(pin, now, marks) if is_changed else ()
    if quarantine is Quarantine.ANY and not found:
        return (CHANGED,) if is_changed else ((NEW,) if pin.new else ())
    return found


@lru_cache(maxsize=256)
def worsenings(name: str, before: Definition, after: Definition, marks: AccessMarks) -> tuple[str, ...]:
    """Say in which ways a tool does, or may do, or takes, more than before; nothing: it does not."""
    one, other = read(before), read(after)
    if one is None or other is None:
        return (TOO_LONG,)
    return tuple(_worsenings(name, one, other, marks))


def _worsenings(name: str, one: dict[str, Any], other: dict[str, Any], marks: AccessMarks) -> Iterator[str]:
    for trusted in (False, True):  # whoever trusts the server later shall not have been fooled before
        before, after = (_nature(name, members, marks, trusted=trusted) for members in (one, other))
        if before is Nature.READ and after is not Nature.READ:
            yield (
                "it read, and now it writes" if after is Nature.WRITE else "it read, and now nobody can tell"
            )
            break
    before, after = (_nature(name, members, marks, trusted=False) for members in (one, other))
    if before is Nature.WRITE and after is Nature.READ:  # a read-only default would let everybody use it
        yield "it said that it destroys, and now it seems to read"
    places = widenings(one.get("inputSchema", {}), other.get("inputSchema", {}))
    for where in islice(places, _MOST):
        yield f"its input takes more, or may: /inputSchema{where}"


def _nature(name: str, members: dict[str, Any], marks: AccessMarks, *, trusted: bool) -> Nature:
    annotations = members.get("annotations")
    raw = written(annotations).encode("ascii") if annotations is not None else None
    return nature_of_tool(name, raw, marks, trusted=trusted)[0]
