"""Which database a gateway uses: the one a URL names, or SQLite in the data directory."""

from __future__ import annotations

from pathlib import Path

from coatcheck.model.secret import Secret
from coatcheck.store.engines.database import Database
from coatcheck.store.engines.sqlite import SqliteDatabase


def open_database(directory: Path, url: Secret | None = None) -> Database:
    """Take the data directory, and the database with it; migrate the database.

    Raises:
        DirectoryLocked, DatabaseTaken: another gateway has one of them; the message says who.
        ConfigError: one of them cannot be used.
    """
    if url is None:
        return SqliteDatabase.open(directory)
    from coatcheck.store.engines.postgres import PostgresDatabase

    return PostgresDatabase.open(url, directory)


def open_to_read(directory: Path, url: Secret | None = None) -> Database:
    """Open an existing database for reading only, as commands do while no gateway runs.

    Raises:
        ConfigError: there is none, or it cannot be read as it is.
    """
    if url is None:
        return SqliteDatabase.open_to_read(directory)
    from coatcheck.store.engines.postgres import PostgresDatabase

    return PostgresDatabase.open_to_read(url)
