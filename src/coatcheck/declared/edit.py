"""Adds servers to `servers.json` and takes them out; what else the file holds stays as people wrote it.

The result is read by the code that the gateway reads it with, before it replaces the file. Variables are the
one thing not asked for: the gateway's own environment has them, this process may not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coatcheck.declared.editing import members
from coatcheck.declared.editing.members import pointer_of
from coatcheck.declared.editing.rewrite import rewrite
from coatcheck.declared.reach import REMOTE_KEYS, STDIO_KEYS
from coatcheck.declared.reading import jsonc
from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.reading.problems import DeclarationError, Findings, Unfit
from coatcheck.declared.servers import name_of
from coatcheck.declared.servers_json import judge
from coatcheck.errors import ConfigError
from coatcheck.model.declaration import Declaration, Problem

_GROUPS: Final = ("mcpServers", "servers")
_REACH_KEYS: Final = STDIO_KEYS | REMOTE_KEYS | {"type"}
_NEW: Final = b"{}\n"


class NameTaken(ConfigError):
    """There is a server of that name, or of one that differs in case only."""

    code = "name_taken"


class NameUnknown(ConfigError):
    """There is no server of that name. `names` are those that there are."""

    code = "name_unknown"

    def __init__(self, message: str, names: Sequence[str]) -> None:
        super().__init__(message)
        self.names = tuple(names)


class BadEntry(ConfigError):
    """What is to be added cannot be a server. Neither message nor fix quotes any value of it."""

    code = "bad_entry"


@dataclass(frozen=True, slots=True)
class Edited:
    """A file that was edited: the real file, links followed, and what it declares now.

    `notices` are about the server itself; `absences` are variables that are not set in this process.
    `kept` are keys of a replaced entry that stayed as they were; None if there was no such server before.
    """

    file: Path
    declaration: Declaration
    notices: tuple[Problem, ...] = ()
    absences: tuple[Problem, ...] = ()
    kept: tuple[str, ...] | None = None


def add_server(
    path: Path, name: str, entry: Mapping[str, Any], sources: Sources, *, replace: bool = False
) -> Edited:
    """Add a server as the last one of the file; a file that does not exist is made.

    `entry` is its object in the file's language, so `${NAME}` in a string is a reference. With `replace`, a
    server of that very name is given this way to be reached instead; its other keys stay.

    Raises:
        BadEntry: the name or the entry would not load.
        NameTaken: and `replace` is not set, or the names differ in case.
        DeclarationError: the file does not load as it is.
        NotWritten: the file cannot be replaced.
    """
    try:
        name_of(name)
    except Unfit as error:
        raise BadEntry(error.message, fix=error.fix) from None

    def change(content: bytes | None) -> tuple[bytes, tuple[_Text, tuple[str, ...] | None]]:
        old = _Text.sound(_NEW if content is None else content, path, sources)
        before = old.entry(name, replace)
        new = _Text.weighed(old.with_entry(name, entry), path, sources)
        new.check_entry(name)
        new.check_says(old, {**old.servers, name: _merged(before, entry)})
        return new.raw, (new, None if before is None else _kept(before))

    file, (new, kept) = rewrite(path, change)
    return Edited(file, new.declaration, new.notices(name), new.findings.absences, kept)


def remove_server(path: Path, name: str, sources: Sources) -> Edited:
    """Take a server out of the file.

    Raises:
        NameUnknown: there is none of that name.
        DeclarationError: the file does not load as it is, or would not without the server.
        NotWritten: the file cannot be replaced.
    """

    def change(content: bytes | None) -> tuple[bytes, _Text]:
        old = _Text.sound(_NEW if content is None else content, path, sources)
        if name not in old.servers:
            raise NameUnknown(f"there is no server {name!r} in {path}", list(old.servers))
        new = _Text.weighed(members.drop(old.text, (old.group, name)), path, sources)
        new.refuse_faults()
        new.check_says(old, {key: value for key, value in old.servers.items() if key != name})
        return new.raw, new

    file, new = rewrite(path, change)
    return Edited(file, new.declaration, (), new.findings.absences)


def _merged(before: Mapping[str, Any] | None, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in (before or {}).items() if key not in _REACH_KEYS}, **entry}


def _kept(before: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(key for key in before if key not in _REACH_KEYS)


@dataclass(frozen=True, slots=True)
class _Text:
    """A text of the file with what the gateway's own reading makes of it."""

    raw: bytes
    path: Path
    document: jsonc.Document
    declaration: Declaration
    findings: Findings

    @classmethod
    def weighed(cls, text: bytes | str, path: Path, sources: Sources) -> _Text:
        """Read a text, whatever is wrong with what it declares."""
        raw = text.encode() if isinstance(text, str) else text
        declaration, findings = judge(raw, path, sources)
        return cls(raw, path, jsonc.read(raw), declaration, findings)

    @classmethod
    def sound(cls, text: bytes, path: Path, sources: Sources) -> _Text:
        """Read a text that must load, but for variables."""
        found = cls.weighed(text, path, sources)
        found.refuse_faults()
        return found

    @property
    def text(self) -> str:
        return self.raw.decode()

    @property
    def group(self) -> str:
        """The key that the servers stand under."""
        return next((key for key in _GROUPS if key in self.document.value), _GROUPS[0])

    @property
    def servers(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document.value.get(self.group, {})
        return found

    def entry(self, name: str, replace: bool) -> Mapping[str, Any] | None:
        """Return the entry that is to be replaced, or None for a name that is free."""
        taken = next((key for key in self.servers if key.casefold() == name.casefold()), None)
        if taken is None:
            return None
        line = self.document.lines[pointer_of((self.group, taken))]
        message = f"there is a server {taken!r} already ({self.path} line {line})"
        if taken != name:
            fix = f"names that differ in case are one name: choose another, or write {taken}"
            raise NameTaken(message, fix=fix)
        if not replace:
            raise NameTaken(message, fix="choose another name, or add --replace to change how it is reached")
        found: Mapping[str, Any] = self.servers[name]
        return found

    def with_entry(self, name: str, entry: Mapping[str, Any]) -> str:
        """Return the text with the server in it."""
        if self.group not in self.document.value:
            return members.put(self.text, (), self.group, {name: entry})
        where = (self.group, name)
        if name not in self.servers:
            return members.put(self.text, where[:1], name, entry)
        text, before = self.text, self.servers[name]
        for key, value in entry.items():
            if key in before:
                text = members.replace(text, (*where, key), value)
            else:
                text = members.put(text, where, key, value)
        for key in before:
            if key in _REACH_KEYS and key not in entry:
                text = members.drop(text, (*where, key))
        return text

    def check_entry(self, name: str) -> None:
        """Refuse a server that would not load, or anything else that would not."""
        pointer = pointer_of((self.group, name))
        own = [each for each in self.findings.faults if _is_within(each.where, pointer)]
        if own:
            told = [f"{each.where[len(pointer) + 1 :]}: {each.message}".removeprefix(": ") for each in own]
            raise BadEntry("; ".join(told), fix=next((each.fix for each in own if each.fix), ""))
        self.refuse_faults()

    def refuse_faults(self) -> None:
        """Refuse a text that would not load, but for variables."""
        if self.findings.faults:
            raise DeclarationError(self.path, self.findings.faults)

    def check_says(self, old: _Text, servers: Mapping[str, Any]) -> None:
        """Make sure that the text says what was meant, since it was edited as text and not as values."""
        if self.document.value != {**old.document.value, old.group: servers}:
            raise AssertionError

    def notices(self, name: str) -> tuple[Problem, ...]:
        """Return what is odd about one server."""
        pointer = pointer_of((self.group, name))
        return tuple(each for each in self.findings.notices if _is_within(each.where, pointer))


def _is_within(where: str, pointer: str) -> bool:
    return where == pointer or where.startswith(f"{pointer}/")
