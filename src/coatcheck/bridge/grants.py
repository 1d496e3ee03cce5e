"""Where the bridge has its grant from: a variable, a file or the system's keyring; each can say so."""

from __future__ import annotations

import importlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from coatcheck.errors import ConfigError
from coatcheck.model.secret import Secret

VARIABLE: Final = "COATCHECK_GRANT"
SERVICE: Final = "coatcheck"
"""The service under which grants stand in the keyring; the name given is the account."""
MAX_BYTES: Final = 64 * 1024
_ONE_WORD: Final = re.compile(r"[!-~]{1,4096}\Z")
_NEW: Final = "ask whoever runs the gateway for a new grant"


class Source(Protocol):
    """A place that may hold a grant."""

    @property
    def origin(self) -> str:
        """Where the grant stands, in words."""

    @property
    def mend(self) -> str:
        """What to do if it is refused, in words."""

    def read(self) -> Secret | None:
        """Return the grant as it stands there now, or None for none at all.

        Raises:
            ConfigError: it cannot be read, or cannot be a grant.
        """


@dataclass(frozen=True, slots=True)
class FromVariable:
    """The environment of the client that started us. `grant` is None where the variable is not set."""

    grant: Secret | None

    @property
    def origin(self) -> str:
        """Where the grant stands."""
        return f"the variable {VARIABLE}" if self.grant else f"nowhere: {VARIABLE} is not set"

    @property
    def mend(self) -> str:
        """What to do if it is refused."""
        if self.grant is None:
            return f"set {VARIABLE} where the client starts this command, or use --grant-file or --keyring"
        return f"{_NEW}, set {VARIABLE} to it and restart the client"

    def read(self) -> Secret | None:
        """Return what the variable held when we started; it cannot change."""
        return self.grant


@dataclass(frozen=True, slots=True)
class FromFile:
    """A file that holds the grant alone; read again when the grant is refused."""

    path: Path

    @property
    def origin(self) -> str:
        """Where the grant stands."""
        return f"the file {self.path}"

    @property
    def mend(self) -> str:
        """What to do if it is refused."""
        return f"{_NEW} and write it into that file; it is read again by itself"

    @property
    def is_open_to_others(self) -> bool:
        """Tell whether other accounts of this machine may read the file; False for what is no file."""
        try:
            mode = self.path.stat().st_mode
        except OSError:
            return False  # `read` says what is wrong
        return os.name == "posix" and stat.S_ISREG(mode) and bool(mode & 0o077)

    def read(self) -> Secret | None:
        """Return what the file holds, without blanks and line ends around it."""
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):  # a pipe would keep us waiting
                raise ConfigError(f"{self.path} is not a regular file", fix="name the file with the grant")
            with self.path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise ConfigError(
                f"the grant cannot be read from {self.path} ({error.strerror})",
                fix="check the path and its permissions",
            ) from None
        return _grant_of(content.decode("utf-8-sig", "replace"), self.origin)


@dataclass(frozen=True, slots=True)
class FromKeyring:
    """The system's keyring; read again when the grant is refused."""

    name: str

    @property
    def origin(self) -> str:
        """Where the grant stands."""
        return f"the keyring, account {self.name!r} of service {SERVICE!r}"

    @property
    def mend(self) -> str:
        """What to do if it is refused."""
        return f"{_NEW} and store it with `keyring set {SERVICE} {self.name}`; it is read again by itself"

    def read(self) -> Secret | None:
        """Return what the keyring holds under our service and this name."""
        try:
            keyring = importlib.import_module("keyring")
        except ImportError:
            raise ConfigError(
                "--keyring needs a package that is not installed", fix="pip install 'coatcheck[keyring]'"
            ) from None
        try:
            found = keyring.get_password(SERVICE, self.name)
        except Exception as error:  # noqa: BLE001  # each system's keyring fails in a way of its own
            raise ConfigError(
                f"the keyring cannot be read ({type(error).__name__})",
                fix="unlock it, or use --grant-file; `keyring diagnose` tells which one is used",
            ) from None
        if found is None:
            raise ConfigError(
                f"the keyring has no grant {self.name!r}", fix=f"keyring set {SERVICE} {self.name}"
            )
        return _grant_of(found, self.origin)


def source_of(environment: Mapping[str, str], file: Path | None, keyring: str | None) -> Source:
    """Return where the grant comes from: what was named, else the variable.

    Raises:
        ConfigError: the variable holds what cannot be a grant.
    """
    if file is not None:
        return FromFile(file)
    if keyring is not None:
        return FromKeyring(keyring)
    text = environment.get(VARIABLE, "")
    return FromVariable(_grant_of(text, f"the variable {VARIABLE}") if text else None)


def _grant_of(text: str, origin: str) -> Secret:
    """Check only what would break the header it travels in: the gateway judges the rest."""
    word = text.strip()
    if not _ONE_WORD.match(word):
        raise ConfigError(
            f"what stands in {origin} is {'empty' if not word else 'no grant'}",
            fix="put the grant there alone: one word, without quotes and without `Bearer`",
        )
    return Secret(word)
