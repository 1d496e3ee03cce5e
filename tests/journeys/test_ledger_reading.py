"""Reading the ledger of a running gateway by commands: filters, exports, blast radius, evidence, sealed segments."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from journeys.running import Hall, hall_at

DENIED = ("tools/call", {"name": "srv__denied", "arguments": {}})


class Desk:
    """Runs commands against the gateway of a hall."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self.data = (
            hall.gateway.directory / "data"
            if (hall.gateway.directory / "data").exists()
            else hall.gateway.directory
        )

    def run(self, *words: str, code: int = 0, data: bool = True) -> bytes:
        place = ["--data", str(self.data)] if data else []
        ran = subprocess.run(
            [sys.executable, "-m", "coatcheck", *words, *place],
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, "COLUMNS": "200"},
        )
        assert ran.returncode == code, (words, ran.stdout[-2000:], ran.stderr[-2000:])
        return ran.stdout

    def json(self, *words: str, code: int = 0, data: bool = True) -> Any:
        return json.loads(self.run(*words, "--json", code=code, data=data))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with hall_at(tmp_path_factory.mktemp("reading") / "data") as hall:
        for _ in range(3):
            hall.good()
        hall.ask(*DENIED)
        yield Desk(hall)


def test_a_record_is_proven_in_its_first_minute(desk: Desk) -> None:
    told = desk.json("audit", "verify")
    assert (told["sound"], told["unproven"], told["lacking"]) == (True, 0, [])
    assert told["checkpoints"] >= 2


def test_logs_has_filters_of_its_own(desk: Desk) -> None:
    everything = [json.loads(line) for line in desk.run("logs", "--json").splitlines()]
    ok = [
        json.loads(line)
        for line in desk.run("logs", "--outcome", "ok", "--method", "tools/call").splitlines()
    ]
    assert ok
    assert len(ok) < len(everything)
    assert all(line["outcome"] == "ok" for line in ok)
    grant = ok[0]["grant_label"]
    assert len(desk.run("logs", "--grant", grant).splitlines()) >= len(ok)
    assert desk.run("logs", "--grant", "nobody") == b""
    desk.run("logs", "--outcome", "ok", "export", code=2)


def test_an_export_is_verified_with_the_public_key_alone(desk: Desk, tmp_path: Path) -> None:
    key = tmp_path / "audit.pub"
    key.write_bytes(desk.run("audit", "key"))
    file = tmp_path / "record.jsonl"
    desk.run("logs", "export", "--out", str(file), "--method", "tools/call")
    told = desk.json("audit", "verify", "--file", str(file), "--key", str(key), data=False)
    assert (told["sound"], told["unproven"]) == (True, 0)
    assert told["left_out"] < told["entries"]
    file.write_bytes(file.read_bytes().replace(b"allowed", b"refused", 1))
    assert not desk.json("audit", "verify", "--file", str(file), "--key", str(key), code=1, data=False)[
        "sound"
    ]
    desk.run("logs", "export", "--out", str(file), code=1)  # it is there already


def test_exports_for_spreadsheets_and_collectors(desk: Desk) -> None:
    rows = list(csv.DictReader(io.StringIO(desk.run("logs", "export", "--format", "csv").decode())))
    lines = desk.run("logs", "export", "--format", "cef").splitlines()
    assert len(rows) == len(lines) == len(desk.run("logs").splitlines())
    assert [row["seq"] for row in rows] == sorted((row["seq"] for row in rows), key=int)
    assert all(line.startswith(b"CEF:0|") for line in lines)


def test_the_blast_radius_of_a_grant(desk: Desk) -> None:
    grant = json.loads(desk.run("logs").splitlines()[-1])["grant_id"]
    found = desk.json("blast-radius", "--grant", grant)
    assert "srv" in {one["name"] for one in found["servers"]}
    assert found["whole"]["calls"] >= 4
    assert found["addresses"][0]["name"] == "127.0.0.1"
    desk.run("blast-radius", "--credential", "nothing", code=1)
    assert desk.json("blast-radius", "--grant", grant, "--since", "0s")["whole"] is None
    desk.run("blast-radius", code=2)


def test_evidence_is_checked_offline_and_every_edit_is_found(desk: Desk, tmp_path: Path) -> None:
    key = tmp_path / "audit.pub"
    key.write_bytes(desk.run("audit", "key"))
    file = tmp_path / "bundle.zip"
    desk.run("evidence", "--from", "1d", "--out", str(file))
    told = desk.json("evidence", "check", str(file), "--key", str(key), data=False)
    assert (told["sound"], told["wrong"], told["by"]) == (True, [], "local")
    with zipfile.ZipFile(file) as bundle:
        members = {name: bundle.read(name) for name in bundle.namelist()}
    assert json.loads(members["verify.json"])["sound"]
    assert json.loads(members["grants.json"])
    assert b"denied" in members["by-grant.csv"].splitlines()[0]
    for name, content in members.items():
        changed = {**members, name: content.replace(b"a", b"b", 1) + b" "}
        assert not checked(tmp_path, changed, desk, key), name
    assert not checked(tmp_path, {**members, "extra": b""}, desk, key)
    assert not checked(tmp_path, {name: members[name] for name in members if name != "calls.csv"}, desk, key)
    assert checked(tmp_path, members, desk, key)


