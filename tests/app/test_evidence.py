"""Bundles and exports of a record that somebody edited: no call is left out, and the edit is told."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chains import SEED, a_change
from coatcheck.app.keeping.evidence import Checked, check_evidence
from coatcheck.app.keeping.files import verify_file
from coatcheck.app.keeping.proof import Proof
from coatcheck.core.recording.notes import PublicKey, SigningKey
from coatcheck.errors import ConfigError
from coatcheck.model.chain import Checkpoint
from coatcheck.model.record import Outcome, RecordFilter, Verdict
from coatcheck.operations.evidence import Bundles, Grants
from coatcheck.operations.exporting import ExportFormat, Exports
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.records.checkpoints import StoredCheckpoints
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.records.whole import StoredReading
from coatcheck.store.registry.changes import insert_changes
from doubles.clock import HandClock
from ledgers import START, TickingClock, a_record, its_settlement

CALLS = 30


@dataclass
class Desk:
    """A store with calls, and what exports it."""

    directory: Path
    database: SqliteDatabase
    key: SigningKey
    alarms: list[str] = field(default_factory=list)
    older: list[PublicKey] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exports = Exports(StoredReading(self.database), self._sign, self.alarms.append)

    async def _sign(self) -> Checkpoint:
        store = StoredCheckpoints(self.database)
        made = self.key.sign(await store.where(), START)
        await store.add(made)
        return made

    async def export(self, wanted: RecordFilter, form: ExportFormat = ExportFormat.JSONL) -> bytes:
        return b"".join([piece async for piece in self.exports.pieces(wanted, form)])

    async def bundle(self, wanted: RecordFilter, path: Path) -> Checked:
        bundles = Bundles(self.exports, self.key, lambda: Grants((), ()), HandClock(), "1", self.older)
        with (path.parent / "scratch").open("w+b") as scratch, path.open("w+b") as file:
            await bundles.write(wanted, "ann", scratch, file)
        return check_evidence(path, [self.key.public, *self.older])

    def edit(self, statement: str) -> None:
        """Do what somebody does who can write the file."""
        connection = sqlite3.connect(self.directory / "coatcheck.sqlite3")
        assert connection.execute(statement).rowcount
        connection.commit()
        connection.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    directory = tmp_path / "data"
    directory.mkdir()
    database = SqliteDatabase.open(directory)
    ledger = await StoredLedger.open(database, TickingClock())
    for number in range(CALLS):
        verdict = Verdict.DENIED if number % 5 == 4 else Verdict.ALLOWED
        outcome = Outcome.DENIED if number % 5 == 4 else Outcome.TIMEOUT if number % 5 == 3 else Outcome.OK
        record = a_record(
            at=START + timedelta(seconds=number),
            subject="alice" if number % 3 else "bob",
            grant_id=f"file-{number % 3}",
            grant_label=f"=laptop {number % 3}",
            decision=verdict,
        )
        uses = () if verdict is Verdict.DENIED else ("alpha@1",)
        await ledger.record_settled(record, its_settlement(record, outcome, credentials=uses))
    change = a_change(7)
    await database.write_chained(lambda writing, growth: insert_changes(writing, growth, [change]))
    await ledger.record(a_record(at=START + timedelta(seconds=CALLS), subject="alice", grant_id="file-1"))
    yield Desk(directory, database, SigningKey(ledger.log, SEED))
    await ledger.close()
    database.close()


def records_in(text: bytes) -> set[int]:
    """Return the numbers of the calls that an export has whole."""
    lines = [json.loads(line) for line in text.splitlines()]
    return {line["seq"] for line in lines if line.get("kind") == "record" and "stored" in line}


FIRST = RecordFilter(since=START + timedelta(seconds=10), until=START + timedelta(seconds=20))

EDITS: dict[str, tuple[str, RecordFilter]] = {
    "whose it was": ("UPDATE record SET subject = 'bob' WHERE position = 27", RecordFilter(subject="alice")),
    "by which grant": (
        "UPDATE record SET grant_id = 'file-0' WHERE position = 27",
        RecordFilter(grant="file-1"),
    ),
    "how it ended": (
        "UPDATE settlement SET outcome = 'ok' WHERE position = 27",
        RecordFilter(outcome=Outcome.TIMEOUT),
    ),
    "with what": ("DELETE FROM used WHERE position = 3", RecordFilter(credential="alpha")),
    "when, at the beginning": ("UPDATE record SET at = at - 3600000000 WHERE position = 21", FIRST),
    "when, at the end": ("UPDATE record SET at = at + 3600000000 WHERE position = 39", FIRST),
    "when, all of it": (
        "UPDATE record SET at = at + 3600000000 WHERE position BETWEEN 21 AND 39",
        FIRST,
    ),
    "which outcome": ("UPDATE settlement SET position = 9999 WHERE position = 39", FIRST),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edited_column_hides_no_call_from_an_export(desk: Desk, edit: str) -> None:
    statement, wanted = EDITS[edit]
    before = records_in(await desk.export(wanted))
    rows = (await desk.export(wanted, ExportFormat.CSV)).splitlines()
    assert before
    assert not desk.alarms
    desk.edit(statement)
    assert records_in(await desk.export(wanted)) == before
    after = (await desk.export(wanted, ExportFormat.CSV)).splitlines()
    assert sorted(after) == sorted(rows)
    assert bool(desk.alarms) == (edit != "with what")
    assert all("the record was changed" in alarm for alarm in desk.alarms)


@pytest.mark.parametrize("edit", [one for one in EDITS if one not in {"with what", "how it ended"}])
async def test_evidence_has_the_call_and_says_that_its_columns_were_edited(
    desk: Desk, tmp_path: Path, edit: str
) -> None:
    statement, wanted = EDITS[edit]
    good = await desk.bundle(wanted, tmp_path / "good.zip")
    assert good.sound, good
    desk.edit(statement)
    checked = await desk.bundle(wanted, tmp_path / "bad.zip")
    assert not checked.sound
    assert checked.report is not None
    assert any("do not say what it says" in one.words for one in checked.report.findings)
    assert desk.alarms
    for name in ("calls.csv", "refusals.csv", "by-grant.csv"):
        assert member(tmp_path / "bad.zip", name) == member(tmp_path / "good.zip", name)


async def test_evidence_of_a_time_before_the_key_was_changed(desk: Desk, tmp_path: Path) -> None:
    new, old = SigningKey(desk.key.public.log, bytes(range(32))), desk.key
    await desk._sign()
    desk.key = new
    path = tmp_path / "bundle.zip"
    assert not (await desk.bundle(RecordFilter(until=START + timedelta(seconds=9)), path)).sound
    desk.older = [old.public]
    checked = await desk.bundle(RecordFilter(until=START + timedelta(seconds=9)), path)
    assert (checked.sound, checked.key) == (True, new.public.text)
    assert check_evidence(path, []).sound


async def test_an_export_with_an_edited_column_is_not_sound(desk: Desk, tmp_path: Path) -> None:
    file, proof = tmp_path / "record.jsonl", Proof([desk.key.public], None)
    wanted = RecordFilter(subject="alice")
    file.write_bytes(await desk.export(wanted))
    assert verify_file(file, proof).sound
    desk.edit("UPDATE record SET subject = 'bob' WHERE position = 27")
    file.write_bytes(await desk.export(wanted))
    assert [one.what for one in verify_file(file, proof).findings] == ["derived"]


async def test_an_export_without_an_entry_is_refused(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "record.jsonl"
    file.write_bytes((await desk.export(RecordFilter())).splitlines(keepends=True)[0])
    with pytest.raises(ConfigError, match="has no entry"):
        verify_file(file, Proof([desk.key.public], None))


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def member(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as bundle:
        return bundle.read(name)


# --- tables of a bundle ------------------------------------------------------------------------------------------


def _without_a_row(content: bytes) -> bytes:
    return b"".join(content.splitlines(keepends=True)[:-1])


def _with_another_outcome(content: bytes) -> bytes:
    assert b",timeout," in content
    return content.replace(b",timeout,", b",ok,", 1)


def _with_a_row_twice(content: bytes) -> bytes:
    return content + content.splitlines(keepends=True)[-1]


def _with_another_count(content: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(content.decode())))
    rows[1][3] = "1"
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _as_sound(content: bytes) -> bytes:
    told = json.loads(content)
    told["entries"] += 1
    return json.dumps(told).encode()


FORGED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a call less": ("calls.csv", _without_a_row),
    "a refusal less": ("refusals.csv", _without_a_row),
    "another outcome": ("calls.csv", _with_another_outcome),
    "a call more": ("calls.csv", _with_a_row_twice),
    "another count": ("by-grant.csv", _with_another_count),
    "a change less": ("changes.jsonl", lambda _: b""),
    "another look": ("verify.json", _as_sound),
}


@pytest.mark.parametrize("forged", FORGED)
async def test_a_signed_table_that_the_entries_do_not_bear_out_is_found(
    desk: Desk, tmp_path: Path, forged: str
) -> None:
    """Not even whoever has the key can sign a table that tells something else than the entries in the bundle."""
    path, name = tmp_path / "bundle.zip", FORGED[forged][0]
    assert (await desk.bundle(RecordFilter(), path)).sound
    with zipfile.ZipFile(path) as bundle:
        members = {one: bundle.read(one) for one in bundle.namelist()}
    members[name] = FORGED[forged][1](members[name])
    checked = signed(desk, members, tmp_path / "forged.zip")
    assert checked.wrongs == (f"{name} does not tell what record.jsonl does",)


def signed(desk: Desk, members: dict[str, bytes], path: Path) -> Checked:
    """Write members with a manifest and a signature that fit."""
    from hashlib import sha256

    manifest: dict[str, Any] = json.loads(members["manifest.json"])
    for one in manifest["files"]:
        content = members[one["name"]]
        one.update(bytes=len(content), sha256=sha256(content).hexdigest())
    raw = json.dumps(manifest).encode()
    note = desk.key.sign_evidence(sha256(raw).digest()).encode()
    write(path, [*(members | {"manifest.json": raw, "manifest.sig": note}).items()])
    return check_evidence(path, [desk.key.public])


def write(path: Path, members: list[tuple[str, bytes]]) -> None:
    """Write members as the gateway does."""
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in members:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with bundle.open(info, "w", force_zip64=not name.startswith("manifest.")) as member:
                member.write(content)


# --- the form of the file ----------------------------------------------------------------------------------------


def _junk_before(raw: bytes) -> bytes:
    return b"#!/bin/sh\nexit\n" + raw


def _junk_between(raw: bytes) -> bytes:
    """Put bytes before the directory, and have the end say where it is now."""
    at = raw.rindex(b"PK\x05\x06")
    start = int.from_bytes(raw[at + 16 : at + 20], "little")
    end = raw[:start] + b"more" + raw[start:at] + raw[at : at + 16] + (start + 4).to_bytes(4, "little")
    return end + raw[at + 20 :]


def _junk_after(raw: bytes) -> bytes:
    return raw[:-2] + (4).to_bytes(2, "little") + b"more"


@pytest.mark.parametrize("spoil", [_junk_before, _junk_between, _junk_after])
async def test_a_bundle_with_other_bytes_in_it_is_refused(
    desk: Desk, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "bundle.zip"
    assert (await desk.bundle(RecordFilter(), path)).sound
    path.write_bytes(spoil(path.read_bytes()))
    assert "calls.csv" in zipfile.ZipFile(path).namelist()  # others read it all the same
    with pytest.raises(ConfigError, match="is no bundle of evidence: it has other bytes"):
        check_evidence(path, [desk.key.public])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["record.jsonl", "calls.csv", "manifest.json"])
async def test_a_bundle_with_something_twice_is_refused(desk: Desk, tmp_path: Path, name: str) -> None:
    path = tmp_path / "bundle.zip"
    assert (await desk.bundle(RecordFilter(), path)).sound
    with zipfile.ZipFile(path) as bundle:
        members = [(one, bundle.read(one)) for one in bundle.namelist()]
        again = bundle.read(name)
    write(path, members)
    assert check_evidence(path, [desk.key.public]).sound
    for place in (0, len(members)):
        write(path, [*members[:place], (name, again), *members[place:]])
        with pytest.raises(ConfigError, match=f"is no bundle of evidence: {name} is in it more than once"):
            check_evidence(path, [desk.key.public])


async def test_damage_is_never_more_than_an_answer(desk: Desk, tmp_path: Path) -> None:
    path, damaged = tmp_path / "bundle.zip", tmp_path / "damaged.zip"
    assert (await desk.bundle(RecordFilter(), path)).sound
    raw, right = path.read_bytes(), contents(path)
    for at in range(0, len(raw), max(1, len(raw) // 300)):
        damaged.write_bytes(raw[:at] + bytes([raw[at] ^ 0x55]) + raw[at + 1 :])
        try:
            sound = check_evidence(damaged, [desk.key.public]).sound
        except ConfigError:
            continue
        assert not sound or contents(damaged) == right, at  # the same packed in another way
    shutil.copy(path, damaged)
    assert check_evidence(damaged, [desk.key.public]).sound


async def test_no_bit_around_the_packed_members_can_be_changed(desk: Desk, tmp_path: Path) -> None:
    """The day, the mode or the name that a header has beside the directory, and the last bits of what is packed."""
    path, damaged = tmp_path / "bundle.zip", tmp_path / "damaged.zip"
    assert (await desk.bundle(RecordFilter(), path)).sound
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as bundle:
        starts = [one.header_offset for one in bundle.infolist()]
        directory = bundle.start_dir
    places = {at + step for at in starts for step in range(30)} | {at - 1 for at in starts[1:]}
    for at in sorted(places | {directory - 1} | set(range(directory, len(raw), 3))):
        for bit in (1 << at % 8, 0x80):
            damaged.write_bytes(raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :])
            try:
                assert not check_evidence(damaged, [desk.key.public]).sound, (at, bit)
            except ConfigError:
                continue


async def test_members_in_another_order_or_stored_are_refused(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    assert (await desk.bundle(RecordFilter(), path)).sound
    with zipfile.ZipFile(path) as bundle:
        members = [(one, bundle.read(one)) for one in bundle.namelist()]
    write(path, [*members[:-2], members[-1], members[-2]])
    assert check_evidence(path, [desk.key.public]).wrongs == (
        "the files are in another order than in the manifest",
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
        for name, content in members:
            bundle.writestr(name, content)
    with pytest.raises(ConfigError, match=r"manifest\.json is packed in another way"):
        check_evidence(path, [desk.key.public])
