"""Replaces `${NAME}`, `${NAME:-default}` and `${file:/path}` inside string values of a read file.

It works on values after parsing, so what a variable holds can never change the structure of the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from coatcheck.declared.reading.problems import Findings, Unfit
from coatcheck.errors import ConfigError
from coatcheck.ports import SecretSource

_REFERENCE = re.compile(r"(?P<escaped>\$\$\{)|\$\{(?P<inner>[^{}]*)\}|(?P<broken>\$\{)")
_VARIABLE = re.compile(r"(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_FILE = re.compile(r"file:(?P<path>[^\x00]+)")
_FORMS = "write ${NAME}, ${NAME:-default} or ${file:/path}; $${ stands for ${ itself"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the values come from: variables by name, files by absolute path."""

    environment: SecretSource
    files: SecretSource


class Expander:
    """Expands the strings of one reading. `base` is the directory that relative file paths start from."""

    def __init__(self, sources: Sources, base: Path | None, findings: Findings) -> None:
        self._sources = sources
        self._base = base
        self._findings = findings
        self._read: dict[str, str | None] = {}

    @property
    def files(self) -> tuple[Path, ...]:
        """The files named so far, whether they could be read or not: a change of one is worth a reading."""
        return tuple(Path(path) for path in self._read)

    def expand(self, raw: str, where: str) -> str | None:
        """Return a string with everything replaced; note what is missing at `where` and return None."""
        if "${" not in raw:
            return raw
        sound = True

        def replace(match: re.Match[str]) -> str:
            nonlocal sound
            found = self._resolve(match, where)
            sound = sound and found is not None
            return found or ""

        expanded = _REFERENCE.sub(replace, raw)
        return expanded if sound else None

    def _resolve(self, match: re.Match[str], where: str) -> str | None:
        if match["escaped"]:
            return "${"
        if match["broken"]:
            self._findings.problem(where, "there is a ${ without its }, or braces inside ${...}", _FORMS)
            return None
        if variable := _VARIABLE.fullmatch(match["inner"]):
            return self._variable(variable["name"], variable["default"], where)
        if file := _FILE.fullmatch(match["inner"]):
            return self._file(file["path"], where)
        self._findings.problem(where, "there is a ${...} of an unknown kind", _FORMS)
        return None

    def _variable(self, name: str, default: str | None, where: str) -> str | None:
        found = self._sources.environment.find(name)
        value = None if found is None else found.reveal()
        if default is not None:
            return value or default  # as in a shell, ":-" also stands in for an empty variable
        if value is None:
            fix = (
                f"set {name} where the gateway is started and start it anew, keep the value in a file and"
                f" write ${{file:PATH}}, or write ${{{name}:-default}}"
            )
            self._findings.absence(where, f"the variable {name} is not set", fix)
        return value

    def _file(self, path: str, where: str) -> str | None:
        try:
            whole = self._absolute(path)
        except Unfit as error:
            self._findings.unfit(where, error)
            return None
        if whole not in self._read:
            self._read[whole] = None
            try:
                found = self._sources.files.find(whole)
            except ConfigError as error:
                self._findings.problem(where, error.message, error.fix)
                return None
            if found is not None:
                self._read[whole] = found.reveal()
        value = self._read[whole]
        if value is None:
            self._findings.problem(
                where, f"the file {whole} does not exist or cannot be used", "write it, or correct the path"
            )
        return value

    def _absolute(self, path: str) -> str:
        if path.startswith("~"):
            raise Unfit("a path in ${file:...} cannot start with ~", "write the whole path")
        if self._base is None and not Path(path).is_absolute():
            raise Unfit("a path in ${file:...} must start with / here", "write the whole path")
        return str(Path(self._base or "/", path))


def escaped(text: str) -> str:
    """Return how a string is written so that it is read as itself, whatever it holds."""
    return text.replace("${", "$${")


def shown(raw: str) -> str:
    """Return a string as it may be displayed: variables by their name alone, without their defaults."""
    return _REFERENCE.sub(_shown_reference, raw)


def _shown_reference(match: re.Match[str]) -> str:
    if match["inner"] is None:
        return match[0]
    variable = _VARIABLE.fullmatch(match["inner"])
    return f"${{{variable['name']}}}" if variable else match[0]
