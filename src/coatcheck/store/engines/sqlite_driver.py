"""One connection of sqlite3, as the ledger's writer uses it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Final

from coatcheck.store.engines.driver import Row, without_surrogates
from coatcheck.store.engines.sqlite_connection import connect
from coatcheck.store.faults import DatabaseGone, Unwritable

STEPS: Final = (16, 4, 1)
"""How many rows one step inserts: few sizes, so that each is prepared once, and none has many values."""

_Key = tuple[int, int]


class SqliteDriver:
    """Implements `Driver`. It notes which files it writes to, since they can be moved away under it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self.connection = connect(path)
        try:
            self.connection.execute("PRAGMA journal_mode = WAL")  # a file that was put here may have another
        except BaseException:
            self.connection.close()
            raise
        self._files: tuple[_Key, _Key] | None = None

    def begin(self) -> None:
        """Begin a transaction that will write."""
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make the transaction durable."""
        self.connection.execute("COMMIT")

    def roll_back(self) -> bool:
        """Undo the transaction, if there is one; return whether the connection can be used on."""
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        except sqlite3.Error:
            return False
        return True

    def run(self, statement: str, values: Row = ()) -> Iterable[Sequence[Any]]:
        """Run a statement and return its rows."""
        return self.connection.execute(statement, values)  # the driver judges them

    def run_many(self, statement: str, rows: Sequence[Row]) -> None:
        """Insert rows, many in a step: each step lets go of the interpreter lock, and waits for it after."""
        done = 0
        try:
            for size in STEPS:
                while len(rows) - done >= size:
                    values = list(chain.from_iterable(rows[done : done + size]))
                    self.connection.execute(_widened(statement, size), values)
                    done += size
        except UnicodeEncodeError:
            raise Unwritable from None

    def spelt(self, text: str) -> str:
        """Return the text with lone surrogates spelt out."""
        return without_surrogates(text)

    def check(self) -> None:
        """Raise `DatabaseGone` if a file was removed or replaced: it takes writes, and loses them."""
        try:
            main, log = self._path.stat(), self._log.stat()
        except FileNotFoundError:
            raise DatabaseGone from None
        found = (main.st_dev, main.st_ino), (log.st_dev, log.st_ino)
        if self._files is None:
            self._files = found
        if self._files != found:
            raise DatabaseGone

    def close(self) -> None:
        """Close the connection; what was not committed is rolled back."""
        with suppress(sqlite3.Error):
            self.connection.close()


@cache
def _widened(statement: str, size: int) -> str:
    """Return an INSERT of one row as one of so many."""
    head, values, row = statement.partition(" VALUES ")
    return head + values + ", ".join([row] * size)
