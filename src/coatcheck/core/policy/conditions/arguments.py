"""The arguments of a call, decoded when a condition first asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from coatcheck.core.policy.conditions.paths import Missing, Path, Printed, values_at
from coatcheck.core.policy.conditions.texts import is_plain, look_of
from coatcheck.core.policy.conditions.values import EXACT, read_exact

Plain = tuple[str, str]
"""A text with one reading, and the same without the blanks around it that a server might take off."""


class Arguments:
    """The raw JSON of a call's arguments, proven unambiguous; None: a replay does not have them."""

    __slots__ = ("_found", "_looks", "_raw", "_value", "plain", "whole")

    def __init__(self, raw: bytes | None) -> None:
        self._raw = raw
        self._value: Any = None
        self._looks: dict[str, str | None] | None = None
        self._found: dict[Path, list[Any]] = {}
        self.plain: dict[str, Plain] = {}
        """Members that `member` found to be text with one reading: most conditions ask for these."""
        self.whole: dict[str, int] = {}
        """Likewise those that are whole numbers below `EXACT`."""

    @property
    def recorded(self) -> bool:
        """Whether there is anything to ask."""
        return self._raw is not None

    def at(self, path: Path) -> list[Any]:
        """Return what stands at a path, as `values_at`. Arguments that are no object lead nowhere."""
        found = self._found.get(path)
        if found is None:
            if self._value is None:
                self._value = self._read()
            found = self._found[path] = values_at(self._value, path)
        return found

    def member(self, name: str, look: str) -> Any:
        """Return what stands at a path of one part, as `at` and cheaper; `look` is `look_of(name)`."""
        if self._looks is None:
            self._looks = self._see()
        spelt = self._looks.get(look, name)
        if spelt != name or self._value is Missing.UNCLEAR:
            return Missing.UNCLEAR
        value = self._value.get(name, Missing.ABSENT)
        if type(value) is str and is_plain(value):
            self.plain[name] = (value, value.strip())
        elif type(value) is int and -EXACT < value < EXACT:
            self.whole[name] = value
        return value

    def _see(self) -> dict[str, str | None]:
        """Return how each member is spelt by what it looks like; None where several look like it."""
        if self._value is None:
            self._value = self._read()
        looks: dict[str, str | None] = {}
        for name in () if self._value is Missing.UNCLEAR else self._value:
            look = look_of(name)
            looks[look] = None if look in looks else name
        return looks

    def _read(self) -> Any:
        try:
            value = read_exact(self._raw or b"")
        except (ValueError, RecursionError):
            return Missing.UNCLEAR
        return value if isinstance(value, dict) else Missing.UNCLEAR


class Outline(Arguments):
    """Arguments of which a replay has the names at the top, all of them, and not the values."""

    __slots__ = ()

    def __init__(self, members: Mapping[str, Printed]) -> None:
        super().__init__(b"")
        self._value = dict(members)


NO_ARGUMENTS: Final = Arguments(b"{}")
"""A call without the member: servers take it for an empty object."""
UNRECORDED: Final = Arguments(None)
