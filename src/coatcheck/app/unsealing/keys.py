"""The one key that everything sealed and authenticated hangs on: given from outside, or made at first start.

Where it comes from, the first that there is: a systemd credential, a file that is named, the environment, and
else the data directory.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from coatcheck.core.sealing.keys import KEY_BYTES, Keys, read_key
from coatcheck.errors import ConfigError
from coatcheck.ports import Entropy

KEY_FILE: Final = "coatcheck.key"
"""The file in the data directory, and the name of the systemd credential."""

VARIABLE: Final = "COATCHECK_KEY"
FILE_VARIABLE: Final = "COATCHECK_KEY_FILE"
CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"

_MAKE: Final = "openssl rand -hex 32"
MAKE_ONE: Final = "make one with:"
"""How the fix begins where a store that has no key yet could get another."""
_MOST_BYTES: Final = 4 * KEY_BYTES

_Answer = TypeVar("_Answer")


def load_keys(
    directory: Path, environment: Mapping[str, str], entropy: Entropy, belongs_to: str | None = None
) -> Keys:
    """Return the keys; where none is given and the data directory has no key yet, one is made there.

    `belongs_to` is the id of the key that the store has already: then none is made, for it would open
    nothing, and stand in the way of the right one.

    Raises:
        ConfigError: the key cannot be read or made, is open to others, weak, or not the directory's own; or
            there is none, and the store belongs to one.
    """
    keys = find_keys(directory, environment)
    if keys is not None:
        return keys
    path = directory / KEY_FILE
    if belongs_to is not None:
        raise ConfigError(
            f"the store belongs to the key {belongs_to}, and no key is given",
            fix=f"put it into {path}, or give it by {FILE_VARIABLE}; without it, what is sealed is lost",
        )
    reading(path, lambda: write_key(path, entropy.token(KEY_BYTES).hex()))
    return keys_in(path)


def find_keys(directory: Path, environment: Mapping[str, str]) -> Keys | None:
    """Return the keys if there is one already, and make none.

    Raises:
        ConfigError: as for `load_keys`.
    """
    given = _given(environment)
    own = directory / KEY_FILE
    if not os.path.lexists(own):
        return given
    found = keys_in(own)
    if given is not None and given.id != found.id:
        raise ConfigError(
            f"two keys are given: {own} has the id {found.id}, and the one from outside {given.id}",
            fix=f"remove the wrong one; what is stored needs the key that it was stored with, so keep {own}"
            " until the gateway has started without it",
        )
    return found if given is None else given


def origin_of(environment: Mapping[str, str]) -> str:
    """Return what gives the key from outside of the data directory, for messages; empty if nothing does."""
    if _mounted(environment) is not None:
        return f"the systemd credential {KEY_FILE}"
    if path := environment.get(FILE_VARIABLE):
        return f"the file {path} ({FILE_VARIABLE})"
    return VARIABLE if environment.get(VARIABLE) else ""


def _given(environment: Mapping[str, str]) -> Keys | None:
    if (mounted := _mounted(environment)) is not None:
        return keys_in(mounted, foreign=True)
    if path := environment.get(FILE_VARIABLE):
        return keys_in(Path(path), foreign=True)
    if text := environment.get(VARIABLE):
        return _keys_of(text, VARIABLE)
    return None


def _mounted(environment: Mapping[str, str]) -> Path | None:
    folder = environment.get(CREDENTIALS)
    path = Path(folder) / KEY_FILE if folder else None
    return path if path is not None and path.is_file() else None


def keys_in(path: Path, *, foreign: bool = False) -> Keys:
    """Return the keys in a file. A mounted secret (`foreign`) may be a link, and readable by a group.

    Raises:
        ConfigError: the file cannot be read, is open to others, or holds no key that can be used.
    """
    return _keys_of(text_in(path, foreign=foreign), f"the key file {path}")


def text_in(path: Path, *, foreign: bool = False) -> str:
    """Return what is in a key file.

    Raises:
        ConfigError: as `keys_in`, but for the key itself.
    """
    return reading(path, lambda: _read(path, foreign=foreign))


def _keys_of(text: str, where: str) -> Keys:
    try:
        return Keys(read_key(text))
    except ValueError as error:
        raise ConfigError(
            f"{where} holds no key that can be used: it {error}", fix=f"{MAKE_ONE} {_MAKE}"
        ) from None


def reading(path: Path, read: Callable[[], _Answer]) -> _Answer:
    """Do something with a key file.

    Raises:
        ConfigError: the file system did not let us.
    """
    try:
        return read()
    except OSError as error:
        fix = "make it a regular file that only the user who runs the gateway can read"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            fix = "make room on the disk"
        raise ConfigError(f"the key file {path} cannot be used: {error.strerror}", fix=fix) from None


def _read(path: Path, *, foreign: bool) -> str:
    follow = 0 if foreign else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | follow)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"the key file {path} is no regular file", fix="name the file itself")
        text = os.read(descriptor, _MOST_BYTES)
    finally:
        os.close(descriptor)
    closed = stat.S_IRWXO if foreign else stat.S_IRWXO | stat.S_IRWXG
    if found.st_mode & closed and found.st_uid == os.geteuid():
        raise ConfigError(f"other users may read the key file {path}", fix=f"run: chmod 600 '{path}'")
    return text.decode("ascii", "replace")


def write_key(path: Path, text: str) -> None:
    """Write a key file, mode 0600, that is on the disk when this returns; it takes the place of one there.

    The whole file is written under another name first: what is broken off leaves no half of a key.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.strip().encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
