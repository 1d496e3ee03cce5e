"""Reads headers and variables of a registered server from the command line; their values go to the gateway.

A value is taken as it stands, or is `@-` (standard input), `@FILE` or `@env:VARIABLE`, which are read here
and now: the gateway keeps the material, sealed, and no reference to where it came from. One that stands on
the command line and names a credential, `${credential:NAME}`, is a blank that may be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from coatcheck.cli.declaring.given import Given, Values, look_into, visible_notes, whole_path, wrong
from coatcheck.cli.exits import Exit, Stop
from coatcheck.core.filling import REFERENCE

_FIX: Final = "set and export it, or give the value by @FILE or @-"


class Materials(Values):
    """Reads the values of one command; raises `Stop` for what cannot be one, and never quotes it."""

    def _standing(self, name: str, value: str) -> Given:
        """Take a value as it stands, and say if others can read it; one that names a credential is none."""
        if REFERENCE.search(value):
            return Given(name, value, False)
        return Given(name, value, True, visible_notes(name, value))

    def _piped(self, name: str, material: str, scheme: str) -> Given:
        return _given(name, material, scheme)

    def _of_variable(self, name: str, variable: str, scheme: str) -> Given:
        material = self.environment.get(variable)
        if not material:
            raise Stop(f"the variable {variable} is not set here", exit_code=Exit.USAGE, fix=_FIX)
        return _given(name, material, scheme)

    def _of_file(self, name: str, path: str, scheme: str) -> Given:
        material, _ = look_into(whole_path(path))
        return _given(name, material.reveal(), scheme)


def _given(name: str, material: str, scheme: str) -> Given:
    return Given(name, f"{scheme} {material}" if scheme else material, True)


def values_of(
    read: Callable[[str], Given], secret: Sequence[str], plain: Sequence[str], what: str
) -> tuple[dict[str, str], list[str], list[str]]:
    """Return values by name, the names of those that may be shown, and words for the person.

    Raises:
        Stop: one that cannot be had, or a name that is there twice.
    """
    found: dict[str, str] = {}
    shown: list[str] = []
    notes: list[str] = []
    for text, is_plain in [*((text, False) for text in secret), *((text, True) for text in plain)]:
        given = read(text)
        if given.name.lower() in {name.lower() for name in found}:
            raise wrong(f"the {what} {given.name} is given twice", "keep one")
        found[given.name] = given.written
        if is_plain or not given.is_kept:
            shown.append(given.name)
        else:
            notes += given.notes
    return found, shown, notes


def refuse_foreign(what: str, foreign: Mapping[str, Any]) -> None:
    """Refuse options that have no meaning for the kind of server at hand."""
    for option, given in foreign.items():
        if given:
            raise wrong(f"{option} has no meaning for {what}", "leave it out")
