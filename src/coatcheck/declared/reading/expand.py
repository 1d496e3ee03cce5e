"""Replaces `${NAME}`, `${NAME:-default}` and `${file:/path}` inside string values of a read file.

`${credential:NAME}` is left for later: what it holds can change while the file stays as it is.

It works on values after parsing, so what a variable holds can never change the structure of the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from coatcheck.core.filling import REFERENCE, STAND_IN
from coatcheck.declared.reading.problems import Findings, Unfit
from coatcheck.errors import ConfigError
from coatcheck.model.credential import Blank, Custody
from coatcheck.model.secret import Secret
from coatcheck.ports import SecretSource

_REFERENCE = re.compile(r"(?P<escaped>\$\$\{)|\$\{(?P<inner>[^{}]*)\}|(?P<broken>\$\{)")
_VARIABLE = re.compile(r"(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_FILE = re.compile(r"file:(?P<path>[^\x00]+)")
_FORMS = "write ${NAME}, ${NAME:-default} or ${file:/path}; $${ stands for ${ itself"
_CREDENTIAL = "credential:"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the values come from: variables by name, files by absolute path."""

    environment: SecretSource
    files: SecretSource


@dataclass(frozen=True, slots=True)
class Expanded:
    """A string with variables and files replaced: `texts[0] names[0] texts[1] ...`, names of credentials.

    `custody` says where a part of it came from, a file before a variable; None: it is all written out.
    """

    texts: tuple[str, ...]
    names: tuple[str, ...] = ()
    custody: Custody | None = None

    @property
    def text(self) -> str:
        """The string, with stand-ins for credentials."""
        return STAND_IN.join(self.texts)

    @property
    def blank(self) -> Blank | None:
        """What is to be filled in, if anything is."""
        return Blank(tuple(map(Secret, self.texts)), self.names) if self.names else None


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
        """Return a string with everything replaced; note what is missing at `where` and return None.

        No credential can be named in it.
        """
        found = self.read(raw, where)
        if found is None or not found.names:
            return None if found is None else found.texts[0]
        fix = "name credentials in headers, env, args and url of servers"
        self._findings.problem(where, "no credential can be filled in here", fix)
        return None

    def read(self, raw: str, where: str) -> Expanded | None:
        """Return a string with variables and files replaced and the credentials that it names.

        Notes what is missing at `where` and returns None then.
        """
        if "${" not in raw:
            return Expanded((raw,))
        texts, names, custody, done, sound = [""], [], None, 0, True
        for match in _REFERENCE.finditer(raw):
            texts[-1] += raw[done : match.start()]
            done = match.end()
            if named := REFERENCE.fullmatch(match[0]):
                names.append(named[1])
                texts.append("")
                continue
            found = self._resolve(match, where)
            sound = sound and found is not None
            texts[-1] += found or ""
            custody = _custody_of(match, custody)
        texts[-1] += raw[done:]
        return Expanded(tuple(texts), tuple(names), custody) if sound else None

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
        if match["inner"].startswith(_CREDENTIAL):
            fix = "a name has lower case letters, digits and . _ -, as `coatcheck credential list` shows it"
            self._findings.problem(where, "there is a ${credential:...} without the name of one", fix)
            return None
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


def _custody_of(match: re.Match[str], so_far: Custody | None) -> Custody | None:
    if match["inner"] is None:
        return so_far  # an escape
    return Custody.FILE if so_far is Custody.FILE or _FILE.fullmatch(match["inner"]) else Custody.ENV


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
