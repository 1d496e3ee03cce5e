"""Reads headers and variables of a server from the command line, where their values are or are referred to.

A value is taken as it stands, or is `@-` (standard input), `@FILE` or `@env:VARIABLE`. For the last two the
servers file holds a reference, so the secret stays in one place and is changed there.
"""

from __future__ import annotations

import re
import select
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from coatcheck.cli import show
from coatcheck.cli.exits import Exit, Stop
from coatcheck.core.credentials.looks import is_credential
from coatcheck.declared.reading.expand import escaped
from coatcheck.declared.reading.headers import header_name_of
from coatcheck.declared.reading.problems import Unfit
from coatcheck.errors import ConfigError
from coatcheck.model.secret import Secret
from coatcheck.secrets.file import MAX_BYTES, FileSource

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCHEME: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9-]*) +(?P<value>@.*)", re.DOTALL)
_AUTHORIZATION: Final = "authorization"
_QUIET_SECONDS: Final = 1.0
_PIPE: Final = "pipe the value in, as in: pass show NAME | coatcheck add ..."
_PIPED: Final = "what another program prints goes by @-, which is standard input"
_AT: Final = "a value that begins with an @ is written with two of them"

IS_VISIBLE: Final = "looks like a credential and stands on the command line, where other accounts can read it"


@dataclass(frozen=True, slots=True)
class Given:
    """A header or variable: `written` is its value in the language of the servers file.

    `is_kept` tells that the servers file will hold a credential itself; `notes` are words for the person.
    """

    name: str
    written: str = field(repr=False)
    is_kept: bool
    notes: tuple[str, ...] = ()


