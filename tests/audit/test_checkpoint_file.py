"""Checkpoints reach their file, each whole; a file that cannot take them is told of, and holds up nobody."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coatcheck.app.real import SystemClock
from coatcheck.audit import checkpoint_file
from coatcheck.audit.checkpoint_file import CheckpointFile
from coatcheck.core.recording.notes import SigningKey, notes_in
from coatcheck.model.chain import Head

KEY = SigningKey("0123456789abcdef", bytes(range(32)))


async def until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not there():
            await asyncio.sleep(0.01)


def note(seq: int) -> str:
    return KEY.sign(Head(seq, bytes(32)), datetime(2026, 11, 3, tzinfo=UTC)).note


def notes(path: Path) -> list[str]:
    return list(notes_in(path.read_text("utf-8").splitlines(keepends=True)))


async def test_notes_are_added_and_the_last_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints.log"
    file = CheckpointFile(path, SystemClock())
    assert await file.last() == ""
    for seq in range(5):
        file.put(note(seq))
    await file.close()
    assert (file.error, notes(path)) == ("", [note(seq) for seq in range(5)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text(path.read_text("utf-8") + note(5)[:60], "utf-8")  # a crash broke it off
    again = CheckpointFile(path, SystemClock())
    assert await again.last() == note(4)
    again.put(note(6))
    await again.close()
    assert notes(path) == [*(note(seq) for seq in range(5)), note(6)]


async def test_a_place_that_takes_nothing_is_told_of_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_file, "RETRY", 0.01)
    path = tmp_path / "gone" / "checkpoints.log"
    file = CheckpointFile(path, SystemClock())
    assert await file.last() is None
    assert file.found is None
    file.put(note(1))
    assert file.error == f"there is no folder {path.parent}"
    path.parent.mkdir()
    await until(lambda: path.exists() and not file.error and file.found == "")
    file.put(note(2))
    await file.close()
    assert notes(path) == [note(1), note(2)]


async def test_a_pipe_in_its_place_hangs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_file, "RETRY", 0.01)
    path = tmp_path / "checkpoints.log"
    os.mkfifo(path)
    file = CheckpointFile(path, SystemClock())
    assert await file.last() is None
    file.put(note(1))
    assert file.error == "it is no regular file"
    await file.close()


async def test_a_full_disk_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_file, "RETRY", 0.01)
    monkeypatch.setattr(stat, "S_ISREG", lambda _mode: True)
    file = CheckpointFile(Path("/dev/full"), SystemClock())
    file.put(note(1))
    while not file.error:
        await asyncio.sleep(0.01)
    assert file.error == "No space left on device"
    await file.close()


async def test_more_than_can_wait_leaves_out_the_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_file, "RETRY", 0.01)
    path = tmp_path / "gone" / "checkpoints.log"
    file = CheckpointFile(path, SystemClock())
    for seq in range(checkpoint_file.WAITING + 50):
        file.put(note(seq))
    path.parent.mkdir()
    while file.error or not path.exists() or len(notes(path)) < checkpoint_file.WAITING - 60:
        await asyncio.sleep(0.01)
    await file.close()
    assert notes(path)[-1] == note(checkpoint_file.WAITING + 49)
