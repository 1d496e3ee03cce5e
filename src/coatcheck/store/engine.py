"""Opens the database in the data directory: one process, private files, durable settings, current schema."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from coatcheck.errors import ConfigError
from coatcheck.store import schema
from coatcheck.store.directory import DATABASE_FILE, DirectoryLock, create_private, prepare
from coatcheck.store.faults import StoreUnavailable, explain, is_damage

BUSY_MS: Final = 5_000
"""How long a write waits for another program that has the database locked."""

READERS: Final = 2
"""Reading connections, each with its thread. Reads are rare and short; calls never wait for one."""

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

_Read = TypeVar("_Read")


class Database:
    """The one database of a gateway. Reads and small writes go through SQLAlchemy in threads of ours.

    A thread with the plain driver, not the asyncio adapter over aiosqlite: that adapter is such a thread
    too, with a hand-over for each fetch on top and greenlet as one more dependency.
    """

    def __init__(self, path: Path, lock: DirectoryLock | None) -> None:
        self.path = path
        self._lock = lock
        self._readers = _engine(lambda: connect(path, read_only=True), READERS)
        self._writers = _engine(lambda: connect(path), 1)
        event.listen(self._writers, "begin", _begin_immediate)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="coatcheck-store")

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Take the data directory, make the database if there is none, and migrate it.

        Raises:
            DirectoryLocked: another process has the directory.
            ConfigError: the directory or the file cannot be used, is damaged, foreign or too new.
        """
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
        path = directory.expanduser().absolute() / DATABASE_FILE
        if not path.is_file():
            raise ConfigError(
                f"there is no database in {path.parent}", fix="start the gateway once, or name another --data"
            )
        database = cls(path, None)
        try:
            revision = database.read_now(lambda reading: schema.revision_of(_driver(reading), path))
            schema.require_head(revision, path)
        except Exception as error:  # noqa: BLE001  # re-raised
            database.close()
            raise _as_config_error(error, path) from None
        return database

    def _prepare(self) -> None:
        with self._writers.connect() as connection:
            revision = schema.revision_of(_driver(connection), self.path)
            (mode,) = _driver(connection).execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise ConfigError(
                f"the file system of {self.path} cannot hold a write-ahead log",
                fix="keep the data directory on a local disk",
            )
        schema.migrate(self._writers, revision, self.path)

    def read_now(self, read: Callable[[Connection], _Read]) -> _Read:
        """Run `read` on a read-only connection, blocking; for commands and tests."""
        with self._readers.connect() as connection:
            return read(connection)

    async def read(self, read: Callable[[Connection], _Read]) -> _Read:
        """Run `read` on a read-only connection, off the event loop.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        return await self._run(self.read_now, read)

    async def write(self, write: Callable[[Connection], _Read]) -> _Read:
        """Run `write` in one durable transaction, off the event loop.

        Raises:
            StoreUnavailable: nothing was written.
        """

        def work(write: Callable[[Connection], _Read]) -> _Read:
            with self._writers.begin() as connection:
                return write(connection)

        return await self._run(work, write)

    async def _run(
        self, work: Callable[[Callable[[Connection], _Read]], _Read], step: Callable[[Connection], _Read]
    ) -> _Read:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, step)
        except DBAPIError as error:
            raise StoreUnavailable(explain(error.orig or error), fix="see `coatcheck doctor`") from None
        except RuntimeError as error:
            if "shutdown" not in str(error):
                raise
            raise StoreUnavailable("the gateway is stopping") from None

    def forget_readers(self) -> None:
        """Let reads open the file anew: the one they have open may have been replaced."""
        self._readers.dispose()

    def close(self) -> None:
        """Close every connection and let go of the directory. Safe to call twice."""
        self._threads.shutdown(wait=True)
        self._readers.dispose()
        self._writers.dispose()
        if self._lock is not None:
            self._lock.release()


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open one connection with our settings, in autocommit mode: every BEGIN is ours.

    Raises:
        sqlite3.Error: the file is missing, unreadable or damaged.
    """
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
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


def _engine(creator: Callable[[], sqlite3.Connection], size: int) -> Engine:
    return create_engine(
        "sqlite://",
        creator=creator,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,
    )


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError("the store runs on sqlite3")
    return driver


def _as_config_error(error: Exception, path: Path) -> Exception:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, sqlite3.Error):
        return error
    fix = "see that the disk has room and that nothing else uses the file"
    if is_damage(cause):
        fix = "restore a backup, or move the file away to start with an empty record"
    return ConfigError(f"the database {path} cannot be opened: {explain(cause)}", fix=fix)
