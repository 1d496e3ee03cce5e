"""`coatcheck audit`: the record judged where it lies or from a file, its key, and a checkpoint at will."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from chains import SEED, a_store
from cli.fake_api import Canned, FakeApi, refusal
from cli.ran import Ran, Run
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
from coatcheck.store.records.checkpoints import StoredCheckpoints
from coatcheck.store.records.ledger import StoredLedger
from ledgers import TickingClock, a_record, its_settlement

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


def test_a_file_whose_head_was_cut_off_is_told_to_be_a_part(
    exported: Path, stored: Stored, run: Run, tmp_path: Path
) -> None:
    verify = ("audit", "verify", "--file", str(exported), "--key", stored[0].public.text)
    told = json.loads(run(*verify).out)
    assert (told["sound"], told["whole"], told["first"]) == (True, True, 1)
    first, *lines = (json.loads(line) for line in exported.read_text().splitlines())
    cut = [{"log": first["log"], "after": lines[4]["seq"], "prev": lines[4]["hash"]}, *lines[5:]]
    exported.write_text("".join(f"{json.dumps(line)}\n" for line in cut))
    told = json.loads(run(*verify).out)
    assert (told["sound"], told["whole"], told["first"]) == (True, False, 6)
    code, shown = on_terminal(list(verify))
    assert code == 0
    assert f"entries from 6 to {told['head']['seq']}, a part" in shown
    assert "of what was before entry 6 it tells nothing" in shown
    exported.write_text(json.dumps(first) + "\n")
    assert run(*verify).code == 78


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


def test_a_gateway_that_runs_signs_before_its_record_is_judged(
    stored: Stored, api: FakeApi, run: Run
) -> None:
    api.answers["POST /checkpoints"] = Canned({"seq": 7})
    ran = run("audit", "verify")
    assert (ran.code, ran.err) == (0, "")
    assert api.paths() == ["POST /checkpoints"]
    api.answers["POST /checkpoints"] = refusal(503, "ledger_unavailable", "the chain ends elsewhere")
    ran = run("audit", "verify")
    assert (ran.code, json.loads(ran.out)["sound"]) == (0, True)
    assert "the gateway did not sign where its record stands now: the chain ends elsewhere" in ran.err


def test_a_record_that_something_else_moved_is_accepted_with_a_reason(api: FakeApi, run: Run) -> None:
    api.answers["POST /checkpoints/accept"] = Canned({"alarms": ["entry 7 is not the one that was signed"]})
    assert run("audit", "accept", "  ").code == 2
    assert json.loads(run("audit", "accept", " INC-42 ").out) == {
        "alarms": ["entry 7 is not the one that was signed"]
    }
    assert json.loads(api.asked[-1].body) == {"because": "INC-42"}
    code, shown = on_terminal(["audit", "accept", "INC-42"])
    assert code == 0
    assert "accepted: calls go on" in shown
    assert "ALARM: entry 7 is not the one that was signed" in shown


def test_doctor_tells_of_alarms() -> None:
    told = {"log": "0123456789abcdef", "signed": 7, "alarms": [], "file": "/c.log", "error": ""}
    assert [one.status for one in check_checkpoints(told)] == [Status.OK]
    (alarm,) = check_checkpoints({**told, "alarms": ["an older store was put back"]})
    assert alarm.status is Status.FAIL
    assert "move /c.log away" in alarm.fix
    (moved,) = check_checkpoints({**told, "alarms": ["something else wrote to the store"], "moved": True})
    assert "coatcheck audit accept WHY" in moved.fix
    trouble = "checkpoints cannot be made: the store is busy"
    (late,) = check_checkpoints({**told, "error": trouble})
    assert (late.status, late.message) == (Status.WARN, trouble)
    assert list(check_checkpoints({})) == []


EMPTIED = {
    "record": (1, {"missing"}),
    "settlement": (1, {"missing"}),
    "change": (1, {"missing"}),
    "checkpoint": (1, {"missing"}),
    "chain": (1, {"damaged"}),
}


@pytest.mark.parametrize("with_key", [False, True])
@pytest.mark.parametrize("table", EMPTIED)
def test_an_emptied_table_is_a_finding(
    data: Path, stored: Stored, run: Run, table: str, with_key: bool
) -> None:
    given = ["--key", stored[0].public.text] if with_key else []
    assert run("audit", "verify", *given).code == 0
    edit(data, f"DELETE FROM {table}")
    code, kinds = EMPTIED[table]
    ran = run("audit", "verify", *given)
    assert (ran.code, kinds <= {one["what"] for one in json.loads(ran.out)["findings"]}) == (code, True)


@pytest.mark.parametrize("table", [*EMPTIED, "segment", "used", "settled_through"])
def test_a_table_that_is_gone_is_a_finding(data: Path, stored: Stored, run: Run, table: str) -> None:
    edit(data, f"DROP TABLE {table}")
    ran = run("audit", "verify")
    assert (ran.code, "damaged" in {one["what"] for one in json.loads(ran.out)["findings"]}) == (1, True)


ODD = {
    "a note that is no text": "UPDATE checkpoint SET note = x'00'",
    "a hash that is none": "UPDATE checkpoint SET hash = 'x'",
    "a number that is none": "UPDATE checkpoint SET at = 'x'",
    "a log that is none": "UPDATE chain SET log = x'00ff'",
    "a log of another form": "UPDATE chain SET log = 'x' || char(10)",
    "a negative beginning": "UPDATE chain SET first = -5",
    "a text as a number": "UPDATE chain SET seq = 'x'",
    "two chains": "INSERT INTO chain SELECT 'ffffffffffffffff', first, before, seq, hash FROM chain",
    "a part that is none": "INSERT INTO segment VALUES (1, 9, 'x', 'x', 'x', 'x', x'00', x'00')",
    "a part beyond all": "INSERT INTO segment VALUES (1, 9223372036854775807, x'00', x'00', 1, 1, 'x', 'x')",
    "a part before all": "INSERT INTO segment VALUES (-9, -8, x'00', x'00', 1, 1, 'x', 'x')",
    "a settled mark beyond": "INSERT OR REPLACE INTO settled_through VALUES ('gateway', 99999)",
    "a settled mark of nobody": "INSERT OR REPLACE INTO settled_through VALUES ('x', 'x')",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM record; END",
    "a view": "CREATE VIEW v AS SELECT 1",
    "a time out of range": "UPDATE checkpoint SET at = 9223372036854775807",
}


@pytest.mark.parametrize("statement", ODD.values(), ids=ODD)
def test_whatever_a_cell_holds_it_is_a_finding(data: Path, stored: Stored, run: Run, statement: str) -> None:
    edit(data, statement)
    ran = run("audit", "verify")
    assert (ran.code, json.loads(ran.out)["sound"]) == (1, False), ran.err


def test_a_record_that_is_new_is_not_proven_and_not_wrong(data: Path, run: Run) -> None:
    """Words and exit code of their own, until the first checkpoint; later it would be a finding."""
    for at, code, words in (
        (datetime.now(UTC), 3, "a gateway that runs makes one within a minute"),
        (datetime(2026, 1, 1, tzinfo=UTC), 1, "no checkpoint of this record is left"),
    ):
        shutil.rmtree(data, ignore_errors=True)
        database = SqliteDatabase.open(data)
        asyncio.run(_record_one(database, at))
        database.close()
        (data / "audit.key").write_text(SEED.hex() + "\n")
        (data / "audit.key").chmod(0o600)
        ran = run("audit", "verify")
        told = json.loads(ran.out)
        assert (ran.code, told["sound"], told["checkpoints"]) == (code, False, 0)
        assert words in json.dumps([told["lacking"], told["findings"]])
        shown_code, shown = on_terminal(["audit", "verify"])
        assert shown_code == code
        assert ("NOT PROVEN, though nothing was found" if code == 3 else "NOT sound, 1 found") in shown
        assert "2 entries up to 2, 0 checkpoints" in shown


def test_a_checkpoint_of_the_empty_record_is_told_apart(data: Path, run: Run) -> None:
    database = SqliteDatabase.open(data)
    note = asyncio.run(_record_one(database, datetime.now(UTC), sign_first=True))
    database.close()
    (data / "audit.key").write_text(SEED.hex() + "\n")
    (data / "audit.key").chmod(0o600)
    (data / "checkpoints.log").write_text(note)
    code, shown = on_terminal(["audit", "verify"])
    assert (code, "NOT PROVEN, though nothing was found: 2 entries up to 2, 1 checkpoint (" in shown) == (
        3,
        True,
    )
    assert (
        "no checkpoint of any entry was made yet (the one that there is was made before the first)" in shown
    )


async def _record_one(database: SqliteDatabase, at: datetime, *, sign_first: bool = False) -> str:
    ledger = await StoredLedger.open(database, TickingClock())
    note = ""
    if sign_first:
        store = StoredCheckpoints(database)
        made = SigningKey(ledger.log, SEED).sign(await store.where(), at)
        await store.add(made)
        note = made.note
    record = a_record(at=at)
    await ledger.record_settled(record, its_settlement(record, at=at))
    await ledger.close()
    return note


def test_the_end_is_not_proven_where_checkpoints_stop(data: Path, stored: Stored, run: Run) -> None:
    edit(data, "DELETE FROM checkpoint WHERE seq > (SELECT min(seq) FROM checkpoint)")
    (data / "checkpoints.log").write_text(stored[1][0].note)
    ran = run("audit", "verify")
    told = json.loads(ran.out)
    assert (ran.code, told["found"], told["sound"]) == (3, 0, False)
    assert "no checkpoint follows on the last" in told["lacking"][0]


def test_checkpoints_outside_that_are_gone_are_a_finding(data: Path, stored: Stored, run: Run) -> None:
    path = data / "checkpoints.log"
    whole = path.read_text()
    path.write_text("")
    assert _found(run("audit", "verify")) == {"missing"}
    path.unlink()
    assert _found(run("audit", "verify")) == {"missing"}
    lines = whole.splitlines(keepends=True)
    signature = next(at for at, line in enumerate(lines) if line.startswith("\u2014"))
    path.write_text("".join([*lines[:signature], *lines[signature + 1 :]]))
    assert _found(run("audit", "verify")) == {"unsigned", "missing"}
    for cut in (0, 2):  # its head, its end
        path.write_text("".join(one.note for at, one in enumerate(stored[1]) if at != cut))
        assert _found(run("audit", "verify")) == {"missing"}
    path.unlink()
    os.mkfifo(path)  # at which nobody waits
    ran = run("audit", "verify")
    assert (ran.code, "it is no regular file" in ran.err) == (78, True)


def test_a_key_of_before_is_known_from_its_file(data: Path, stored: Stored, run: Run) -> None:
    (data / "audit.key").write_text(sha256(b"another").hexdigest() + "\n")
    assert _found(run("audit", "verify")) >= {"unsigned"}
    (data / "audit.key.old").write_text(f"{stored[0].public.text}\n")
    assert run("audit", "verify").code == 0


def _found(ran: Ran) -> set[str]:
    assert ran.code == 1
    return {one["what"] for one in json.loads(ran.out)["findings"]}


def edit(data: Path, statement: str) -> None:
    with closing(sqlite3.connect(data / DATABASE_FILE)) as writing, writing:
        writing.execute(statement)
