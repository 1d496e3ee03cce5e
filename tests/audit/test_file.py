"""The file sink: rotation by size and day, what is kept, mode, moves from outside, and a full disk."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from coatcheck.audit.file import FileSink
from coatcheck.errors import SinkFailed
from coatcheck.model.sink import FileOptions, Fsync
from doubles.clock import HandClock
from doubles.copies import a_copy

DAY = 86_400.0


@pytest.fixture
def options(tmp_path: Path) -> FileOptions:
    return FileOptions(path=tmp_path / "logs" / "audit.jsonl")


def seqs(path: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in path.read_text().splitlines()]


def aside(options: FileOptions) -> list[Path]:
    return sorted(path for path in options.path.parent.iterdir() if path != options.path)


async def test_lines_are_appended_to_a_file_of_ours(options: FileOptions) -> None:
    sink = FileSink(options, HandClock())
    await sink.deliver([a_copy(1), a_copy(2)])
    await sink.deliver([a_copy(3)])
    assert seqs(options.path) == [1, 2, 3]
    assert stat.S_IMODE(options.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(options.path.parent.stat().st_mode) == 0o700
    await sink.close()
    again = FileSink(replace(options, fsync=Fsync.NEVER, rotate_daily=False), HandClock())
    await again.deliver([a_copy(4)])
    await again.close()
    assert seqs(options.path) == [1, 2, 3, 4]


async def test_the_mode_of_a_file_that_was_there_is_kept_also_by_the_next(options: FileOptions) -> None:
    options.path.parent.mkdir()
    options.path.write_text("{}\n")
    options.path.chmod(0o640)
    sink = FileSink(replace(options, rotate_bytes=10), HandClock())
    await sink.deliver([a_copy(1)])
    await sink.close()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (options.path, *aside(options))] == [0o640, 0o640]


async def test_by_size_no_file_is_larger_and_no_line_is_cut_or_lost(options: FileOptions) -> None:
    clock = HandClock()
    sink = FileSink(replace(options, rotate_bytes=5_000, keep=100), clock)
    for start in range(0, 60, 20):
        await sink.deliver([a_copy(start + number) for number in range(20)])
        clock.advance(1.0)
    await sink.close()
    files = [*aside(options), options.path]
    assert len(files) > 3
    assert sorted(seq for path in files for seq in seqs(path)) == list(range(60))
    assert all(path.stat().st_size <= 5_000 for path in files)
    assert aside(options)[0].name.startswith("audit.jsonl.20261103T090807.")


@pytest.mark.parametrize("keep", [0, 2])
async def test_only_the_newest_are_kept(options: FileOptions, keep: int) -> None:
    clock = HandClock()
    sink = FileSink(replace(options, rotate_bytes=10, keep=keep), clock)
    stranger = options.path.parent / "audit.jsonl.notes"
    for number in range(1, 6):
        await sink.deliver([a_copy(number)])
        stranger.write_text("")
        clock.advance(1.0)
    await sink.close()
    stranger.unlink()
    assert seqs(options.path) == [5]
    assert [seqs(path) for path in aside(options)] == [[4 - keep + number + 1] for number in range(keep)]


@pytest.mark.parametrize(("daily", "files"), [(True, 2), (False, 1)])
async def test_a_day_ends_at_midnight(options: FileOptions, daily: bool, files: int) -> None:
    clock = HandClock()
    sink = FileSink(replace(options, rotate_daily=daily), clock)
    await sink.deliver([a_copy(1)])
    clock.advance(3600.0)
    await sink.deliver([a_copy(2)])
    clock.advance(DAY)
    await sink.deliver([a_copy(3)])
    await sink.close()
    assert len(aside(options)) + 1 == files
    assert seqs(options.path)[-1] == 3


async def test_a_file_of_another_day_is_set_aside_at_the_start(options: FileOptions) -> None:
    options.path.parent.mkdir()
    options.path.write_text('{"seq":1}\n')
    os.utime(options.path, (1_700_000_000, 1_700_000_000))
    sink = FileSink(options, HandClock())
    await sink.deliver([a_copy(2)])
    await sink.close()
    assert [seqs(path) for path in (*aside(options), options.path)] == [[1], [2]]


async def test_moved_or_removed_from_outside_it_is_opened_anew(options: FileOptions) -> None:
    sink = FileSink(options, HandClock())
    await sink.deliver([a_copy(1)])
    moved = options.path.rename(options.path.with_name("audit.1"))
    await sink.deliver([a_copy(2)])
    options.path.unlink()
    await sink.deliver([a_copy(3)])
    await sink.close()
    assert (seqs(moved), seqs(options.path)) == ([1], [3])


async def test_a_line_that_a_crash_cut_is_ended(options: FileOptions) -> None:
    options.path.parent.mkdir()
    options.path.write_text('{"seq":1}\n{"seq":2,"ti')
    sink = FileSink(replace(options, rotate_daily=False), HandClock())
    await sink.deliver([a_copy(2)])
    await sink.close()
    lines = options.path.read_text().splitlines()
    assert len(lines) == 3
    assert json.loads(lines[2])["seq"] == 2


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, former)


async def test_when_the_disk_is_full_nothing_half_written_stays(options: FileOptions) -> None:
    sink = FileSink(replace(options, rotate_daily=False), HandClock())
    await sink.deliver([a_copy(1)])
    with (
        files_of_at_most(options.path.stat().st_size + 100),
        pytest.raises(SinkFailed, match="cannot be written"),
    ):
        await sink.deliver([a_copy(2), a_copy(3)])
    assert seqs(options.path) == [1]
    await sink.deliver([a_copy(2), a_copy(3)])
    await sink.close()
    assert seqs(options.path) == [1, 2, 3]


async def test_no_link_and_no_pipe_is_written_to(options: FileOptions, tmp_path: Path) -> None:
    options.path.parent.mkdir()
    elsewhere = tmp_path / "elsewhere"
    options.path.symlink_to(elsewhere)
    sink = FileSink(options, HandClock())
    with pytest.raises(SinkFailed, match="symbolic link"):
        await sink.deliver([a_copy(1)])
    options.path.unlink()
    os.mkfifo(options.path)
    with pytest.raises(SinkFailed, match="cannot be written"):
        await sink.deliver([a_copy(1)])
    await sink.close()
    assert not elsewhere.exists()
