"""The key in the data directory that seals what clients keep for us; made at the first start."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from coatcheck.core.sealing import KEY_BYTES
from coatcheck.errors import ConfigError
from coatcheck.ports import Entropy

KEY_FILE: Final = "state.key"


def state_key(directory: Path, entropy: Entropy) -> bytes:
    """Return the key, making it first if there is none: 64 hexadecimal digits in a file for its owner alone.

    Raises:
        ConfigError: the file cannot be read or made, is open to others, or holds no key.
    """
    path = directory / KEY_FILE
    try:
        try:
            return _read(path)
        except FileNotFoundError:
            _make(path, entropy.token(KEY_BYTES))
            return _read(path)
    except OSError as error:
        raise ConfigError(
            f"the key file {path} cannot be used: {error.strerror}",
            fix="make it a regular file that only the user who runs the gateway can read",
        ) from None


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        text = file.read(4 * KEY_BYTES)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"other users may read the key file {path}", fix=f"run: chmod 600 '{path}'")
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"the key file {path} holds no key",
            fix="remove it: a new one is made at the next start, and requests under way begin anew",
        )
    return key


def _make(path: Path, key: bytes) -> None:
    """Write the whole file under another name first: a start that is broken off leaves no half of a key."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.hex().encode("ascii") + b"\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
