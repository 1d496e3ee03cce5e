"""What somebody does to the tables beside the entries, so that what is missing seems to be in order.

Each is one edit, drawn by chance, and as well made as it can be without the key that signs.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from typing import Any, Final

from coatcheck.core.recording.chain import begin, entry_hash
from coatcheck.core.recording.segments import SEAL
from coatcheck.core.recording.stored import change_of, stored_change
from coatcheck.model.chain import EntryKind
from coatcheck.prove.copy import Copy, Row, delete, insert, opened
from coatcheck.prove.draws import Draws

_CELLS: Final = ("first", "last", "prev", "hash", "entries", "at", "file", "sha256")


def segment(copy: Copy, draws: Draws) -> str:
    """Change what is said of sealed parts; or say that entries were sealed that are just removed."""
    with opened(copy.path) as database:
        match draws.below(4):
            case 0:
                return _cell(copy, draws, database)
            case 1:
                database.execute("DELETE FROM segment")
                return "what was sealed forgotten"
            case 2:
                return f"{_hide(copy, draws, database)} hidden behind a row"
            case _:
                words = _hide(copy, draws, database)
                _seal(copy, database)
                return f"{words} hidden behind a row and a sealing"


def beginning(copy: Copy, draws: Draws) -> str:
    """Change where the chain begins or ends, or its name; with all that follows from that, or without."""
    with opened(copy.path) as database:
        log, first, before = database.execute("SELECT log, first, before FROM chain").fetchone()
        match draws.below(4):
            case 0:
                column = draws.one_of(["first", "before", "seq"])
                value: Any = draws.one_of([1, 2, 1_000, -1])
                database.execute(f"UPDATE chain SET {column} = {column} + ?", (value,))  # noqa: S608  # ours
                return f"{column} of the chain moved by {value}"
            case 1:
                column, value = draws.one_of([("log", draws.bytes(8).hex()), ("hash", draws.bytes(32))])
                database.execute(f"UPDATE chain SET {column} = ?", (value,))  # noqa: S608  # ours
                return f"{column} of the chain changed"
            case 2:
                last = copy.seqs[-1]
                _all_before(copy, database, log, last)
                return f"the chain begins after {last}, with all of it before"
            case _:
                delete(database, 1, copy.seqs[-1])
                for name in ("segment", "checkpoint", "used"):
                    database.execute(f"DELETE FROM {name}")  # noqa: S608  # ours
                start = begin(log, first, before)
                database.execute("UPDATE chain SET seq = ?, hash = ?", (first, start.prev))
                return "everything removed, as if nothing had been recorded"


def checkpoints(copy: Copy, draws: Draws) -> str:
    """Remove every checkpoint: from the store, from the file outside, or from both; or the file itself."""
    where = draws.one_of(["store", "outside", "file", "both", "all but the first", "signature"])
    if where in {"store", "both"}:
        with opened(copy.path) as database:
            database.execute("DELETE FROM checkpoint")
    if where == "all but the first":
        with opened(copy.path) as database:
            database.execute("DELETE FROM checkpoint WHERE seq > (SELECT min(seq) FROM checkpoint)")
        copy.outside.unlink()
    if where in {"outside", "both"}:
        copy.outside.write_bytes(b"")
    if where == "file":
        copy.outside.unlink()
    if where == "signature":
        lines = copy.notes.splitlines(keepends=True)
        signed = [at for at, line in enumerate(lines) if line.startswith("\u2014".encode())]
        del lines[draws.one_of(signed)]
        copy.outside.write_bytes(b"".join(lines))
    return f"checkpoints removed: {where}"


def settled(copy: Copy, draws: Draws) -> str:
    """Say that records of later have their outcome already, so that no start would look for those without."""
    position = copy.seqs[-1] + 1 + draws.below(1_000_000)
    with opened(copy.path) as database:
        database.execute("UPDATE settled_through SET position = ?", (position,))
    return f"all said to be settled up to {position}"


def _cell(copy: Copy, draws: Draws, database: sqlite3.Connection) -> str:
    row, column = copy.sealed(database), draws.one_of(_CELLS)
    value = row[column]
    if isinstance(value, bytes):
        changed: Any = draws.bytes(32)
    else:
        changed = value + 1 + draws.below(100) if isinstance(value, int) else f"{value}x"
    database.execute(f'UPDATE segment SET "{column}" = ?', (changed,))  # noqa: S608  # ours
    return f"{column} of a sealed part changed"


def _hide(copy: Copy, draws: Draws, database: sqlite3.Connection) -> str:
    """Remove the oldest entries, and say that they are in a file."""
    sealed, last = copy.sealed(database), draws.one_of(copy.seqs)
    first = sealed["last"] + 1
    made: Row = {"first": first, "last": last, "prev": sealed["hash"], "hash": copy.hash_of(last)}
    rest = {"entries": last - first + 1, "file": f"{first}-{last}.gz", "sha256": draws.bytes(32).hex()}
    insert(database, "segment", {**sealed, **made, **rest})
    delete(database, first, last)
    database.execute("DELETE FROM used WHERE position <= ?", (last,))
    database.execute("DELETE FROM checkpoint WHERE seq BETWEEN 1 AND ?", (last - 1,))
    return f"entries {first} to {last}"


def _seal(copy: Copy, database: sqlite3.Connection) -> None:
    """Add the change that a sealing has, with the signature of the one that there was."""
    row = next(one for one in copy.rows["change"] if one["action"] == SEAL)
    sealed = copy.sealed(database)
    said = {
        **json.loads(row["after"]),
        **{name: sealed[name] for name in ("first", "last", "file", "sha256")},
    }
    said |= {"prev": sealed["prev"].hex(), "hash": sealed["hash"].hex(), "entries": sealed["entries"]}
    old = change_of(row["stored"])
    stored = stored_change(replace(old, after=json.dumps(said)))
    seq, prev = database.execute("SELECT seq, hash FROM chain").fetchone()
    hash = entry_hash(seq + 1, EntryKind.CHANGE, prev, stored)
    database.execute("DELETE FROM change WHERE id = ?", (row["id"],))  # in the part that is hidden, or nearly
    added = {**row, "position": seq + 1, "after": json.dumps(said), "stored": stored, "hash": hash}
    insert(database, "change", added)
    database.execute("UPDATE chain SET seq = ?, hash = ?", (seq + 1, hash))


def _all_before(copy: Copy, database: sqlite3.Connection, log: str, last: int) -> None:
    count = 0
    for name in ("record", "settlement", "change"):
        database.execute(f"UPDATE {name} SET stored = NULL, hash = NULL")  # noqa: S608  # ours
        count += len(copy.rows[name])
    start = begin(log, last, count)
    database.execute("DELETE FROM segment")
    database.execute("DELETE FROM checkpoint")
    database.execute(
        "UPDATE chain SET first = ?, before = ?, seq = ?, hash = ?", (last, count, last, start.prev)
    )
