"""The note in a data directory that its store is on a server: no command may begin an empty one beside it.

Commands read the same settings as the gateway, unless the URL was given to that one alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from coatcheck.errors import ConfigError
from coatcheck.store.engines.directory import create_private, sync

NOTE_FILE: Final = "coatcheck.database"
_MOST_CHARACTERS: Final = 1000


def note_elsewhere(home: Path, name: str) -> None:
    """Keep in a data directory which database its store is in. `name` holds nothing that opens it.

    Raises:
        ConfigError: the note cannot be written.
    """
    path, part = home / NOTE_FILE, home / f".{NOTE_FILE}.{os.getpid()}"
    if _noted(home) == name:
        return
    create_private(part)
    try:
        part.write_text(f"{name}\n", encoding="utf-8")
        part.replace(path)
        sync(home)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", fix="see that there is room"
        ) from None


def require_here(directory: Path) -> None:
    """Refuse to use a file as the store of a data directory whose store is on a server.

    Raises:
        ConfigError: it is; the message names the database.
    """
    home = directory.expanduser().absolute()
    name = _noted(home)
    if name is not None:
        raise ConfigError(
            f"what belongs to {home} is stored in the database {name}, whose URL is not given",
            fix="give it as COATCHECK_DATABASE or in coatcheck.toml, where every command finds it;"
            f" or remove {home / NOTE_FILE} to begin with a file",
        )


def _noted(home: Path) -> str | None:
    try:
        text = (home / NOTE_FILE).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(
            f"{home / NOTE_FILE} cannot be read: {error.strerror}", fix="make it a file of the gateway's user"
        ) from None
    return "".join(character for character in text[:_MOST_CHARACTERS] if character.isprintable()).strip()
