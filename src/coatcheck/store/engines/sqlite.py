"""SQLite in the data directory: one process, private files, durable settings, current schema."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.pool import QueuePool

from coatcheck.errors import ConfigError
from coatcheck.store import schema
from coatcheck.store.engines.database import READERS, Database
from coatcheck.store.engines.directory import DATABASE_FILE, DirectoryLock, create_private, prepare
from coatcheck.store.engines.elsewhere import require_here
from coatcheck.store.engines.sqlite_connection import BUSY_MS, connect, copy_to
from coatcheck.store.engines.sqlite_driver import SqliteDriver
from coatcheck.store.engines.turns import Turns
from coatcheck.store.faults import DatabaseGone, explain, is_damage

_SCRUB_PAUSES: Final = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0)
"""Seconds before each try to empty the write-ahead log."""
_SCRUB_BUSY_MS: Final = 20
"""How long one try waits for readers; the ledger waits for it."""


class SqliteDatabase(Database):
    """The database file in a data directory, which this process holds; see `Database`."""

    dialect = "sqlite"
    faults = (sqlite3.Error, OSError, DatabaseGone)

    def __init__(self, path: Path, lock: DirectoryLock | None) -> None:
        writers = _engine(lambda: connect(path), 1)
        event.listen(writers, "begin", _begin_immediate)
        readers = _engine(lambda: connect(path, read_only=True), READERS)
        event.listen(readers, "begin", _begin_reading)
        for engine in (writers, readers):
            event.listen(engine, "connect", lambda _, record: record.info.update(file=_file_at(path)))
            event.listen(engine, "checkout", lambda _, record, __: _still_there(path, record.info["file"]))
        super().__init__(str(path), readers, writers, Turns())
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Take the data directory, make the database if there is none, and migrate it.

        Raises:
            DirectoryLocked: another process has the directory.
            ConfigError: the directory or the file cannot be used, is damaged, foreign or too new.
        """
        require_here(directory)
        home = prepare(directory)
        lock = DirectoryLock.take(home)
        path = home / DATABASE_FILE
        database = None
        try:
            create_private(path)
            database = cls(path, lock)
            database._prepare()
        except Exception as error:  # noqa: BLE001  # re-raised; the lock must not outlive a failed opening
            if database is not None:
                database.close()
            lock.release()
            raise _as_config_error(error, path) from None
        return database

    @classmethod
    def open_to_read(cls, directory: Path) -> Self:
        """Open an existing database for reading only, while no gateway runs; nothing is migrated.

        Raises:
            ConfigError: there is no database, or it cannot be read as it is.
        """
        require_here(directory)
        path = directory.expanduser().absolute() / DATABASE_FILE
        if not path.is_file():
            raise ConfigError(
                f"there is no database in {path.parent}", fix="start the gateway once, or name another --data"
            )
        database = cls(path, None)
        try:
            revision = database.read_now(lambda reading: schema.revision_of(reading, str(path)))
            schema.require_head(revision, str(path))
        except Exception as error:  # noqa: BLE001  # re-raised
            database.close()
            raise _as_config_error(error, path) from None
        return database

    @classmethod
    def revision_at(cls, path: Path) -> str | None:
        """Return the schema revision of a file, read without changing it; None for an empty one.

        Raises:
            ConfigError: it cannot be read, or belongs to another program.
        """
        database = cls(path, None)
        try:
            return database.read_now(lambda reading: schema.revision_of(reading, str(path)))
        except Exception as error:  # noqa: BLE001  # re-raised
            raise _as_config_error(error, path) from None
        finally:
            database.close()

    @property
    def copy_before_migration(self) -> Path:
        """The file that keeps the database as it was before the last migration."""
        return self.path.with_name(f"coatcheck.before-{schema.HEAD}.sqlite3")

    def _prepare(self) -> None:
        with self._writers.connect() as connection:
            revision = schema.revision_of(connection, self.name)
            connection.rollback()  # the journal is not changed inside a transaction
            (mode,) = _driver(connection).execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise ConfigError(
                f"the file system of {self.path} cannot hold a write-ahead log",
                fix="keep the data directory on a local disk",
            )
        if schema.is_older(revision, self.name):
            copy_to(self.path, self.copy_before_migration)
        schema.migrate(self._writers, revision, self.name)

    def open_driver(self) -> SqliteDriver:
        """Open a connection of its own for the ledger's writer.

        Raises:
            sqlite3.Error, OSError, DatabaseGone: the file cannot be opened.
        """
        return SqliteDriver(self.path)

    async def scrub(self) -> bool:
        """Empty the write-ahead log, which holds former pages; `secure_delete` sees to the pages themselves.

        Whoever reads at that moment is in the way; it is tried again for a while.
        """
        for pause in _SCRUB_PAUSES:
            await asyncio.sleep(pause)
            try:
                if await asyncio.get_running_loop().run_in_executor(self._threads, self._checkpoint):
                    return True
            except (sqlite3.Error, DBAPIError, RuntimeError):  # closing, or the disk: the next one tries anew
                return False
        return False

    def _checkpoint(self) -> bool:
        """Write the log into the database and empty it; False if somebody reads, who is not waited for."""
        with self.turn, self._writers.connect() as connection:
            driver = _driver(connection)
            driver.execute(f"PRAGMA busy_timeout = {_SCRUB_BUSY_MS}")
            try:
                busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                driver.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        return not busy

    def close(self) -> None:
        """Close every connection and let go of the directory. Safe to call twice."""
        super().close()
        if self._lock is not None:
            self._lock.release()


def _engine(creator: Callable[[], sqlite3.Connection], size: int) -> Engine:
    return create_engine(
        "sqlite://",
        creator=creator,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,
    )


def _file_at(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _still_there(path: Path, file: tuple[int, int] | None) -> None:
    """Have a connection opened anew if another file has its name now: it would show the one before."""
    if _file_at(path) not in (None, file):
        raise DisconnectionError("the database file was replaced")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")  # all that one reading sees is of one moment


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError("the store runs on sqlite3")
    return driver


def _as_config_error(error: Exception, path: Path) -> Exception:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, sqlite3.Error | UnicodeError):
        return error
    fix = "see that the disk has room and that nothing else uses the file"
    if isinstance(cause, UnicodeError) or is_damage(cause):
        fix = "restore a backup, or move the file away to start with an empty record"
    return ConfigError(f"the database {path} cannot be opened: {explain(cause)}", fix=fix)
