"""One connection to a file of SQLite, with the settings that make it durable and strict; and whole copies."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from coatcheck.store.engines.directory import create_private, sync

BUSY_MS: Final = 5_000
"""How long a write waits for another program that has the database locked."""

_PRAGMAS: Final = (
    f"busy_timeout = {BUSY_MS}",
    "foreign_keys = ON",
    "trusted_schema = OFF",
    "secure_delete = ON",
    "cell_size_check = ON",  # damage is found where it is read, not later
    "temp_store = MEMORY",  # no copies of records in temporary files
)
_WRITER_PRAGMAS: Final = (
    "synchronous = FULL",
    "journal_size_limit = 67108864",  # after a burst the write-ahead log is cut back to 64 MiB
)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open one connection with our settings, in autocommit mode: every BEGIN is ours.

    Raises:
        sqlite3.Error: the file is missing, unreadable or damaged.
    """
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        for pragma in (*_PRAGMAS, "query_only = ON") if read_only else (*_PRAGMAS, *_WRITER_PRAGMAS):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def copy_to(path: Path, destination: Path) -> None:
    """Copy the database to a private file, as of one moment, while it is in use or not.

    Raises:
        sqlite3.Error, OSError: it cannot be read or written; nothing is left at the destination then.
    """
    part = destination.with_name(f".{destination.name}.part")
    part.unlink(missing_ok=True)
    create_private(part)
    try:
        source, copy = connect(path, read_only=True), sqlite3.connect(part)
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, which needs no other beside it
        finally:
            source.close()
            copy.close()
        sync(part)
        part.replace(destination)
        sync(destination.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
