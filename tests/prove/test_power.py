"""After a power cut, what was synced is there, and what was not is gone, wholly or in sectors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck.prove.draws import Draws
from coatcheck.prove.faults import Faults, Plan, entries
from coatcheck.prove.power import SECTOR, Disk
from coatcheck.prove.vfs import LOG, MAIN, Failure

CHILD = Path(__file__).parent / "children" / "on_a_watched_disk.py"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "coatcheck.sqlite3").write_bytes(b"main")
    (tmp_path / "coatcheck.sqlite3-shm").write_bytes(b"index")
    return tmp_path


def left(data: Path) -> tuple[bytes, bytes]:
    return (data / "coatcheck.sqlite3").read_bytes(), (data / "coatcheck.sqlite3-wal").read_bytes()


def test_what_no_sync_followed_is_lost(data: Path) -> None:
    disk, faults = Disk(data), Faults(None, data / "diary")
    faults.writing(MAIN, 2, b"XXXX")
    faults.writing(LOG, 3, b"abc")
    faults.synced(MAIN)
    faults.writing(MAIN, 0, b"lost")
    faults.truncating(MAIN, 1)
    assert disk.cut(data / "diary", None) == (3, 3)
    assert left(data) == (b"maXXXX", b"")
    assert not (data / "coatcheck.sqlite3-shm").exists()


def test_a_file_that_was_cut_stays_cut_once_synced(data: Path) -> None:
    disk, faults = Disk(data), Faults(None, data / "diary")
    faults.truncating(MAIN, 1)
    faults.synced(MAIN)
    assert disk.cut(data / "diary", None) == (0, 0)
    assert left(data) == (b"m", b"")


def test_sectors_are_lost_one_by_one(data: Path) -> None:
    disk, faults = Disk(data), Faults(None, data / "diary")
    faults.writing(LOG, 0, b"-" * SECTOR * 64)
    faults.synced(LOG)
    faults.writing(LOG, 100, b"+" * SECTOR * 40)
    assert disk.cut(data / "diary", Draws("seed")) == (1, 1)
    _, log = left(data)
    sectors = {log[at : at + SECTOR] for at in range(SECTOR, SECTOR * 40, SECTOR)}
    assert sectors == {b"-" * SECTOR, b"+" * SECTOR}


def test_a_diary_that_was_torn_is_read_up_to_there(data: Path) -> None:
    faults = Faults(None, data / "diary")
    faults.writing(MAIN, 0, b"whole")
    faults.writing(MAIN, 5, b"torn")
    (data / "diary").write_bytes((data / "diary").read_bytes()[:-1])
    assert [content for _, _, _, content in entries(data / "diary")] == [b"whole"]


def test_every_third_sync_fails_while_the_plan_is_there(data: Path) -> None:
    plan = data / "plan"
    faults = Faults(plan, None)
    assert faults.syncing(LOG) is Failure.NONE
    Plan("sync", 3, Failure.SYNC).write_to(plan)
    assert [faults.syncing(LOG) for _ in range(6)] == [Failure.NONE, Failure.NONE, Failure.SYNC] * 2
    assert faults.writing(LOG, 0, b"x") is Failure.NONE
    assert plan.with_suffix(".struck").stat().st_size == 2
    plan.unlink()
    assert [faults.syncing(LOG) for _ in range(3)] == [Failure.NONE] * 3


def test_sqlite_itself_is_told_and_watched(data: Path) -> None:
    (data / "coatcheck.sqlite3").unlink()
    ended = subprocess.run(
        [sys.executable, str(CHILD), str(data)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout.splitlines() == ["1", "disk I/O error", "2", "database or disk is full", "3"], (
        ended.stderr
    )
    whole = left(data)
    for path in data.glob("coatcheck.sqlite3*"):
        path.unlink()
    Disk(data).cut(data / "diary", None)
    assert left(data) == whole, "all of it was synced"
