"""Reads the servers file as `serve` would, for commands that judge it without running anything."""

from __future__ import annotations

import os
from dataclasses import dataclass

from coatcheck.config import Config
from coatcheck.declared.live import LiveDeclaration
from coatcheck.declared.locate import Found, locate
from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.reading.problems import DeclarationError
from coatcheck.model.declaration import Declaration, Problem
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading: where the file was found and, if it loads, what it declares; else all its problems."""

    found: Found
    origin: str
    declaration: Declaration | None
    problems: tuple[Problem, ...] = ()

    @property
    def file(self) -> str | None:
        """The file's path, or the variable that holds the JSON itself; None if there is neither."""
        if self.found.path is not None:
            return str(self.found.path)
        return self.origin if self.found.text is not None else None

    @property
    def notices(self) -> tuple[Problem, ...]:
        """What is odd about a file that loads."""
        return self.declaration.notices if self.declaration else ()


def find(config: Config) -> tuple[Found, str]:
    """Return where the servers file is, and which setting or place says so."""
    found = locate(config.config, os.environ, config.data)
    return found, found.origin if config.config is None else config.sources["config"]


def read(found: Found, origin: str) -> Reading:
    """Read what was found; a file that does not load is a reading with problems, not an error."""
    variables = os.environ
    live = LiveDeclaration(found, Sources(EnvSource(variables), FileSource()))
    try:
        return Reading(found, origin, live.read())
    except DeclarationError as error:
        return Reading(found, origin, None, error.problems)
