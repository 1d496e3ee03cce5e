"""`coatcheck audit`: the record judged where it lies or from a file, its key, and a checkpoint at will."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chains import SEED, a_store
from cli.fake_api import Canned, FakeApi
from cli.ran import Run
from cli.terminal import on_terminal
from coatcheck.cli.looking.doctor.finding import Status
from coatcheck.cli.looking.doctor.running import check_checkpoints
from coatcheck.core.recording.exported import checkpoint_line, entry_line, first_line
from coatcheck.core.recording.notes import SigningKey
from coatcheck.core.recording.receipts import receipt_of
from coatcheck.model.chain import Checkpoint
from coatcheck.model.record import Receipt
from coatcheck.store.chain import beginning_in
from coatcheck.store.engines.directory import DATABASE_FILE
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.records.chained import links_after

Stored = tuple[SigningKey, list[Checkpoint], list[Receipt]]


@pytest.fixture
def stored(data: Path) -> Stored:
    """A stopped gateway's directory: a store, its signing key, its checkpoints."""
    made = a_store(data)
    (data / "audit.key").write_text(SEED.hex() + "\n")
    (data / "audit.key").chmod(0o600)
    (data.parent / "checkpoints.log").rename(data / "checkpoints.log")
    return made


@pytest.fixture
def exported(data: Path, stored: Stored, tmp_path: Path) -> Path:
    """The record in a file, as it is exported: a checkpoint after its entry."""
    database = SqliteDatabase.open_to_read(data)
    try:
        lines: list[dict[str, Any]] = [first_line(database.read_now(beginning_in))]
        signed = {one.seq: one for one in stored[1]}
        for link in database.read_now(lambda reading: links_after(reading, 0, 10_000)):
            lines.append({"tool": "for readers", **entry_line(link)})
            if link.seq in signed:
                lines.append(checkpoint_line(signed[link.seq]))
    finally:
        database.close()
    path = tmp_path / "record.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_sound_record(data: Path, stored: Stored, run: Run) -> None:
    key, made, receipts = stored
    held = [receipt_of(key.public.log, receipt) for receipt in receipts[:2]]
    ran = run("audit", "verify", "--receipt", held[0], "--receipt", held[1])
    told = json.loads(ran.out)
    assert (ran.code, told["sound"], told["findings"], told["receipts"]) == (0, True, [], 2)
    assert (told["log"], told["entries"], told["checkpoints"]) == (key.public.log, made[-1].seq, 3)
    code, shown = on_terminal(["audit", "verify"])
    assert code == 0
    assert f"sound: {made[-1].seq} entries up to {made[-1].seq}, 3 checkpoints" in shown
    assert run("audit", "key").out == key.public.text + "\n"
    assert json.loads(run("audit", "key", "--json").out) == {"log": key.public.log, "key": key.public.text}


def test_an_edit_and_a_false_receipt(data: Path, stored: Stored, run: Run) -> None:
    key, _, receipts = stored
    false = receipt_of(key.public.log, Receipt(receipts[0].seq, bytes(32)))
    ran = run("audit", "verify", "--receipt", false)
    assert (ran.code, [one["what"] for one in json.loads(ran.out)["findings"]]) == (1, ["forked"])
    with closing(sqlite3.connect(data / DATABASE_FILE)) as writing, writing:
        writing.execute("UPDATE record SET subject = 'eve\x1b[31m' WHERE tool = 'tool3'")
    ran = run("audit", "verify")
    (finding,) = json.loads(ran.out)["findings"]
    assert (ran.code, finding["what"]) == (1, "derived")
    code, shown = on_terminal(["audit", "verify"])
    assert code == 1
    assert f"derived   the columns of record {finding['seq']} do not say what it says" in shown
    assert "NOT sound, 1 found" in shown


def test_a_file_needs_the_key_alone(exported: Path, stored: Stored, run: Run, tmp_path: Path) -> None:
    key, _, receipts = stored
    public = tmp_path / "audit.pub"
    public.write_text(f"\n{key.public.text}\n")
    held = receipt_of(key.public.log, receipts[-1])
    for given in (key.public.text, str(public)):
        ran = run("audit", "verify", "--file", str(exported), "--key", given, "--receipt", held)
        told = json.loads(ran.out)
        assert (ran.code, told["sound"], told["checkpoints"], told["receipts"]) == (0, True, 3, 1)
    lines = exported.read_text().splitlines(keepends=True)
    for at in range(1, len(lines)):
        exported.write_text("".join([*lines[:at], *lines[at + 1 :]]))
        ran = run("audit", "verify", "--file", str(exported), "--key", str(public), "--receipt", held)
        is_a_checkpoint = '"checkpoint"' in lines[at]
        assert ran.code == (0 if is_a_checkpoint else 1), lines[at]
    exported.write_text("".join(line for line in lines if '"checkpoint"' not in line))
    ran = run("audit", "verify", "--file", str(exported), "--key", str(public))
    assert [one["what"] for one in json.loads(ran.out)["findings"]] == ["unsigned"]
    exported.write_text("".join([*lines, "nonsense\n"]))
    ran = run("audit", "verify", "--file", str(exported), "--key", str(public))
    assert [one["what"] for one in json.loads(ran.out)["findings"]] == ["damaged"]


def test_checkpoints_of_somebody_else_prove_nothing(exported: Path, stored: Stored, run: Run) -> None:
    other = SigningKey(stored[0].public.log, bytes(range(32))).public.text
    ran = run("audit", "verify", "--file", str(exported), "--key", other)
    assert {one["what"] for one in json.loads(ran.out)["findings"]} == {"unsigned"}
    assert run("audit", "verify", "--key", other).code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--key", "nonsense"], 2, "no public key"),
        (["--receipt", "x"], 2, "no receipt"),
        (["--file", "x"], 2, "--file needs --key"),
        (["--checkpoints", "/nowhere/at/all"], 78, "cannot be read"),
    ],
)
def test_what_cannot_be_judged(stored: Stored, run: Run, arguments: list[str], code: int, words: str) -> None:
    ran = run("audit", "verify", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err


def test_no_key_and_no_store(data: Path, run: Run, stored: Stored) -> None:
    (data / "audit.key").unlink()
    ran = run("audit", "verify")
    assert ran.code == 78
    assert "no signing key" in ran.err
    (data / DATABASE_FILE).unlink()
    assert run("audit", "verify", "--key", stored[0].public.text).code == 78


def test_a_checkpoint_at_will(api: FakeApi, run: Run) -> None:
    made = {"log": "0123456789abcdef", "seq": 7, "hash": "00", "time": "2026-11-21T08:00:00Z", "note": "n"}
    api.answers["POST /checkpoints"] = Canned(made)
    assert json.loads(run("audit", "checkpoint").out) == made
    code, shown = on_terminal(["audit", "checkpoint"])
    assert (code, "signed entry 7 of log 0123456789abcdef" in shown) == (0, True)


def test_doctor_tells_of_alarms() -> None:
    told = {"log": "0123456789abcdef", "signed": 7, "alarms": [], "file": "/c.log", "error": ""}
    assert [one.status for one in check_checkpoints(told)] == [Status.OK]
    (alarm,) = check_checkpoints({**told, "alarms": ["an older store was put back"]})
    assert alarm.status is Status.FAIL
    assert "move /c.log away" in alarm.fix
    (late,) = check_checkpoints({**told, "error": "it does not answer"})
    assert (late.status, "/c.log cannot be written" in late.message) == (Status.WARN, True)
    assert list(check_checkpoints({})) == []
