"""Turns the words of `coatcheck add` into an entry of the servers file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coatcheck.cli.declaring.given import IS_VISIBLE, Given, Values, refuse_reference, wrong
from coatcheck.cli.declaring.visible import url_has_credential, words_have_credential
from coatcheck.cli.looking.doctor.finding import Status
from coatcheck.cli.looking.doctor.settings import check_command
from coatcheck.declared.reading.expand import escaped
from coatcheck.model.server import StdioReach

_HOW: Final = "give --url URL for a remote server, or -- and a command for a child process"


@dataclass(frozen=True, slots=True)
class Words:
    """What the command line says of how a server is reached."""

    command: tuple[str, ...]
    url: str | None
    transport: str | None
    headers: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A server as the file will have it. `is_kept` tells that the file holds a credential itself."""

    members: Mapping[str, Any]
    is_kept: bool
    notes: tuple[str, ...]


def entry_of(name: str, words: Words, environment: Mapping[str, str]) -> Entry:
    """Return the entry of a server.

    Raises:
        Stop: the words do not go together, or a value cannot be had.
    """
    if words.url is not None:
        _refuse("a remote server", {"a command": words.command, "--env": words.env, "--cwd": words.cwd})
        return _remote(words.url, words, Values(environment))
    if not words.command:
        raise wrong("there is neither --url nor a command", _HOW)
    _refuse("a command", {"--transport": words.transport, "--header": words.headers})
    if words.command[0].startswith(("http://", "https://")):
        raise wrong("the command is a URL", "write --url before it")
    return _child(name, words, environment)


def _refuse(what: str, foreign: Mapping[str, object]) -> None:
    for option, given in foreign.items():
        if given:
            raise wrong(f"{option} has no meaning for {what}", _HOW)


def _remote(url: str, words: Words, values: Values) -> Entry:
    refuse_reference("the URL", url, "add it without, and write the reference into the file by hand")
    headers = _once([values.header(text) for text in words.headers], str.lower, "header")
    members: dict[str, Any] = {"type": words.transport} if words.transport else {}
    members["url"] = url
    if headers:
        members["headers"] = {each.name: each.written for each in headers}
    visible = url_has_credential(url)
    notes = [f"a parameter of the URL {IS_VISIBLE}"] if visible else []
    return _entry(members, headers, notes, visible)


def _child(name: str, words: Words, environment: Mapping[str, str]) -> Entry:
    values = Values(environment)
    env = _once([values.variable(text) for text in words.env], str, "variable")
    command, *args = words.command
    cwd = None if words.cwd is None else str(Path(words.cwd).absolute())
    if "/" in command and cwd is None:
        command = str(Path(command).absolute())  # the gateway runs elsewhere
    members: dict[str, Any] = {"command": escaped(command)}
    if args:
        members["args"] = [escaped(arg) for arg in args]
    if env:
        members["env"] = {each.name: each.written for each in env}
    if cwd is not None:
        members["cwd"] = escaped(cwd)
    visible = words_have_credential(args)
    notes = [f"an argument {IS_VISIBLE}; --env NAME=@FILE is not, if the server takes it"] if visible else []
    if any("${" in word for word in words.command):
        notes.append("${ in the command is taken as it stands; in --env, @env:VARIABLE refers to a variable")
    notes += _missing(name, command, cwd, env, environment)
    return _entry(members, env, notes, visible)


def _once(givens: Sequence[Given], fold: Callable[[str], str], what: str) -> Sequence[Given]:
    seen = set()
    for given in givens:
        if fold(given.name) in seen:
            raise wrong(f"the {what} {given.name} is given twice", "keep one")
        seen.add(fold(given.name))
    return givens


def _missing(
    name: str, command: str, cwd: str | None, env: Sequence[Given], environment: Mapping[str, str]
) -> list[str]:
    """Return a note if the command or its directory is not there. It may be so later, or elsewhere."""
    if any(given.name == "PATH" for given in env):
        return []
    finding = check_command(name, StdioReach(command, cwd=cwd), environment)
    return [] if finding.status is Status.OK else [finding.message]


def _entry(members: Mapping[str, Any], givens: Sequence[Given], notes: Sequence[str], visible: bool) -> Entry:
    try:
        json.dumps(members, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise wrong("an argument or path is not UTF-8, and the servers file is", "rename it") from None
    is_kept = visible or any(given.is_kept for given in givens)
    return Entry(members, is_kept, (*notes, *(note for given in givens for note in given.notes)))
