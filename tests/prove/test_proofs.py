"""The proofs hold for this gateway, and do not for gateways and verifiers that are broken."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.app.real import SystemClock, SystemEntropy
from coatcheck.core.recording.notes import PublicKey
from coatcheck.model.chain import Report
from coatcheck.prove import audit
from coatcheck.prove.books import verify
from coatcheck.prove.crash import prove_crash
from coatcheck.prove.faults import Plan
from coatcheck.prove.stage import GATEWAY, CannotProve
from coatcheck.prove.tamper import prove_tamper
from coatcheck.prove.vfs import Failure

CHILDREN = Path(__file__).parent / "children"
EAGER, UNSYNCED = (str(CHILDREN / "eager.py"),), (str(CHILDREN / "unsynced.py"),)
ADOPTING = (str(CHILDREN / "adopting.py"),)


def quiet(line: str) -> None:
    assert line


@pytest.fixture
def children_find_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))


pytestmark = pytest.mark.usefixtures("children_find_the_code")


@pytest.fixture
def one_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    def troubles(short: bool) -> Iterator[audit.Trouble]:
        assert short
        yield audit.Trouble("EIO", audit._failing(Plan("sync", 1, Failure.SYNC)), 8)

    monkeypatch.setattr(audit, "_troubles", troubles)


@pytest.mark.usefixtures("one_trouble")
def test_nothing_is_forwarded_or_answered_without_a_record() -> None:
    verdict = audit.prove_audit(SystemClock(), SystemEntropy(), quiet, short=True)
    assert verdict.broken == []
    assert verdict.counts["acknowledged"] == 2 * audit.SHORT_CALLS
    assert verdict.counts["seen_recorded"] == verdict.counts["seen"]
    assert verdict.counts["refused"] == 8


@pytest.mark.usefixtures("one_trouble")
def test_a_gateway_that_does_not_wait_for_its_record_is_found_out() -> None:
    verdict = audit.prove_audit(SystemClock(), SystemEntropy(), quiet, short=True, program=EAGER)
    # It goes on until it notices by itself that nothing can be written.
    assert verdict.counts["forwarded_without_record"] > 0
    assert verdict.counts["answers_without_outcome"] > 0
    assert not verdict.holds


@pytest.mark.parametrize("program", [GATEWAY, ADOPTING])
def test_a_gateway_that_goes_on_from_another_chain_is_found_out(
    monkeypatch: pytest.MonkeyPatch, program: tuple[str, ...]
) -> None:
    monkeypatch.setattr(audit, "_troubles", lambda _: iter([audit.Trouble("moved", audit._moved, 8)]))
    verdict = audit.prove_audit(SystemClock(), SystemEntropy(), quiet, short=True, program=program)
    assert verdict.holds is (program is GATEWAY), verdict.broken
    assert (verdict.counts["findings"] == 0) is verdict.holds
    if program is GATEWAY:  # the other refuses whatever waits together when it finds out
        assert verdict.counts["refused"] == 8


def test_what_was_acknowledged_outlives_kills_and_power_cuts() -> None:
    verdict = prove_crash(SystemClock(), SystemEntropy(), quiet, rounds=2)
    assert verdict.broken == []
    assert verdict.counts["acknowledged"] >= 20


def test_a_gateway_that_does_not_sync_is_found_out() -> None:
    verdict = prove_crash(SystemClock(), SystemEntropy(), quiet, rounds=2, program=UNSYNCED)
    assert verdict.counts["lost_writes"]
    assert verdict.counts["acknowledged_lost"] >= 10
    assert not verdict.holds


def test_every_edit_is_found() -> None:
    verdict = prove_tamper(SystemClock(), SystemEntropy(), quiet, edits=60)
    assert verdict.broken == []
    assert sum(verdict.counts["by_kind"].values()) == 60


def test_a_verifier_that_does_not_read_the_columns_is_found_out() -> None:
    def careless(data: Path, key: PublicKey) -> Report:
        report = verify(data, key)
        found = tuple(one for one in report.findings if one.what.value != "derived")
        return dataclasses.replace(report, found=len(found), findings=found)

    verdict = prove_tamper(SystemClock(), SystemEntropy(), quiet, edits=60, seed="columns", judge=careless)
    assert verdict.counts["undetected"]
    assert all(line.startswith("not found: ") for line in verdict.broken)


def test_a_record_that_is_not_sound_proves_nothing() -> None:
    def unsound(data: Path, key: PublicKey) -> Report:
        with sqlite3.connect(data / "coatcheck.sqlite3") as database:
            database.execute("UPDATE record SET subject = 'mallory'")
        return verify(data, key)

    with pytest.raises(CannotProve, match="not sound before any edit"):
        prove_tamper(SystemClock(), SystemEntropy(), quiet, edits=1, judge=unsound)


def test_the_command_says_what_it_saw_and_ends_with_0(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "coatcheck", "prove", "crash", "--rounds", "1", "--keep"]
    kept = tmp_path / "kept"
    ended = subprocess.run([*command, str(kept)], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "prove crash: holds"
    assert "round 1: killed; " in ended.stderr
    assert (kept / "data" / "coatcheck.sqlite3").exists()
    again = subprocess.run([*command, str(kept)], capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 1
    assert "name a directory that is not there yet" in again.stderr
