"""Sealed parts are believed as far as the chain vouches for them, and their files are judged where they are at hand."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from coatcheck.app.keeping import verifying
from coatcheck.app.keeping.proof import Proof
from coatcheck.app.keeping.segments import SegmentFolder
from coatcheck.app.keeping.verifying import Archive, verify_store
from coatcheck.app.real import SystemEntropy
from coatcheck.core.recording.chain import entry_hash
from coatcheck.core.recording.notes import PublicKey, SigningKey
from coatcheck.core.recording.segments import SEAL, digest_of, sealing_of
from coatcheck.core.recording.stored import stored_change
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.chain import Checkpoint, EntryKind, FindingKind, Presented, Report
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.operator import LOCAL_ACTOR
from coatcheck.model.reading import Stretch
from coatcheck.model.record import Receipt, RecordFilter
from coatcheck.model.segment import Segment
from coatcheck.operations.exporting import Exports
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.retention import Retention
from coatcheck.store.chain import beginning_in
from coatcheck.store.engines.directory import DATABASE_FILE
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.records import retiring
from coatcheck.store.records.checkpoints import StoredCheckpoints
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.records.retiring import StoredSegments
from coatcheck.store.records.segments import segments_in
from coatcheck.store.records.whole import StoredReading
from ledgers import START, TickingClock, a_record, its_settlement

TABLES = {"record": "position", "settlement": "sequence", "change": "position"}
SEED = bytes(range(32))


class Place(NamedTuple):
    """A data directory with its store, the folder of segments, the notes outside, and receipts of all calls."""

    home: Path
    key: SigningKey
    receipts: Sequence[Receipt]

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def segments(self) -> Path:
        return self.home / "segments"

    def open(self) -> SqliteDatabase:
        return SqliteDatabase.open(self.data)

    def edit(self, *statements: str, values: tuple[Any, ...] = ()) -> None:
        with closing(sqlite3.connect(self.data / DATABASE_FILE)) as writing, writing:
            for statement in statements:
                writing.execute(statement, values)

    def judged(self, *receipts: Receipt, whole: bool = False, archive: bool = True) -> Report:
        outside = Proof([self.key.public], self.home / "checkpoints.log", may_lack=True)
        held = [Presented(self.key.public.log, one.seq, one.hash[:16]) for one in receipts]
        folder = Archive(self.segments, whole=whole) if archive else None
        return verify_store(self.data, None, outside, held, archive=folder)


def found(report: Report) -> set[FindingKind]:
    return {finding.what for finding in report.findings}


def retention_of(database: SqliteDatabase, place: Path, key: SigningKey, *old: PublicKey) -> Retention:
    keys = [key.public, *old]
    clock, checkpoints = TickingClock(), StoredCheckpoints(database)

    async def sign() -> Checkpoint:
        made = key.sign(await checkpoints.where(), clock.now())
        await checkpoints.add(made)
        with (place / "checkpoints.log").open("a") as file:
            file.write(made.note)
        return made

    segments = StoredSegments(database, Proof(keys, None).why_not)
    files = SegmentFolder(place / "segments", keys, clock)
    exports = Exports(StoredReading(database), sign)
    return Retention(segments, files, exports, Scribe(clock, SystemEntropy()), clock, None, key.sign_sealing)


async def _made(home: Path) -> Place:
    """Ten calls, of which the first three and then the next two are sealed, in two parts."""
    database = SqliteDatabase.open(home / "data")
    try:
        ledger = await StoredLedger.open(database, TickingClock())
        key = SigningKey(ledger.log, SEED)
        receipts = []
        for number in range(10):
            record = a_record(at=START + timedelta(seconds=number), subject=f"ann{number}")
            receipts.append(
                await ledger.record_settled(record, its_settlement(record, credentials=("key@1",)))
            )
        await ledger.close()
        retention = retention_of(database, home, key)
        for seconds in (3, 5):
            assert await retention.seal(START + timedelta(seconds=seconds), None, LOCAL_ACTOR) is not None
        return Place(home, key, receipts)
    finally:
        database.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return asyncio.run(_made(tmp_path_factory.mktemp("sealed")))


@pytest.fixture
def place(made: Place, tmp_path: Path) -> Place:
    home = tmp_path / "copy"
    shutil.copytree(made.home, home)
    return made._replace(home=home)


def test_a_store_with_sealed_parts_is_sound_with_its_files_and_without(place: Place) -> None:
    report = place.judged()
    assert (report.findings, report.lacking, report.sealed, report.entries) == ((), (), 10, 12)
    whole = place.judged(whole=True)
    assert (whole.findings, whole.lacking, whole.sealed, whole.entries) == ((), (), 0, 22)
    assert whole.checkpoints == report.checkpoints  # all were made after the sealed parts


def test_the_receipt_of_a_sealed_call_is_proven_with_its_file(place: Place) -> None:
    first = place.receipts[0]
    report = place.judged(first)
    assert (report.sound, report.receipts, report.sealed) == (True, 1, 4)
    without = place.judged(first, archive=False)
    assert (without.found, without.receipts, without.sound) == (0, 0, False)
    assert "coatcheck-" in without.lacking[0]
    assert "--segments" in without.lacking[0]
    assert found(place.judged(Receipt(first.seq, bytes(32)))) == {FindingKind.FORKED}


def test_a_file_that_is_another_or_gone_is_found(place: Place) -> None:
    first, second = sorted(place.segments.iterdir())
    whole = first.read_bytes()
    first.write_bytes(gzip.compress(gzip.decompress(whole).replace(b"ann1", b"eve1")))
    assert found(place.judged(whole=True)) == {FindingKind.DAMAGED}
    first.write_bytes(whole)
    second.unlink()
    assert found(place.judged(whole=True)) == {FindingKind.DAMAGED}
    assert place.judged().sound


CELLS = {
    "first": "first - 1",
    "last": "last + 1",
    "prev": "randomblob(32)",
    "hash": "randomblob(32)",
    "entries": "entries + 1",
    "at": "at + 1",
    "file": "file || 'x'",
    "sha256": "replace(sha256, substr(sha256, 1, 1), 'x')",
}


@pytest.mark.parametrize("which", ["min", "max"])
@pytest.mark.parametrize("column", CELLS)
async def test_every_cell_of_the_table_is_vouched_for(place: Place, column: str, which: str) -> None:
    place.edit(
        f'UPDATE segment SET "{column}" = {CELLS[column]} WHERE first = (SELECT {which}(first) FROM segment)'
    )
    assert not place.judged().sound
    await _nothing_is_removed(place)


@pytest.mark.parametrize("which", ["min", "max"])
def test_a_row_that_is_gone_is_found(place: Place, which: str) -> None:
    place.edit(f"DELETE FROM segment WHERE first = (SELECT {which}(first) FROM segment)")
    assert {FindingKind.DERIVED, FindingKind.MISSING} & found(place.judged())
    place.edit("DELETE FROM segment")
    assert FindingKind.MISSING in found(place.judged())


def test_rows_that_are_in_a_file_and_were_put_back_are_found(place: Place) -> None:
    place.edit(
        "CREATE TEMP TABLE one AS SELECT * FROM record ORDER BY position LIMIT 1",
        "UPDATE one SET position = 3, id = randomblob(16)",
        "INSERT INTO record SELECT * FROM one",
    )
    assert FindingKind.INSERTED in found(place.judged())


async def _nothing_is_removed(place: Place) -> None:
    database = place.open()
    try:
        before = _rows(place)
        retention = retention_of(database, place.home, place.key)
        with pytest.raises(LedgerUnavailable, match="nothing is removed"):
            await retention.seal(START + timedelta(days=1), None, LOCAL_ACTOR)
        assert _rows(place) == before
    finally:
        database.close()


def _rows(place: Place) -> dict[str, int]:
    with closing(sqlite3.connect(place.data / DATABASE_FILE)) as reading:
        return {
            name: reading.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in (*TABLES, "used")
        }


# --- a part that nobody sealed ------------------------------------------------------------------------


def _falsely_sealed(place: Place, through: int, *, sealing: str, remove: bool) -> None:
    """Say that entries up to a number are in a file, as somebody with the database could.

    `sealing`: `none`, or a change at the end of the chain with a note that is `false` or from `another` key.
    """
    database = place.open()
    try:
        beginning, segments = database.read_now(lambda r: (beginning_in(r), segments_in(r)))
    finally:
        database.close()
    after = segments[-1]
    with closing(sqlite3.connect(place.data / DATABASE_FILE)) as writing, writing:
        entry = " UNION ALL ".join(f"SELECT {key} AS seq, hash FROM {name}" for name, key in TABLES.items())
        (hash,) = writing.execute(f"SELECT hash FROM ({entry}) WHERE seq = ?", (through,)).fetchone()
        row = Segment(
            after.last + 1,
            through,
            after.hash,
            hash,
            through - after.last,
            START,
            "coatcheck-x.jsonl.gz",
            "0" * 64,
        )
        writing.execute(
            'INSERT INTO segment ("first", "last", prev, hash, entries, at, file, sha256) VALUES (?,?,?,?,?,?,?,?)',
            (row.first, row.last, row.prev, row.hash, row.entries, 1_000_000, row.file, row.sha256),
        )
        if sealing != "none":
            digest = digest_of(beginning.prev, [*segments, row])
            notes = {
                "false": place.key.sign_sealing(bytes(32)),
                "another": SigningKey(beginning.log, bytes(32)).sign_sealing(digest),
            }
            _append(writing, sealing_of(row, digest, notes[sealing]), f"{row.first}-{row.last}")
        if remove:
            for name, key in TABLES.items():
                writing.execute(f"DELETE FROM {name} WHERE {key} <= ?", (through,))
            writing.execute("DELETE FROM used WHERE position <= ?", (through,))
            writing.execute("DELETE FROM checkpoint WHERE seq < ?", (through,))


def _append(writing: sqlite3.Connection, said: dict[str, Any], name: str) -> None:
    seq, prev = writing.execute("SELECT seq, hash FROM chain").fetchone()
    made = Change(
        uuid4(), START, "local", "admin", "socket", SEAL, ObjectKind.RECORD, name, "x", "", json.dumps(said)
    )
    stored = stored_change(made)
    hash = entry_hash(seq + 1, EntryKind.CHANGE, prev, stored)
    writing.execute(
        "INSERT INTO change (position, id, at, actor, role, origin, action, kind, object_id, object_name, before,"
        ' "after", because, stored, hash) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)',
        (
            seq + 1,
            made.id.bytes,
            int(START.timestamp() * 1_000_000),
            made.actor,
            made.role,
            made.origin,
            made.action,
            made.kind.value,
            made.object_id,
            made.object_name,
            made.before,
            made.after,
            made.because,
            stored,
            hash,
        ),
    )
    writing.execute("UPDATE chain SET seq = ?, hash = ?", (seq + 1, hash))


@pytest.mark.parametrize("sealing", ["none", "false", "another"])
async def test_a_part_that_nobody_sealed_hides_nothing(place: Place, sealing: str) -> None:
    assert place.judged().sound
    _falsely_sealed(place, 16, sealing=sealing, remove=False)
    assert FindingKind.MISSING in found(place.judged())
    await _nothing_is_removed(place)


@pytest.mark.parametrize("sealing", ["none", "false", "another"])
def test_what_was_removed_behind_a_part_that_nobody_sealed_is_found(place: Place, sealing: str) -> None:
    _falsely_sealed(place, 16, sealing=sealing, remove=True)
    report = place.judged()
    assert FindingKind.MISSING in found(report)
    assert any("are said to be in a file" in one.words for one in report.findings)


async def test_a_removal_that_stopped_in_the_middle_is_told_and_ended(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Exception):
        pass

    def stopping(writing: Any, first: int, last: int) -> None:
        if first > 14:
            raise Stop
        remove(writing, first, last)

    remove = retiring._remove
    monkeypatch.setattr(retiring, "SLICE", 2)
    monkeypatch.setattr(retiring, "_remove", stopping)
    database = place.open()
    retention = retention_of(database, place.home, place.key)
    with pytest.raises(Stop):
        await retention.seal(START + timedelta(seconds=8), None, LOCAL_ACTOR)
    report = place.judged()
    assert (report.findings, report.sound) == ((), False)
    assert "entries 15 to" in report.lacking[0]
    monkeypatch.setattr(retiring, "_remove", remove)
    await retention.segments.clear()
    assert place.judged().sound
    database.close()


def test_a_part_sealed_while_it_is_read_is_read_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    read = verifying._Judging._read
    trials: list[int] = []

    def sealing_first(self: Any) -> None:
        trials.append(1)
        if len(trials) == 1:
            asyncio.run(seal())
        read(self)

    async def seal() -> None:
        database = place.open()
        try:
            retention = retention_of(database, place.home, place.key)
            assert await retention.seal(START + timedelta(seconds=8), None, LOCAL_ACTOR) is not None
        finally:
            database.close()

    monkeypatch.setattr(verifying._Judging, "_read", sealing_first)
    assert place.judged().sound
    assert len(trials) == 2


async def test_a_part_of_before_the_key_was_changed_is_vouched_for_by_the_old_key(place: Place) -> None:
    new = SigningKey(place.key.public.log, bytes(range(1, 33)))
    for old, seals in (([], False), ([place.key.public], True)):
        database = place.open()
        try:
            retention = retention_of(database, place.home, new, *old)
            if seals:
                made = await retention.seal(START + timedelta(seconds=8), None, LOCAL_ACTOR)
                assert made is not None
            else:
                with pytest.raises(LedgerUnavailable, match="was signed with another key"):
                    await retention.seal(START + timedelta(seconds=8), None, LOCAL_ACTOR)
        finally:
            database.close()
    proof = Proof([new.public, place.key.public], place.home / "checkpoints.log")
    assert verify_store(place.data, None, proof, archive=Archive(place.segments, whole=True)).sound


async def test_nothing_is_left_out_of_an_export_on_the_word_of_the_table(place: Place) -> None:
    assert (await _stretch(place)).after == 10
    _falsely_sealed(place, 16, sealing="none", remove=False)
    with pytest.raises(LedgerUnavailable, match="entries 11 to 16 are said to be in a file"):
        await _stretch(place)


async def _stretch(place: Place) -> Stretch:
    database = place.open()
    try:
        return await StoredReading(database).stretch(RecordFilter())
    finally:
        database.close()
