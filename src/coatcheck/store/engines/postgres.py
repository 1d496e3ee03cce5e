"""PostgreSQL by its URL: one gateway at a time, durable commits, current schema (extra `postgres`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from coatcheck.errors import ConfigError
from coatcheck.model.secret import Secret
from coatcheck.store import schema
from coatcheck.store.engines.database import READERS, Database
from coatcheck.store.engines.directory import DirectoryLock, prepare
from coatcheck.store.engines.elsewhere import note_elsewhere
from coatcheck.store.engines.postgres_connection import application_name, connect, name_of, require_psycopg
from coatcheck.store.engines.turns import Turns
from coatcheck.store.faults import DatabaseTaken, explain

if TYPE_CHECKING:
    from psycopg import Connection

    from coatcheck.store.engines.postgres_driver import PostgresDriver

LOCK: Final = 0x434F4154
"""The advisory lock of the one gateway ("COAT"); advisory locks are per database."""

_HOLDER: Final = """
SELECT a.pid, a.application_name, host(a.client_addr)
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = %s
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

_MOMENTS: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each further try for the lock."""


class PostgresDatabase(Database):
    """A database on a PostgreSQL server, held by this process; see `Database`.

    The lock belongs to the connection on which the ledger is written: whoever loses it cannot record calls,
    so it answers none, and no two gateways ever serve from one database.
    """

    dialect = "postgresql"

    def __init__(self, url: Secret, lock: DirectoryLock | None) -> None:
        import psycopg

        self.faults = (psycopg.Error, OSError, DatabaseTaken)
        self._url = url
        self._lock = lock
        self._held: Connection[Any] | None = None
        self._former: set[int] = set()
        readers = _engine(lambda: connect(url, read_only=True), READERS)
        super().__init__(name_of(url), readers, _engine(lambda: connect(url), 1), Turns())

    @classmethod
    def open(cls, url: Secret, directory: Path | None = None) -> Self:
        """Take the database, and the data directory if one is given, and migrate the database.

        Raises:
            DatabaseTaken: another gateway has the database.
            DirectoryLocked: another process has the directory.
            ConfigError: the URL or the database cannot be used, or psycopg is not installed.
        """
        require_psycopg()
        name = name_of(url)
        lock = None if directory is None else DirectoryLock.take(prepare(directory))
        database = None
        try:
            database = cls(url, lock)
            database._held = database._take()
            with database._writers.connect() as connection:
                revision = schema.revision_of(connection, name)
            schema.migrate(database._writers, revision, name)
            if directory is not None:
                note_elsewhere(prepare(directory), name)
        except Exception as error:  # noqa: BLE001  # re-raised; the locks must not outlive a failed opening
            if database is not None:
                database.close()
            elif lock is not None:
                lock.release()
            raise _as_config_error(error, name) from None
        return database

    @classmethod
    def open_to_read(cls, url: Secret) -> Self:
        """Open an existing database for reading only, whoever holds it; nothing is migrated.

        Raises:
            ConfigError: it cannot be reached, or cannot be read as it is.
        """
        require_psycopg()
        database = cls(url, None)
        try:
            revision = database.read_now(lambda reading: schema.revision_of(reading, database.name))
            schema.require_head(revision, database.name)
        except Exception as error:  # noqa: BLE001  # re-raised
            database.close()
            raise _as_config_error(error, database.name) from None
        return database

    @classmethod
    def revision_at(cls, url: Secret) -> tuple[str, str | None]:
        """Return the name of a database and its schema revision; None for an empty one.

        Raises:
            ConfigError: it cannot be reached, or belongs to another program.
        """
        require_psycopg()
        database = cls(url, None)
        try:
            revision = database.read_now(lambda reading: schema.revision_of(reading, database.name))
        except Exception as error:  # noqa: BLE001  # re-raised
            raise _as_config_error(error, database.name) from None
        finally:
            database.close()
        return database.name, revision

    def open_driver(self) -> PostgresDriver:
        """Open a connection of its own for the ledger's writer, which holds the lock.

        Raises:
            psycopg.Error, OSError, DatabaseTaken: the database cannot be reached, or another took it.
        """
        from coatcheck.store.engines.postgres_driver import PostgresDriver

        held, self._held = self._held, None
        if held is None or held.closed:
            held = self._take()
        return PostgresDriver(held)

    def close(self) -> None:
        """Close every connection and let go of the database and the directory. Safe to call twice."""
        super().close()
        if self._held is not None:
            self._held.close()
        if self._lock is not None:
            self._lock.release()

    def _take(self) -> Connection[Any]:
        """Connect and take the lock. One that a broken connection of ours still holds is taken from it."""
        connection = connect(self._url)
        try:
            if not _locked(connection):
                self._end_former(connection)
                if not _locked_soon(connection):
                    raise _taken(connection, self.name)
        except BaseException:
            connection.close()
            raise
        self._former.add(connection.info.backend_pid)
        return connection

    def _end_former(self, connection: Connection[Any]) -> None:
        for pid, name, _ in connection.execute(_HOLDER, (LOCK,)).fetchall():
            if pid in self._former and name == application_name():
                with suppress(*self.faults):
                    connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def _locked(connection: Connection[Any]) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
    return bool(row and row[0])


def _locked_soon(connection: Connection[Any]) -> bool:
    """Take the lock within a moment: a server needs one to notice that whoever held it has gone."""
    for pause in _MOMENTS:
        time.sleep(pause)
        if _locked(connection):
            return True
    return False


def _taken(connection: Connection[Any], name: str) -> DatabaseTaken:
    holder = connection.execute(_HOLDER, (LOCK,)).fetchone()
    who = (
        f"{holder[1] or 'another program'} at {holder[2] or 'this machine'}" if holder else "another gateway"
    )
    return DatabaseTaken(
        f"the database {name} is in use by {who}",
        fix="stop that gateway, or give this one a database of its own",
    )


def _engine(creator: Callable[[], Connection[Any]], size: int) -> Engine:
    def in_transactions() -> Connection[Any]:
        connection = creator()
        connection.autocommit = False  # SQLAlchemy begins and ends them
        return connection

    return create_engine(
        "postgresql+psycopg://",
        creator=in_transactions,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
    )


def _as_config_error(error: Exception, name: str) -> Exception:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not type(cause).__module__.startswith("psycopg"):
        return error
    return ConfigError(
        f"the database {name} cannot be opened: {explain(cause or error)}",
        fix="see that the server runs, that the URL is right, and that its user may create tables",
    )