def checked(folder: Path, members: dict[str, bytes], desk: Desk, key: Path) -> bool:
    """Check a bundle of these members in this process."""
    from coatcheck.app.keeping.evidence import check_evidence
    from coatcheck.core.recording.notes import PublicKey
    from coatcheck.errors import ConfigError

    path = folder / "edited.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # as the gateway writes them
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with bundle.open(info, "w", force_zip64=not name.startswith("manifest.")) as member:
                member.write(content)
    try:
        return check_evidence(path, [PublicKey.read(key.read_text())]).sound
    except ConfigError:
        return False


def test_the_oldest_part_is_sealed_and_the_rest_goes_on(desk: Desk, tmp_path: Path) -> None:
    key = tmp_path / "audit.pub"
    key.write_bytes(desk.run("audit", "key"))
    before = desk.json("audit", "verify")
    assert before["sound"]
    made = desk.json("audit", "seal", "--before", "0s", "--to", str(tmp_path / "archive"))["segment"]
    assert made["first"] == 1
    file = tmp_path / "archive" / made["file"]
    with gzip.open(file) as lines:
        assert len(lines.read().splitlines()) > made["entries"]
    told = desk.json("audit", "verify", "--file", str(file), "--key", str(key), data=False)
    assert (told["sound"], told["head"]["seq"] >= made["last"]) == (True, True)
    assert desk.run("logs") == b""
    after = desk.json("audit", "verify")
    assert (after["sound"], after["sealed"]) == (True, made["entries"])
    desk.hall.good()
    assert len(desk.run("logs").splitlines()) >= 1
    again = desk.json("audit", "seal", "--before", "0s", "--to", str(tmp_path / "archive"))["segment"]
    assert (again["first"], again["prev"]) == (made["last"] + 1, made["hash"])
    assert [one["first"] for one in desk.json("audit", "segments")["items"]] == [1, again["first"]]
    desk.hall.gateway.restart()
    assert desk.json("audit", "verify")["sound"]
    desk.hall.good()
    export = desk.run("logs", "export").splitlines()
    assert json.loads(export[0])["after"] == again["last"]
    file = tmp_path / "bundle.zip"
    desk.run("evidence", "--out", str(file))
    told = desk.json("evidence", "check", str(file), "--key", str(key), data=False)
    assert (told["sound"], told["sealed_through"]) == (True, again["last"])
    late, early = ("--to", "2025-01-01"), ("--from", "2026-01-01")
    desk.run("evidence", *early, *late, "--out", str(tmp_path / "none.zip"), code=2)
    assert not (tmp_path / "none.zip").exists()


def test_who_takes_something_out_of_the_record_is_on_record(desk: Desk, tmp_path: Path) -> None:
    def told() -> list[str]:
        lines = desk.run("logs", "--admin", "--object", "chain").splitlines()
        return [json.loads(line)["action"] for line in lines]

    before = told()
    desk.run("logs", "export", "--out", str(tmp_path / "record.jsonl"), "--subject", "alice")
    desk.run("blast-radius", "--grant", "nobody", code=1)
    desk.run("evidence", "--from", "1d", "--out", str(tmp_path / "bundle.zip"))
    for _ in range(3):
        desk.run("logs")
    after = told()[len(before) :]
    assert after[:3] == ["record.export", "record.blast_radius", "record.evidence"]
    assert after[3:] in ([], ["record.read"])
    assert "record.read" in told()


def test_an_edited_column_is_told_by_evidence_and_status(desk: Desk, tmp_path: Path) -> None:
    desk.hall.good()
    assert desk.json("status")["well"]
    with closing(sqlite3.connect(desk.data / "coatcheck.sqlite3", timeout=10)) as writing, writing:
        (last,) = writing.execute("SELECT max(position) FROM record WHERE decision = 'allowed'").fetchone()
        writing.execute("UPDATE record SET server = 'another' WHERE position = ?", (last,))
    file = tmp_path / "bundle.zip"
    desk.run("evidence", "--server", "srv", "--out", str(file), code=1)
    told = json.loads(desk.run("evidence", "check", str(file), "--json", code=1, data=False))
    assert any(f"the columns of record {last} do not say what it says" in words for words in told["wrong"])
    with zipfile.ZipFile(file) as bundle:
        record = [json.loads(line) for line in bundle.read("record.jsonl").splitlines()]
    assert [line["seq"] for line in record if line.get("seq") == last and "stored" in line] == [last]
    found = desk.json("status", code=1)
    assert any(words.startswith("ALARM: the record was changed") for words in found["wrong"])
