"""What somebody does to a record who can write to the database: one edit each, drawn by chance.

He knows the form of the chain and may mend it behind his edit; he does not have the key that signs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from coatcheck.core.recording.chain import entry_hash
from coatcheck.model.chain import EntryKind
from coatcheck.prove.copy import KEYS, Copy, Row, delete, insert, opened, put
from coatcheck.prove.draws import Draws
from coatcheck.prove.hiding import beginning, checkpoints, segment, settled


def byte(copy: Copy, draws: Draws) -> str:
    """Change one byte of the pages that hold entries."""
    sizes = [len(one) for one in copy.ranges]
    place = draws.below(sum(sizes))
    for found in copy.ranges:
        if place < len(found):
            break
        place -= len(found)
    at = found[place]
    image = bytearray(copy.whole)
    image[at] ^= 1 + draws.below(255)
    copy.path.write_bytes(image)
    return f"byte {at}: {copy.whole[at]:#04x} became {image[at]:#04x}"


def column(copy: Copy, draws: Draws) -> str:
    """Write something else into one column of one entry."""
    name, row = _entry(copy, draws)
    key = draws.one_of([one for one in row if one != KEYS[name]])
    value = _otherwise(row[key], draws)
    with opened(copy.path) as database:
        put(database, name, {key: value}, row[KEYS[name]])
    return f"{name} {row[KEYS[name]]}: {key} became {str(value)[:40]!r}"


def number(copy: Copy, draws: Draws) -> str:
    """Give one entry another number: a new one, or that of another entry, which is gone then."""
    name, row = _entry(copy, draws)
    old = row[KEYS[name]]
    new = draws.one_of([one for one in (*copy.seqs, copy.seqs[-1] + 1, copy.seqs[0] - 1) if one != old])
    with opened(copy.path) as database:
        database.execute(f"DELETE FROM {name} WHERE {KEYS[name]} = ?", (new,))  # noqa: S608  # our names
        put(database, name, {KEYS[name]: new}, old)
    return f"{name} {old} became {new}"


def deletion(copy: Copy, draws: Draws) -> str:
    """Delete one entry or several that follow each other."""
    seqs = copy.seqs
    first = draws.below(len(seqs))
    gone = seqs[first : first + 1 + draws.below(4)]
    with opened(copy.path) as database:
        delete(database, gone[0], gone[-1])
    return f"entries {gone[0]} to {gone[-1]} deleted"


def insertion(copy: Copy, draws: Draws) -> str:
    """Add an entry: a copy of another, under a number of its own, with a hash that fits its predecessor."""
    name, row = _entry(copy, draws)
    seqs = copy.seqs
    prev = draws.one_of(seqs)
    added = {**row, KEYS[name]: draws.one_of([seqs[0] - 1, seqs[-1] + 1, seqs[-1] + 2])}
    for unique in {"id", "position"} & set(added) - {KEYS[name]}:
        added[unique] = draws.bytes(16) if unique == "id" else added[unique] + 1_000_000
    added["hash"] = entry_hash(added[KEYS[name]], EntryKind(name), copy.hash_of(prev), row["stored"])
    with opened(copy.path) as database:
        insert(database, name, added)
    return f"{name} {added[KEYS[name]]} added"


def swap(copy: Copy, draws: Draws) -> str:
    """Let two entries of one kind change places."""
    name = draws.one_of([one for one, rows in copy.rows.items() if len(rows) > 1])
    first = draws.below(len(copy.rows[name]))
    second = (first + 1 + draws.below(len(copy.rows[name]) - 1)) % len(copy.rows[name])
    one, other = (copy.rows[name][at][KEYS[name]] for at in (first, second))
    with opened(copy.path) as database:
        for old, new in ((one, -1), (other, one), (-1, other)):
            put(database, name, {KEYS[name]: new}, old)
    return f"{name} {one} and {other} swapped"


def truncation(copy: Copy, draws: Draws) -> str:
    """Cut the record, with its checkpoints in the store, and let the store say that it ends there."""
    seqs = copy.seqs
    last = draws.one_of(seqs[:-1])
    with opened(copy.path) as database:
        delete(database, last + 1, seqs[-1])
        database.execute("DELETE FROM checkpoint WHERE seq > ?", (last,))
        database.execute("UPDATE chain SET seq = ?, hash = ?", (last, copy.hash_of(last)))
    return f"cut after entry {last}"


def forgery(copy: Copy, draws: Draws) -> str:
    """Edit the stored bytes of an entry, and make every hash from there on anew."""
    name, row = _entry(copy, draws)
    seq = row[KEYS[name]]
    stored = bytearray(row["stored"])
    stored[draws.below(len(stored))] ^= 1 + draws.below(255)
    chained = sorted((one[KEYS[kind]], kind, one) for kind, rows in copy.rows.items() for one in rows)
    at = [number for number, _, _ in chained].index(seq)
    with opened(copy.path) as database:
        hash = chained[at - 1][2]["hash"] if at else copy.sealed(database)["hash"]
        for number, kind, one in chained[at:]:
            content = bytes(stored) if number == seq else one["stored"]
            hash = entry_hash(number, EntryKind(kind), hash, content)
            put(database, kind, {"stored": content, "hash": hash}, number)
        database.execute("UPDATE chain SET hash = ?", (hash,))
    return f"{name} {seq} edited, and every hash after it mended"


def use(copy: Copy, draws: Draws) -> str:
    """Change what the store says of which call used which credential: by that it is searched, not proven."""
    with opened(copy.path) as database:
        rows = database.execute("SELECT credential, position, version FROM used").fetchall()
        row = draws.one_of(rows)
        position = draws.one_of([one for one in copy.seqs if one != row[1]])
        match draws.below(4):
            case 0:
                change, values = "deleted", None
            case 1:
                change, values = "given to another credential", (f"{row[0]}-x", row[1], row[2])
            case 2:
                change, values = "given another version", (row[0], row[1], row[2] + 1)
            case _:
                change, values = f"moved to {position}", (row[0], position, row[2])
        database.execute("DELETE FROM used WHERE credential = ? AND position = ? AND version = ?", row)
        if values is not None:
            database.execute(
                "INSERT OR REPLACE INTO used (credential, position, version) VALUES (?, ?, ?)", values
            )
    return f"use {row[:2]} {change}"


def rollback(copy: Copy, draws: Draws) -> str:  # noqa: ARG001  # there is one older file
    """Put an older copy of the whole file back."""
    copy.path.write_bytes(copy.older)
    return "an older file put back"


EDITS: Final[dict[str, tuple[int, Callable[[Copy, Draws], str]]]] = {
    "bytes of pages": (50, byte),
    "columns": (15, column),
    "uses": (5, use),
    "numbers": (6, number),
    "deletions": (6, deletion),
    "insertions": (5, insertion),
    "swaps": (5, swap),
    "truncations": (4, truncation),
    "forged chains": (3, forgery),
    "older files": (1, rollback),
    "sealed parts": (8, segment),
    "beginnings": (4, beginning),
    "checkpoints": (4, checkpoints),
    "settled marks": (1, settled),
}
"""Every edit by its name, with its weight."""


def _entry(copy: Copy, draws: Draws) -> tuple[str, Row]:
    name = draws.one_of([one for one, rows in copy.rows.items() if rows])
    return name, draws.one_of(copy.rows[name])


def _otherwise(value: Any, draws: Draws) -> Any:
    """Return another value that the column takes: of the same kind most times."""
    kind = draws.below(10)
    if kind == 0 and not isinstance(value, bytes):
        return f"{value}-" if isinstance(value, str) else str(value) + "x"
    if isinstance(value, bytes) and value:
        changed = bytearray(value)
        changed[draws.below(len(changed))] ^= 1 + draws.below(255)
        return bytes(changed)
    if isinstance(value, (int, float)):
        return value + (1 + draws.below(1_000_000))
    return f"{value or ''}{draws.one_of(['x', ' ', '0', 'admin'])}"
