"""What `coatcheck migrate` does while no gateway runs: says where the schema stands, and brings it up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coatcheck.errors import ConfigError
from coatcheck.model.secret import Secret
from coatcheck.store import schema
from coatcheck.store.engines.directory import DATABASE_FILE
from coatcheck.store.engines.elsewhere import require_here
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.opening import open_database


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a database stands. `revision` None: it is empty, or not there yet; `name` is fit for messages."""

    name: str
    revision: str | None
    head: str = schema.HEAD

    @property
    def is_current(self) -> bool:
        """Tell whether there is nothing to migrate."""
        return self.revision == self.head


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done. `copy` is the database as it was; None if nothing was changed, or on PostgreSQL."""

    before: Standing
    copy: Path | None


def standing(directory: Path, url: Secret | None = None) -> Standing:
    """Say where the schema stands; nothing is made or changed.

    Raises:
        ConfigError: the database cannot be read, or belongs to another program.
    """
    if url is not None:
        from coatcheck.store.engines.postgres import PostgresDatabase

        return Standing(*PostgresDatabase.revision_at(url))
    require_here(directory)
    path = directory.expanduser().absolute() / DATABASE_FILE
    if not path.exists():
        return Standing(str(path), None)
    return Standing(str(path), SqliteDatabase.revision_at(path))


def migrate_now(directory: Path, url: Secret | None = None) -> Migrated:
    """Bring the database to the newest schema, whole or not at all; one that is not there is made.

    The file of SQLite is copied first; PostgreSQL is to be saved with `pg_dump` before.

    Raises:
        DirectoryLocked, DatabaseTaken: a gateway runs on it: it migrated the database when it started.
        ConfigError: the database cannot be used, or was written by a newer Coatcheck.
    """
    before = standing(directory, url)
    database = open_database(directory, url)
    database.close()
    copy = None
    if isinstance(database, SqliteDatabase) and before.revision not in {None, before.head}:
        copy = database.copy_before_migration
        if not copy.is_file():
            raise ConfigError(f"the copy {copy} is gone", fix="see what removes files there")
    return Migrated(before, copy)
