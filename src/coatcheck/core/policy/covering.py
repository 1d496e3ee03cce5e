"""Finds the entries of a policy that cover a target, among hundreds and for every call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from coatcheck.core.access import globs, uris
from coatcheck.core.policy.conditions.texts import look_of
from coatcheck.model.access import Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.policy import PolicyEntry, Section

SECTIONS: Final = {
    Kind.TOOL: Section.TOOLS,
    Kind.PROMPT: Section.PROMPTS,
    Kind.RESOURCE: Section.RESOURCES,
}
"""Where entries for a kind of target stand."""

Covering = tuple[int, bool]
"""The number of an entry, and whether it covers for sure: one that only may cover does not allow."""

_Glob = tuple[int, str]


class _Table:
    """Keys in one spelling, found by how they begin or end, so that few have to be tried on a name."""

    __slots__ = ("_all", "_begins", "_ends", "_exact", "_inner")

    def __init__(self, keys: Sequence[tuple[int, str]]) -> None:
        self._all: list[int] = []
        self._exact: dict[str, list[int]] = {}
        self._begins: dict[int, dict[str, list[_Glob]]] = {}
        self._ends: dict[int, dict[str, list[_Glob]]] = {}
        self._inner: list[tuple[str, _Glob]] = []
        for number, key in keys:
            self._add(number, key)

    def _add(self, number: int, key: str) -> None:
        begin, star, rest = key.partition("*")
        end = rest.rpartition("*")[2]
        if not star:
            self._exact.setdefault(key, []).append(number)
        elif begin:
            self._begins.setdefault(len(begin), {}).setdefault(begin, []).append((number, key))
        elif end:
            self._ends.setdefault(len(end), {}).setdefault(end, []).append((number, key))
        elif part := max(key.split("*"), key=len):
            self._inner.append((part, (number, key)))
        else:
            self._all.append(number)

    def of(self, name: str) -> list[int]:
        found = [*self._all, *self._exact.get(name, ())]
        likely = [glob for part, glob in self._inner if part in name]
        for length, table in self._begins.items():
            likely += table.get(name[:length], ())
        for length, table in self._ends.items():
            likely += table.get(name[-length:], ())
        found += [number for number, key in likely if globs.matches(key, name)]
        found.sort()
        return found


class Keys:
    """The keys of one section. What looks like a key to a server that folds case or width is covered, too."""

    __slots__ = ("_looks", "_plain", "_same")

    def __init__(self, keys: Sequence[tuple[int, str]]) -> None:
        """Take keys with the numbers of their entries."""
        looks = [(number, look_of(key)) for number, key in keys]
        self._plain, self._looks = _Table(keys), _Table(looks)
        self._same = looks == list(keys)

    def of(self, name: str) -> list[Covering]:
        """Return the entries whose key matches a name, in order; not for sure, where it only looks so."""
        found = self._plain.of(name)
        look = look_of(name)
        if self._same and look == name:
            return [(number, True) for number in found]
        return [(number, number in found) for number in sorted({*found, *self._looks.of(look)})]


class Coverage:
    """All keys of one policy."""

    __slots__ = ("_entries", "_natures", "_sections")

    def __init__(self, entries: Sequence[PolicyEntry]) -> None:
        self._entries = entries
        numbered = list(enumerate(entries))
        self._sections = {
            kind: Keys([(number, entry.key) for number, entry in numbered if entry.section is section])
            for kind, section in SECTIONS.items()
        }
        access = [(number, entry.key) for number, entry in numbered if entry.section is Section.ACCESS]
        self._natures = {
            nature: [number for number, key in access if (key == "read") is (nature is Nature.READ)]
            for nature in Nature
        }

    def of(self, target: Target, nature: Nature) -> list[Covering]:
        """Return the entries that cover a tool, prompt or resource, in their order."""
        if target.kind is Kind.RESOURCE and not uris.is_plain(target.name):
            return list(self._of_odd(target.name))
        found = self._sections[target.kind].of(target.name)
        if target.kind is Kind.TOOL:  # in the order of the document, access comes after the tools
            found += [(number, True) for number in self._natures[nature]]
        return found

    def _of_odd(self, uri: str) -> Iterator[Covering]:
        """Yield what a URI meets that a server may read as another: believe the worse."""
        scheme = uris.scheme_of(uri)
        for number, entry in enumerate(self._entries):
            if entry.section is not Section.RESOURCES:
                continue
            if entry.key == "*":
                yield number, True
            elif globs.matches(entry.key, uri) or _may_name(entry.key, scheme):
                yield number, False


def _may_name(pattern: str, scheme: str) -> bool:
    """Tell whether a pattern may match a URI of this scheme; an empty scheme may turn out to be any."""
    literal, star, _ = pattern.partition("*")
    begins = literal.lower()
    if not scheme or ":" not in begins:
        return not scheme or (bool(star) and f"{scheme}:".startswith(begins))
    return begins.partition(":")[0] == scheme
