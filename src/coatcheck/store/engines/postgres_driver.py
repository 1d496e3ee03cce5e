"""One connection of psycopg, as the ledger's writer uses it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format, TransactionStatus

from coatcheck.store.engines.driver import Row, without_surrogates
from coatcheck.store.faults import Unwritable

NUL = "\x00"


class _UuidBytes(Dumper):
    """Sends 16 bytes as a UUID: what rows have for both databases, and PostgreSQL's own binary form."""

    oid = 2950
    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        """Return what goes over the wire."""
        return bytes(obj)


class PostgresDriver:
    """Implements `Driver`. The connection is in autocommit mode and goes with the driver."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        connection.adapters.register_dumper(bytes, _UuidBytes)
        self._cursor = connection.cursor()

    def begin(self) -> None:
        """Begin a transaction that will write."""
        self._cursor.execute("BEGIN")

    def commit(self) -> None:
        """Make the transaction durable."""
        self._cursor.execute("COMMIT")

    def roll_back(self) -> bool:
        """Undo the transaction, if there is one; return whether the connection can be used on."""
        try:
            if self.connection.info.transaction_status is not TransactionStatus.IDLE:
                self._cursor.execute("ROLLBACK")
        except psycopg.Error:
            return False
        return not self.connection.closed

    def run(self, statement: str, values: Row = ()) -> Iterable[Sequence[Any]]:
        """Run a statement and return its rows."""
        cursor = self.connection.execute(statement, values)  # no literal
        return cursor.fetchall() if cursor.description else ()

    def run_many(self, statement: str, rows: Sequence[Row]) -> None:
        """Run a statement once for each row, in one round trip."""
        if any(isinstance(value, str) and NUL in value for row in rows for value in row):
            raise Unwritable
        try:
            self._cursor.executemany(statement, rows)
        except UnicodeEncodeError:
            raise Unwritable from None

    def spelt(self, text: str) -> str:
        """Return the text with lone surrogates and NUL spelt out."""
        return without_surrogates(text).replace(NUL, "\\x00")

    def check(self) -> None:
        """Do nothing: a server that is gone says so by itself."""

    def close(self) -> None:
        """Close the connection, and let go of the lock."""
        with suppress(psycopg.Error):
            self.connection.close()
