"""One value of a document with its place in it: asks for the shape it must have and notes what is wrong."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeVar

from coatcheck.core.policy.conditions.paths import escaped
from coatcheck.core.policy.conditions.values import MAX_DIGITS, as_number
from coatcheck.core.policy.reading.problems import Notes
from coatcheck.core.spelling import nearest
from coatcheck.model.policy import Number

MAX_TEXT: Final = 1_000
MAX_ITEMS: Final = 1_000
_SHOWN: Final = 64
Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Place:
    """A value as written, its JSON Pointer, and the notes of the reading.

    Methods that ask for a shape note a problem and return None where the value has another.
    """

    value: Any
    where: str
    notes: Notes

    def problem(self, message: str, fix: str = "") -> None:
        """Note that this value is wrong."""
        self.notes.problem(self.where, message, fix)

    def child(self, key: str | int, value: Any) -> Place:
        """Return the place of a member or item."""
        name = str(key)
        shown = name if len(name) <= 4 * _SHOWN else f"{name[:_SHOWN]}..."
        visible = shown if shown.isprintable() else ascii(shown)[1:-1]
        return Place(value, f"{self.where}/{escaped(visible)}", self.notes)

    def members(self, most: int = MAX_ITEMS) -> dict[str, Place] | None:
        """Return the members of an object."""
        if not isinstance(self.value, dict):
            self._expected("an object")
            return None
        if len(self.value) > most:
            self.problem(f"has more than {most} members", "split it into several policies")
            return None
        kept = {}
        for key, value in self.value.items():
            if isinstance(key, str) and _is_text(key):
                kept[key] = self.child(key, value)
            else:
                self.problem(f"has a key that is {_kind(key)}, not text", "put the key in quotes")
        return kept

    def keys(self, allowed: Collection[str]) -> dict[str, Place] | None:
        """Return the members with an allowed key; note every other one."""
        members = self.members()
        if members is None:
            return None
        for key, place in members.items():
            if key not in allowed:
                close = nearest(key, allowed)
                known = ", ".join(allowed)
                place.problem("is no known key", f"did you mean '{close}'?" if close else f"known: {known}")
        return {key: place for key, place in members.items() if key in allowed}

    def items(self, most: int = MAX_ITEMS) -> list[Place] | None:
        """Return the items of a list that has some."""
        if not isinstance(self.value, list):
            self._expected("a list")
            return None
        if not self.value or len(self.value) > most:
            fix = "" if self.value else "leave it out, or write what it is to hold"
            self.problem(f"must have 1 to {most} items, and has {len(self.value)}", fix)
            return None
        return [self.child(index, value) for index, value in enumerate(self.value)]

    def text(self, most: int = MAX_TEXT, *, least: int = 1) -> str | None:
        """Return a text of some length."""
        if not isinstance(self.value, str):
            self._expected("text")
            return None
        if not least <= len(self.value) <= most:
            self.problem(f"must have {least} to {most} characters, and has {len(self.value)}")
            return None
        if not _is_text(self.value):
            self.problem("has half of a character", "write whole characters")
            return None
        return self.value

    def line(self, most: int) -> str | None:
        """Return a text of one line, all of it visible."""
        text = self.text(most)
        if text is None or (text.isprintable() and text.strip() == text):
            return text
        self.problem("must be one line of visible characters, without space at its ends")
        return None

    def flag(self) -> bool | None:
        """Return true or false."""
        if isinstance(self.value, bool):
            return self.value
        self._expected("true or false")
        return None

    def word(self, words: type[Word]) -> Word | None:
        """Return one of a few words."""
        text = self.text(_SHOWN) if isinstance(self.value, str) else self.value
        if isinstance(text, str) and text in tuple(words):
            return words(text)
        if isinstance(text, str):
            close = nearest(text, tuple(words))
            self.problem("is no known word", f"did you mean '{close}'?" if close else f"write {_or(words)}")
        elif not isinstance(self.value, str):
            self._expected(_or(words))
        return None

    def number(self) -> Number | None:
        """Return a number, exact."""
        number = as_number(self.value)
        if number is None and isinstance(self.value, str):
            self._expected("a number", "write it without quotes")
        elif number is None and _kind(self.value) == "a number":
            self.problem(f"must be a finite number of at most {MAX_DIGITS} digits")
        elif number is None:
            self._expected("a number")
        return number

    def integer(self, least: int, most: int) -> int | None:
        """Return a whole number within bounds."""
        number = self.number()
        if number is None:
            return None
        if type(number) is int and least <= number <= most:
            return number
        self.problem(f"must be a whole number from {least} to {most}")
        return None

    def missing(self, key: str, fix: str) -> None:
        """Note that a member is not there."""
        self.problem(f"has no {key}", fix)

    def _expected(self, what: str, fix: str = "") -> None:
        self.problem(f"must be {what}, not {_kind(self.value)}", fix or _fix_of(self.value))


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)


def _kind(value: object) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    if value is None:
        return "null"
    if isinstance(value, datetime.date | datetime.time):
        return "a date"
    return names.get(type(value), "a number" if isinstance(value, int | float | Decimal) else "no JSON value")


def _fix_of(value: object) -> str:
    return "put it in quotes" if isinstance(value, datetime.date | datetime.time) else ""


def _or(words: type[Word]) -> str:
    return ", ".join(words)
