"""The store that a proof edits, as a file: what it is put back to, and where its entries are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from coatcheck.prove.pages import Pages

KEYS: Final = {"record": "position", "settlement": "sequence", "change": "position"}
"""The tables whose rows are entries, with the column that has their number."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Copy:
    """The store that is edited: `path` is the file, `whole` its bytes before each edit.

    `older` are the bytes of it from before its last checkpoint; `rows` are all entries, `ranges` the places
    of the bytes that hold them. `reading` is a digest of all that can be read in it. `outside` is the file of
    checkpoints, and `notes` what it holds.
    """

    path: Path
    whole: bytes
    older: bytes
    rows: dict[str, list[Row]]
    ranges: list[range]
    reading: bytes
    outside: Path
    notes: bytes

    @classmethod
    def of(cls, path: Path, older: bytes, outside: Path) -> Copy:
        """Read a store that nobody has open."""
        whole = path.read_bytes()
        pages = Pages(whole)
        with opened(path) as database:
            rows = {name: _rows(database, name) for name in KEYS}
            ranges = [one for name in KEYS for one in pages.bytes_of(_root(database, name))]
            reading = _reading(database)
        return cls(path, whole, older, rows, ranges, reading, outside, outside.read_bytes())

    def restore(self) -> None:
        """Undo whatever was done to the files."""
        for end in ("-wal", "-shm"):
            self.path.with_name(f"{self.path.name}{end}").unlink(missing_ok=True)
        self.path.write_bytes(self.whole)
        self.outside.write_bytes(self.notes)

    def reads_the_same(self) -> bool:
        """Tell whether the file, as it is now, says in every row and column what it said before.

        Some bytes mean nothing: a row has a type for its own number, which is kept elsewhere, and SQLite does
        not look at it.
        """
        if not self.outside.exists() or self.outside.read_bytes() != self.notes:
            return False
        try:
            with opened(self.path) as database:
                return _reading(database) == self.reading
        except sqlite3.Error:
            return False

    @property
    def seqs(self) -> list[int]:
        """The numbers of all entries, in order."""
        return sorted(row[KEYS[name]] for name, rows in self.rows.items() for row in rows)

    def hash_of(self, seq: int) -> bytes:
        """Return the hash of an entry."""
        for name, rows in self.rows.items():
            for row in rows:
                if row[KEYS[name]] == seq:
                    return bytes(row["hash"])
        raise LookupError(seq)

    def sealed(self, database: sqlite3.Connection) -> Row:
        """Return the row of the last part that is in a file."""
        found = database.execute("SELECT * FROM segment ORDER BY last DESC LIMIT 1")
        names = [column[0] for column in found.description]
        return dict(zip(names, found.fetchone(), strict=True))


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to edit it by SQL, in one transaction."""
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("BEGIN")
        yield database
        database.execute("COMMIT")
    finally:
        database.close()


def _reading(database: sqlite3.Connection) -> bytes:
    digest = sha256()
    schema = database.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    ).fetchall()
    for name, sql in schema:
        digest.update(repr((name, sql)).encode())
        for row in database.execute(f'SELECT * FROM "{name}"'):  # noqa: S608  # a name of the schema
            digest.update(repr(row).encode("utf-8", "surrogatepass"))
    return digest.digest()


def _rows(database: sqlite3.Connection, name: str) -> list[Row]:
    found = database.execute(f"SELECT * FROM {name} WHERE hash IS NOT NULL")  # noqa: S608  # our names
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _root(database: sqlite3.Connection, name: str) -> int:
    found = database.execute("SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?", (name,))
    return int(found.fetchone()[0])


def put(database: sqlite3.Connection, name: str, values: Row, seq: int) -> None:
    """Write other values into one entry."""
    assignments = ", ".join(f'"{key}" = ?' for key in values)
    database.execute(
        f"UPDATE {name} SET {assignments} WHERE {KEYS[name]} = ?",  # noqa: S608  # our names
        (*values.values(), seq),
    )


def insert(database: sqlite3.Connection, name: str, row: Row) -> None:
    """Add a row."""
    names = ", ".join(f'"{key}"' for key in row)
    marks = ", ".join("?" * len(row))
    database.execute(f"INSERT INTO {name} ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608


def delete(database: sqlite3.Connection, first: int, last: int) -> None:
    """Remove entries."""
    for name, key in KEYS.items():
        database.execute(f"DELETE FROM {name} WHERE {key} BETWEEN ? AND ?", (first, last))  # noqa: S608