class Values:
    """Reads the values of one command; raises `Stop` for what cannot be one, and never quotes it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._stdin_is_read = False

    def header(self, text: str) -> Given:
        """Read `NAME: VALUE`. In `Authorization`, a scheme may stand before the @."""
        name, colon, value = text.partition(":")
        name, value = name.strip(), value.strip(" \t")
        if not colon:
            raise wrong("a header has no colon after its name", "write it as 'NAME: VALUE'")
        try:
            header_name_of(name)
        except Unfit as error:
            raise wrong(error.message, error.fix) from None
        if name.lower() != _AUTHORIZATION:
            return self._read(name, value)
        match = _SCHEME.fullmatch(value)
        return self._read(name, match["value"], match["scheme"]) if match else self._read(name, value)

    def variable(self, text: str) -> Given:
        """Read `NAME=VALUE`."""
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise wrong("a variable has no name, or no = after it", "write it as NAME=VALUE")
        return self._read(name, value)

    def _read(self, name: str, value: str, scheme: str = "") -> Given:
        if value == "@-":
            material = self._standard_input()
            notes = _judge_scheme(name, scheme, material)
            return replace(self._piped(name, material, scheme), notes=notes)
        if value.startswith("@env:"):
            variable = value.removeprefix("@env:")
            if not _VARIABLE.fullmatch(variable):
                raise wrong(
                    "after @env: stands the name of a variable", "write @env:NAME, without $ and braces"
                )
            return self._of_variable(name, variable, scheme)
        if value.startswith("@") and not value.startswith("@@"):
            return self._of_file(name, value[1:], scheme)
        return self._standing(name, _after(scheme, value[1:] if value.startswith("@@") else value))

    # --- what the servers file holds for each; elsewhere it may be the material itself ---

    def _piped(self, name: str, material: str, scheme: str) -> Given:
        return Given(name, _after(scheme, escaped(material)), True)

    def _of_variable(self, name: str, variable: str, scheme: str) -> Given:
        material = self.environment.get(variable)
        notes = _judge_scheme(name, scheme, material) if material else ()
        return Given(name, _after(scheme, f"${{{variable}}}"), False, notes)

    def _of_file(self, name: str, path: str, scheme: str) -> Given:
        return _refer_to_file(name, path, scheme)

    def _standing(self, name: str, value: str) -> Given:
        fix = "write @env:VARIABLE or @FILE to refer to one; a value with these characters goes by @-"
        refuse_reference(f"the value of {name}", value, fix)
        return Given(name, value, is_credential(name, value), visible_notes(name, value))

    def _standard_input(self) -> str:
        if self._stdin_is_read:
            raise wrong("standard input can be one value only", "give the others as @FILE or @env:VARIABLE")
        self._stdin_is_read = True
        if sys.stdin is None or sys.stdin.isatty():
            raise wrong("standard input is a terminal, which would show the value", _PIPE)
        return read_piped(_PIPE)


def read_piped(fix: str) -> str:
    """Return what is on standard input, which is no terminal, without one line break at its end.

    Raises:
        Stop: it is empty, too large or no text.
    """
    _say_if_quiet()
    raw = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise wrong(f"the value on standard input is larger than {MAX_BYTES // 1024} KiB", fix)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise wrong("the value on standard input is not UTF-8 text", fix) from None
    text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not text:
        raise wrong("standard input is empty", fix)
    return text


def wrong(message: str, fix: str = "") -> Stop:
    """Return the failure of a command whose arguments cannot be used."""
    return Stop(message, exit_code=Exit.USAGE, fix=fix)


def refuse_reference(what: str, text: str, fix: str) -> None:
    """Refuse a text that the servers file would take for a reference to a variable or file."""
    if "${" in text:
        raise wrong(f"{what} has ${{, which the servers file reads as a reference", fix)


def visible_notes(name: str, value: str) -> tuple[str, ...]:
    """Return words for a person whose value stands on the command line."""
    notes = _judge_scheme(name, "", value)
    if not is_credential(name, value):
        return notes
    return (f"{name} {IS_VISIBLE}; @FILE, @env:VARIABLE or @- in its place does not show it", *notes)


# --- files -------------------------------------------------------------------------------------------------


def _refer_to_file(name: str, path: str, scheme: str) -> Given:
    file = whole_path(path)
    material, mode = look_into(file)
    notes = _judge_scheme(name, scheme, material.reveal())
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        notes = (*notes, f"other accounts can read {file}: chmod 600 {file}")
    return Given(name, _after(scheme, f"${{file:{file}}}"), False, notes)


def whole_path(path: str) -> Path:
    """Return the whole path. Links stay: those of container platforms change when a secret does."""
    if not path:
        raise wrong("there is no file name after the @", f"write @FILE, @env:VARIABLE or @-; {_AT}")
    try:
        file = Path(path).expanduser().absolute()
    except (OSError, RuntimeError):
        raise wrong("where the file is cannot be told", "write its whole path") from None
    if set(str(file)) & set("{}"):
        raise wrong("the path of the file has a brace, which a reference cannot hold", "rename it")
    if file.parts[1:2] in (("dev",), ("proc",)):
        raise wrong(f"{file} is no file that stays, so nothing can refer to it", _PIPED)
    return file


def look_into(file: Path) -> tuple[Secret, int]:
    """Return what a file holds, and its mode."""
    try:
        material = FileSource().find(str(file))
        if material is not None:
            return material, file.stat().st_mode
    except ConfigError as error:
        raise wrong(error.message, f"{error.fix}; {_PIPED}") from None
    except OSError as error:
        raise wrong(f"the file {file} cannot be read ({error.strerror})", _PIPED) from None
    raise wrong(f"the file {file} does not exist", f"correct the path; {_AT}")


# --- words -------------------------------------------------------------------------------------------------


def _after(scheme: str, written: str) -> str:
    return f"{scheme} {written}" if scheme else written


def _judge_scheme(name: str, scheme: str, value: str) -> tuple[str, ...]:
    """Find a scheme of `Authorization` that is missing or there twice: the usual mistake, seen too late."""
    if name.lower() != _AUTHORIZATION:
        return ()
    if scheme:
        if value.lower().startswith(f"{scheme.lower()} "):
            raise wrong(f"the value says {scheme} itself", f"leave out {scheme} before the @")
        return ()
    if " " in value.strip():
        return ()
    return ("the value has no scheme; most servers want one, as in 'Authorization: Bearer @FILE'",)


def _say_if_quiet() -> None:
    """Tell a person why nothing happens, where standard input stays open and says nothing."""
    try:
        ready, _, _ = select.select([sys.stdin], [], [], _QUIET_SECONDS)
    except (OSError, ValueError):
        return  # not a real file: it cannot keep us waiting
    if not ready:
        show.say("coatcheck: reading the value from standard input")
