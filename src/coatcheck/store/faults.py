"""Failures that only the store has, and what the databases' error codes mean for a reader."""

from __future__ import annotations

import sqlite3
from typing import Final

from coatcheck.errors import ConfigError, Unavailable
from coatcheck.model.chain import Head


class DirectoryLocked(ConfigError):
    """Another gateway holds the data directory. `pid` is its process id, None if it left none.

    The command line exits 73 for this one.
    """

    code = "locked"

    def __init__(self, message: str, *, fix: str = "", pid: int | None = None) -> None:
        super().__init__(message, fix=fix)
        self.pid = pid


class DatabaseTaken(ConfigError):
    """Another gateway holds the database. The command line exits 73 for this one, too."""

    code = "locked"


class StoreUnavailable(Unavailable):
    """The database cannot be read or written now."""

    code = "store_unavailable"


class DatabaseGone(Exception):
    """The database file was removed or replaced while it was open: writing on would write to nothing."""


class ChainMoved(Exception):
    """The chain of entries is not where this process left it: something else wrote to the database.

    `found` is where it stands; None where the database does not say.
    """

    def __init__(self, found: Head | None) -> None:
        super().__init__()
        self.found = found


class Unwritable(Exception):
    """A text that no column of this database can hold: lone surrogates, or NUL in PostgreSQL."""


_ROW_FAULTS: Final = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
)

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


_CLASSES = {
    "08": "the connection to the database broke",
    "28": "the database refused the name or the password",
    "3D": "there is no database of that name",
    "53100": "the disk is full",
    "53300": "the database takes no more connections",
    "53": "the database lacks resources",
    "55P03": "another program keeps the tables locked",
    "57014": "the database took too long",
    "57P": "the database is being stopped or started",
    "25006": "the database is read-only",
    "42501": "the database user lacks a right",
    "58": "the database's disk failed",
    "XX": "the database is damaged",
}
"""By the beginning of the code (postgresql.org/docs/current/errcodes-appendix.html); the longest wins."""

_PLACELESS: Final = frozenset({"IntegrityError", "InterfaceError", "ProgrammingError", "DataError"})


def explain(error: BaseException) -> str:
    """Say in a few words why the database failed. Never quotes statements or values.

    SQLite's extended code (sqlite.org/rescode.html) or PostgreSQL's is kept in brackets: an operator can
    look it up.
    """
    if isinstance(error, DatabaseGone):
        return "the database file was removed or replaced while the gateway ran"
    if isinstance(error, ChainMoved):
        return "the record does not end where this gateway left it: something else wrote to the store"
    if isinstance(error, DatabaseTaken):
        return error.message
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if (name := getattr(error, "sqlite_errorname", None)) is not None:
        primary = "_".join(name.split("_")[:2])
        return f"{_MEANINGS.get(primary, 'the database failed')} ({name})"
    if (state := getattr(error, "sqlstate", None)) is not None:
        known = (_CLASSES[state[:size]] for size in (5, 3, 2) if state[:size] in _CLASSES)
        return f"{next(known, 'the database failed')} ({state})"
    if type(error).__module__.startswith("psycopg") and type(error).__name__ not in _PLACELESS:
        return "the database cannot be reached"
    return f"the database failed ({type(error).__name__})"


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether the error means that the file's content is wrong, which no retry can mend."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def is_fault_of_a_row(error: BaseException) -> bool:
    """Tell whether one bad row can have caused the error; the others of its batch are then written alone."""
    if isinstance(error, ArithmeticError | AttributeError | TypeError | ValueError | Unwritable):
        return True
    if isinstance(error, sqlite3.Error):
        return isinstance(error, _ROW_FAULTS)
    return str(getattr(error, "sqlstate", None) or "")[:2] in {"21", "22", "23"}
