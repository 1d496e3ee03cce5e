"""Whoever edits, removes, adds, swaps or puts back what is in the record is noticed, whatever the way."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from chains import a_store, is_noticed, judged, outside
from coatcheck.core.recording.chain import entry_hash
from coatcheck.core.recording.notes import SigningKey
from coatcheck.model.chain import Checkpoint, EntryKind, FindingKind, Presented
from coatcheck.model.record import Receipt
from coatcheck.store.engines.directory import DATABASE_FILE

TRIALS = 250
"""Of each kind; the numbers that are stated were measured with 10,000."""

TABLES = {"record": "position", "settlement": "sequence", "change": "position"}

Made = tuple[Path, SigningKey, list[Checkpoint], list[Receipt]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Made:
    directory = tmp_path_factory.mktemp("chain") / "data"
    return (directory, *a_store(directory))


@pytest.fixture
def copy(whole: Made, tmp_path: Path) -> Made:
    directory = tmp_path / "data"
    shutil.copytree(whole[0], directory)
    shutil.copy(outside(whole[0]), outside(directory))
    return (directory, *whole[1:])


def edit(directory: Path, *statements: str, values: tuple[Any, ...] = ()) -> None:
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as writing, writing:
        for statement in statements:
            writing.execute(statement, values)


def test_a_record_that_nobody_touched_is_sound(copy: Made) -> None:
    directory, key, made, receipts = copy
    report = judged(directory, key, [Presented(key.public.log, r.seq, r.hash[:16]) for r in receipts])
    assert (report.sound, report.findings, report.unproven) == (True, (), 0)
    assert report.entries == report.head.seq == made[-1].seq
    assert (report.checkpoints, report.receipts) == (len(made), len(receipts))


EDITS = {
    "a column": (("UPDATE record SET subject = 'eve' WHERE tool = 'tool3'",), FindingKind.DERIVED),
    "a column and the bytes": (
        (
            "UPDATE record SET subject = 'eve', stored = CAST(replace(CAST(stored AS TEXT), '\"bob\"', '\"eve\"')"
            " AS BLOB) WHERE tool = 'tool4'",
        ),
        FindingKind.EDITED,
    ),
    "whose outcome": (
        ("UPDATE settlement SET position = -position WHERE sequence = 4",),
        FindingKind.DERIVED,
    ),
    "a removed entry": (
        ("DELETE FROM change WHERE position = (SELECT max(position) FROM change)",),
        FindingKind.MISSING,
    ),
    "two removed": (
        ("DELETE FROM settlement WHERE position = 1", "DELETE FROM record WHERE position = 1"),
        FindingKind.MISSING,
    ),
    "an end cut off": (
        (
            "DELETE FROM settlement WHERE sequence > 30",
            "DELETE FROM record WHERE position > 30",
            "DELETE FROM change WHERE position > 30",
        ),
        FindingKind.CUT,
    ),
    "an end cut off, and the rest fitted to it": (
        (
            "DELETE FROM settlement WHERE sequence > 30",
            "DELETE FROM record WHERE position > 30",
            "DELETE FROM change WHERE position > 30",
            "DELETE FROM checkpoint WHERE seq > 30",
            "UPDATE chain SET seq = 30, hash = (SELECT hash FROM (SELECT position AS n, hash FROM record"
            " UNION ALL SELECT sequence, hash FROM settlement UNION ALL SELECT position, hash FROM change) WHERE n = 30)",
        ),
        FindingKind.CUT,
    ),
    "an entry that was put in": (
        (
            "INSERT INTO record SELECT 500, randomblob(16), at, subject, grant_id, grant_label, route, server, method,"
            " tool, decision, rule, reason, client_ip, client_name, client_version, arguments, repeats, {more}"
            " stored, hash FROM record WHERE position = 1",
        ),
        FindingKind.INSERTED,
    ),
    "an entry from before the chain": (
        ("UPDATE record SET position = 0, stored = NULL, hash = NULL WHERE tool = 'tool19'",),
        FindingKind.MISSING,
    ),
    "an entry taken out of the chain": (
        ("UPDATE record SET stored = NULL, hash = NULL WHERE tool = 'tool7'",),
        FindingKind.INSERTED,
    ),
    "two that were swapped": (
        (
            "UPDATE change SET position = -1 WHERE position = (SELECT min(position) FROM change)",
            "UPDATE change SET position = (SELECT min(position) FROM change WHERE position > 0) - 3"
            " WHERE position = (SELECT max(position) FROM change)",
        ),
        FindingKind.MISSING,
    ),
    "a checkpoint's column": (("UPDATE checkpoint SET at = at + 1",), FindingKind.DERIVED),
    "a checkpoint's note": (
        ("UPDATE checkpoint SET note = replace(note, '2026', '2025')",),
        FindingKind.UNSIGNED,
    ),
    "where it begins": (("UPDATE chain SET before = 1",), FindingKind.MISSING),
    "its name": (("UPDATE chain SET log = '0123456789abcdef'",), FindingKind.FOREIGN),
    "where it stands": (("UPDATE chain SET hash = randomblob(32)",), FindingKind.EDITED),
    "that there is one": (("DELETE FROM chain",), FindingKind.DAMAGED),
}


@pytest.mark.parametrize(("statements", "what"), EDITS.values(), ids=EDITS)
def test_an_edit_is_found(copy: Made, statements: tuple[str, ...], what: FindingKind) -> None:
    directory, key, *_ = copy
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as reading:
        names = [row[1] for row in reading.execute("PRAGMA table_info(record)")]
    late = names[names.index("repeats") + 1 :]
    if "an entry that was put in" in statements or "{more}" in statements[0]:
        columns = ", ".join(names)
        picked = ", ".join({"position": "500", "id": "randomblob(16)"}.get(name, name) for name in names)
        statements = (f"INSERT INTO record ({columns}) SELECT {picked} FROM record WHERE position = 1",)
    assert late
    edit(directory, "PRAGMA foreign_keys = OFF", *statements)
    report = judged(directory, key)
    assert what in {finding.what for finding in report.findings}, report.findings


def test_a_whole_chain_written_anew_is_found_by_what_was_signed(copy: Made) -> None:
    directory, key, *_ = copy
    _rewrite(directory, lambda stored: stored.replace(b'"bob"', b'"eve"'))
    edit(directory, "UPDATE record SET subject = 'eve' WHERE subject = 'bob'", "DELETE FROM checkpoint")
    report = judged(directory, key)
    assert {FindingKind.FORKED, FindingKind.MISSING} <= {finding.what for finding in report.findings}
    outside(directory).write_text("")
    report = judged(directory, key)  # of what nobody kept elsewhere, nothing is left that could prove it
    assert [finding.what for finding in report.findings] == [FindingKind.UNSIGNED]
    assert "none in the store and none in" in report.findings[0].words
    assert report.unproven == report.entries


def test_one_receipt_finds_it_too(copy: Made) -> None:
    directory, key, _, receipts = copy
    _rewrite(directory, lambda stored: stored.replace(b'"bob"', b'"eve"'))
    edit(directory, "UPDATE record SET subject = 'eve' WHERE subject = 'bob'", "DELETE FROM checkpoint")
    outside(directory).write_text("")
    held = Presented(key.public.log, receipts[-1].seq, receipts[-1].hash[:16])
    report = judged(directory, key, [held])
    assert {finding.what for finding in report.findings} == {FindingKind.FORKED, FindingKind.UNSIGNED}


def _rewrite(directory: Path, change: Callable[[bytes], bytes]) -> None:
    """Change entries and chain all of them anew, as somebody with the database and this program could."""
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as writing, writing:
        from coatcheck.core.recording.chain import begin

        log, first, before = writing.execute("SELECT log, first, before FROM chain").fetchone()
        prev = begin(log, first, before).prev
        entries = []
        for table, key in TABLES.items():
            rows = writing.execute(f'SELECT {key}, stored FROM "{table}"').fetchall()
            entries += [(seq, table, key, stored) for seq, stored in rows]
        for seq, table, key, stored in sorted(entries):
            new = change(stored) if table == "record" else stored
            prev = entry_hash(seq, EntryKind(table), prev, new)
            writing.execute(f'UPDATE "{table}" SET stored = ?, hash = ? WHERE {key} = ?', (new, prev, seq))
        writing.execute("UPDATE chain SET hash = ?", (prev,))


def test_an_older_file_put_back_is_found(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    key, *_ = a_store(directory)
    old = (directory / DATABASE_FILE).read_bytes()
    from coatcheck.store.engines.sqlite import SqliteDatabase

    assert judged(directory, key).sound
    database = SqliteDatabase.open(directory)
    import asyncio

    from chains import fill

    _, later, _ = asyncio.run(fill(database, 5))
    database.close()
    with outside(directory).open("a") as file:
        file.write("".join(one.note for one in later))
    assert judged(directory, key).sound
    (directory / DATABASE_FILE).write_bytes(old)
    report = judged(directory, key)
    assert {finding.what for finding in report.findings} == {FindingKind.CUT}


# --- at random --------------------------------------------------------------------------------------


def _values(directory: Path) -> Any:
    with (
        suppress(sqlite3.Error, UnicodeError),
        closing(sqlite3.connect(directory / DATABASE_FILE)) as reading,
    ):
        reading.text_factory = bytes
        return [
            reading.execute(f'SELECT * FROM "{table}" ORDER BY 1').fetchall()
            for table in (*TABLES, "chain", "checkpoint")
        ]
    return None


def _random_value(chance: random.Random, old: Any) -> Any:
    if isinstance(old, bytes):
        at = chance.randrange(max(1, len(old)))
        return old[:at] + bytes([chance.randrange(256)]) + old[at + chance.randrange(2) :]
    if isinstance(old, int):
        return old + chance.choice([-1, 1, 1_000_000, -old])
    if isinstance(old, float):
        return old + chance.choice([1e-9, 1.0, -1.0])
    text = str(old)
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice("aZ0 é\x00") + text[at + chance.randrange(2) :]


def random_edits(whole: Made, place: Path, trials: int, seed: int) -> Iterator[tuple[bool, bool]]:
    """Yield for each trial whether something changed, and whether it was noticed: rows by SQL."""
    directory, key, *_ = whole
    chance = random.Random(seed)
    shutil.copy(outside(directory), outside(place))
    original = (directory / DATABASE_FILE).read_bytes()
    before = _values(directory)
    place.mkdir(mode=0o700)
    for _ in range(trials):
        (place / DATABASE_FILE).write_bytes(original)
        table = chance.choice([*TABLES, "record", "settlement"])
        with (
            closing(sqlite3.connect(place / DATABASE_FILE)) as writing,
            suppress(sqlite3.IntegrityError),
            writing,
        ):
            columns = [row[1] for row in writing.execute(f'PRAGMA table_info("{table}")')]
            column = chance.choice(columns)
            seqs = [row[0] for row in writing.execute(f'SELECT {TABLES[table]} FROM "{table}"')]
            seq = chance.choice(seqs)
            (old,) = writing.execute(
                f'SELECT "{column}" FROM "{table}" WHERE {TABLES[table]} = ?', (seq,)
            ).fetchone()
            if chance.randrange(10) == 0:
                writing.execute(f'DELETE FROM "{table}" WHERE {TABLES[table]} = ?', (seq,))
            else:
                writing.execute(
                    f'UPDATE "{table}" SET "{column}" = ? WHERE {TABLES[table]} = ?',
                    (_random_value(chance, old), seq),
                )
        yield _values(place) != before, is_noticed(place, key)


def random_bytes(whole: Made, place: Path, trials: int, seed: int) -> Iterator[tuple[bool, bool]]:
    """Yield the same where single bytes of the file are changed, anywhere in it."""
    directory, key, *_ = whole
    chance = random.Random(seed)
    shutil.copy(outside(directory), outside(place))
    original = (directory / DATABASE_FILE).read_bytes()
    before = _values(directory)
    held = [at for at in range(len(original)) if original[at]]  # most of the rest is free space
    place.mkdir(mode=0o700)
    for _ in range(trials):
        at = chance.choice(held)
        new = original[at] ^ (1 << chance.randrange(8))
        (place / DATABASE_FILE).write_bytes(original[:at] + bytes([new]) + original[at + 1 :])
        yield _values(place) != before, is_noticed(place, key)


@pytest.mark.parametrize("way", [random_edits, random_bytes])
def test_no_random_edit_is_missed(
    whole: Made, tmp_path: Path, way: Callable[[Made, Path, int, int], Iterator[tuple[bool, bool]]]
) -> None:
    tried = list(way(whole, tmp_path / "data", TRIALS, 6))
    changed = [noticed for differs, noticed in tried if differs]
    assert len(changed) > TRIALS // 4
    assert all(changed)
