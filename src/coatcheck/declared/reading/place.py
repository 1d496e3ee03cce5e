"""One value of a file with its place in it: asks for the shape it must have and notes what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from coatcheck.core.spelling import nearest
from coatcheck.declared.reading.expand import Expanded, Expander
from coatcheck.declared.reading.jsonc import pointer_to
from coatcheck.declared.reading.problems import Findings, Unfit

PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_.-]{0,39}")
NOTHING: Final[Mapping[str, str]] = {}
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Place:
    """A value as written, its JSON pointer, and what the reading needs at every value.

    Methods that ask for a shape note a problem and return None where the value has another.
    """

    value: Any
    where: str
    findings: Findings
    expander: Expander

    def problem(self, message: str, fix: str = "") -> None:
        """Note that this value keeps the file from loading."""
        self.findings.problem(self.where, message, fix)

    def notice(self, message: str, fix: str = "") -> None:
        """Note that this value is odd."""
        self.findings.notice(self.where, message, fix)

    @property
    def line(self) -> int:
        """The line that it stands on."""
        return self.findings.line_of(self.where)

    def child(self, key: str | int, value: Any) -> Place:
        """Return the place of a member or item."""
        return Place(value, pointer_to(self.where, key), self.findings, self.expander)

    def members(self) -> dict[str, Place] | None:
        """Return the members of an object."""
        if not isinstance(self.value, dict):
            self._expected("an object in { }")
            return None
        return {key: self.child(key, value) for key, value in self.value.items()}

    def items(self) -> list[Place] | None:
        """Return the items of a list."""
        if not isinstance(self.value, list):
            self._expected("a list in [ ]")
            return None
        return [self.child(index, value) for index, value in enumerate(self.value)]

    def text(self) -> str | None:
        """Return a string, its variables replaced."""
        if not isinstance(self.value, str):
            self._expected("a string in double quotes")
            return None
        return self.expander.expand(self.value, self.where)

    def given(self, check: Callable[[str], Read]) -> tuple[Expanded, Read] | None:
        """Return a string that may name credentials, and what a check makes of it with stand-ins for them."""
        if not isinstance(self.value, str):
            self._expected("a string in double quotes")
            return None
        found = self.expander.read(self.value, self.where)
        if found is None:
            return None
        try:
            return found, check(found.text)
        except Unfit as error:
            self.findings.unfit(self.where, error)
            return None

    def checked(self, check: Callable[[str], Read]) -> Read | None:
        """Return what a check makes of the string; note why if it refuses it."""
        text = self.text()
        if text is None:
            return None
        try:
            return check(text)
        except Unfit as error:
            self.findings.unfit(self.where, error)
            return None

    def flag(self) -> bool | None:
        """Return true or false."""
        if not isinstance(self.value, bool):
            self._expected("true or false")
            return None
        return self.value

    def choice(self, allowed: Collection[str]) -> str | None:
        """Return one of a few words."""
        word = self.text()
        if word is None or word in allowed:
            return word
        close = nearest(word, allowed)
        fix = f"did you mean '{close}'?" if close else f"write one of: {_or(allowed)}"
        self.problem("this word is not known here", fix)
        return None

    def keys(
        self,
        allowed: Collection[str],
        *,
        refused: Mapping[str, str] = NOTHING,
        aside: Mapping[str, str] = NOTHING,
        name_unknown: bool = True,
    ) -> dict[str, Place] | None:
        """Return the members with an allowed key; note every other one.

        `refused` says what to do instead, `aside` why a key is read but not used. `name_unknown` False keeps
        unknown keys out of messages unless they look like a known one: one may be a token out of place.
        """
        members = self.members()
        if members is None:
            return None
        kept = {}
        for key, place in members.items():
            if key in allowed:
                kept[key] = place
            elif key in refused:
                place.problem(f"'{key}' is not supported", refused[key])
            elif key in aside:
                place.notice(f"'{key}' is set aside: {aside[key]}")
            else:
                self._unknown(key, place, allowed, name_unknown)
        return kept

    def _unknown(self, key: str, place: Place, allowed: Collection[str], named: bool) -> None:
        close = nearest(key, allowed)
        if close and not named and abs(len(close) - len(key)) > 3:
            close = None
        fix = f"did you mean '{close}'?" if close else f"known here: {_or(allowed)}"
        if PLAIN_KEY.fullmatch(key) and (named or close):
            place.problem(f"unknown key '{key}'", fix)
        else:
            self.findings.problem(self.where, "there is an unknown key here", fix, at=place.where)

    def _expected(self, what: str) -> None:
        self.problem(f"must be {what}, not {_kind(self.value)}")


def _kind(value: Any) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")


def _or(words: Collection[str]) -> str:
    return ", ".join(sorted(words))
