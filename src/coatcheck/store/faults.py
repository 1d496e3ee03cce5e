"""Failures that only the store has, and what SQLite's error codes mean for a reader."""

from __future__ import annotations

import sqlite3

from coatcheck.errors import ConfigError, Unavailable


class DirectoryLocked(ConfigError):
    """Another gateway holds the data directory. `pid` is its process id, None if it left none.

    The command line exits 73 for this one.
    """

    code = "locked"

    def __init__(self, message: str, *, fix: str = "", pid: int | None = None) -> None:
        super().__init__(message, fix=fix)
        self.pid = pid


class StoreUnavailable(Unavailable):
    """The database cannot be read or written now."""

    code = "store_unavailable"


class DatabaseGone(Exception):
    """The database file was removed or replaced while it was open: writing on would write to nothing."""


_MEANINGS = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "the disk failed",
    "SQLITE_READONLY": "the database is read-only",
    "SQLITE_BUSY": "another program keeps the database locked",
    "SQLITE_LOCKED": "another program keeps the database locked",
    "SQLITE_CORRUPT": "the database file is damaged",
    "SQLITE_NOTADB": "the file is not a database",
    "SQLITE_CANTOPEN": "the database file cannot be opened",
    "SQLITE_NOMEM": "there is no memory left",
}


def explain(error: BaseException) -> str:
    """Say in a few words why the database failed. Never quotes statements or values.

    SQLite's extended code (sqlite.org/rescode.html) is kept in brackets: an operator can look it up.
    """
    if isinstance(error, DatabaseGone):
        return "the database file was removed or replaced while the gateway ran"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    name = getattr(error, "sqlite_errorname", None)
    if name is None:
        return f"the database failed ({type(error).__name__})"
    primary = "_".join(name.split("_")[:2])
    return f"{_MEANINGS.get(primary, 'the database failed')} ({name})"


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether the error means that the file's content is wrong, which no retry can mend."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
