"""The file of the key while the key changes: the new one beside it, then in its place, and the former kept.

At every moment the key that the store belongs to is in one of the files, whole and on the disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from coatcheck.app.unsealing.keys import KEY_FILE, keys_in, origin_of, reading, text_in, write_key
from coatcheck.core.sealing.keys import KEY_BYTES, Keys
from coatcheck.errors import ConfigError, Unfit
from coatcheck.ports import Entropy

NEXT_FILE: Final = f"{KEY_FILE}.next"
FORMER: Final = f"{KEY_FILE}.former-"


class FilesOfKey:
    """Implements `rekeying.KeyFiles` for a data directory, and for a key that is given from outside."""

    def __init__(self, directory: Path, environment: Mapping[str, str], entropy: Entropy) -> None:
        self._own = directory / KEY_FILE
        self._next = directory / NEXT_FILE
        self._environment = environment
        self._entropy = entropy

    @property
    def origin(self) -> str:
        """What gives the key from outside of the data directory; empty where it is in a file there."""
        return origin_of(self._environment)

    def has_next(self) -> bool:
        """Tell whether a change of keys broke off, or is under way."""
        return os.path.lexists(self._next)

    def prepare(self, path: str | None) -> Keys:
        """Return the key to follow, which is durable; see `rekeying.KeyFiles`."""
        if self.origin and os.path.lexists(self._own):
            raise Unfit(
                f"the key is given twice, by {self.origin} and by {self._own}",
                fix=f"remove {self._own}, once the gateway has started without it",
            )
        if self.origin and path is None:
            raise Unfit(
                f"the key is given from outside, by {self.origin}",
                fix="name a file with the new key: openssl rand -hex 32 > FILE; chmod 600 FILE",
            )
        if path is not None:
            text = _given(Path(path))
        else:
            text = self._entropy.token(KEY_BYTES).hex()
        if not self.origin:
            reading(self._next, lambda: write_key(self._next, text))
            return keys_in(self._next)
        given = Path(path or "")
        reading(given, lambda: _sync(given))  # who wrote it may have left it to the system's memory
        return keys_in(given, foreign=True)

    def settle(self, key_id: str) -> str | None:
        """Bring the files in line with the key of the store; see `rekeying.KeyFiles`."""
        if not self.has_next():
            return None
        return reading(self._next, lambda: self._settle(key_id))

    def _settle(self, key_id: str) -> str | None:
        if id_in(self._own) == key_id:
            self._next.unlink()
            _sync(self._next.parent)
            return None
        if id_in(self._next) != key_id:
            return None  # neither opens the store: nothing is thrown away
        former = None
        if (old := id_in(self._own)) is not None:
            former = self._own.with_name(FORMER + old)
            write_key(former, text_in(self._own))
        self._next.replace(self._own)
        _sync(self._own.parent)
        return str(former) if former is not None else None


def id_in(path: Path) -> str | None:
    """Return the id of the key in a file of ours, None if there is none that can be used."""
    try:
        return keys_in(path).id if os.path.lexists(path) else None
    except ConfigError:
        return None


def _given(path: Path) -> str:
    """Return the key that an operator named, which may be in a mounted secret."""
    if not _is_path(path):
        raise Unfit("no key file has that name", fix="name the file by its path on the gateway's machine")
    try:
        keys_in(path, foreign=True)
        return text_in(path, foreign=True).strip()
    except ConfigError as error:
        raise Unfit(error.message, fix=error.fix) from None


def _is_path(path: Path) -> bool:
    """Tell whether the system could have a file of this name at all."""
    try:
        return b"\x00" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
