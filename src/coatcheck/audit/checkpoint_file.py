"""The file of checkpoints outside of the database: appended to by a thread of its own, each note synced.

A file that hangs or is full holds up nobody: notes wait in memory, the newest thousand of them, and the error
is told until it takes them. What is gone from the file is told as well, until it is there again.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from coatcheck.core.recording.notes import Broken, claimed, notes_in
from coatcheck.model.chain import Kept
from coatcheck.ports import Clock

WAITING: Final = 1_000
"""Notes that wait for the file; the oldest are left out beyond, for each note speaks for all before it."""

PATIENCE: Final = 5.0
"""Seconds after which a file that does not answer is told of, and is not waited for."""

RETRY: Final = 5.0

LOOK: Final = 10.0
"""Seconds between two looks at whether the file is still as this thread left it."""

_LONGEST: Final = 64 * 1024
"""Bytes of a line that are read at once; ours are far shorter."""

_Stamp = tuple[int, int, int, int]

_Answer = TypeVar("_Answer")


class CheckpointFile:
    """Implements `ports.Outside`. The thread is a daemon: it is left behind where the file hangs."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._notes: deque[str] = deque(maxlen=WAITING)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._failure = ""
        self._busy_since: float | None = None
        self._found: str | None = None
        self._stamp: _Stamp | None = None  # of the file as it was read, or left
        self._has = Kept()
        self._expected = Kept()
        self._expecting = threading.Lock()
        self._anew: Sequence[str] | None = None
        self._begun: Future[None] = Future()
        self._looked: Future[None] = Future()
        self._ended: Future[None] = Future()
        threading.Thread(target=self._live, name="coatcheck-checkpoints", daemon=True).start()

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    @property
    def error(self) -> str:
        """Why it takes nothing; empty while it does."""
        since = self._busy_since
        if since is not None and self._clock.monotonic() - since > PATIENCE:
            return "it does not answer"
        return self._failure

    @property
    def found(self) -> str | None:
        """The newest note there was when it could first be read: empty if none, None if it could not yet."""
        return self._found

    @property
    def lost(self) -> str:
        """What is gone from it, as a sentence; empty while all is there that should be."""
        has, expected = self._has, self._expected
        if not expected.count or self._found is None:
            return ""
        waiting = 0 if has.last >= expected.last else len(self._notes)
        if has.count + waiting >= expected.count and (not has.count or has.first <= expected.first):
            return ""
        return (
            f"checkpoints are gone from {self._path}, which should have those of entry {expected.first} and"
            " of all after it: it was removed, replaced or cut"
        )

    def expect(self, kept: Kept) -> None:
        """Know what should be there, with what was put and still waits."""
        with self._expecting:
            self._expected = kept

    async def last(self) -> str | None:
        """Return what is `found`, after the first try to read it, or when it takes too long."""
        await _patiently(self._looked)
        return self._found

    def put(self, note: str) -> None:
        """Add a note."""
        self._notes.append(note)
        self._wake.set()

    async def begin_anew(self, notes: Sequence[str]) -> None:
        """Move the file aside and begin one with these notes; return once that is done, or takes too long."""
        self._begun = Future()
        self._anew = notes
        self._wake.set()
        await _patiently(self._begun)

    async def close(self) -> None:
        """Wait for what was put, but no longer than a file that answers would need."""
        self._closing.set()
        self._wake.set()
        await _patiently(self._ended)

    # --- the thread -------------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            self._run()
        finally:
            self._ended.set_result(None)

    def _run(self) -> None:
        self._found = self._tried(self._read_first)
        self._looked.set_result(None)
        while self._found is None:  # nothing is added before it is known what is there
            if self._closing.wait(RETRY):
                return
            self._found = self._tried(self._read_first)
        while True:
            self._wake.wait(LOOK)
            self._wake.clear()
            if self._anew is not None and self._tried(partial(self._replace, self._anew)):
                self._anew = None
                self._begun.set_result(None)
            self._tried(self._look)
            if not self._add_waiting() or self._closing.is_set():
                return

    def _add_waiting(self) -> bool:
        """Add every note that waits; False if it ends while they could not be."""
        while self._notes:
            note = self._notes[0]
            if self._tried(partial(self._append, note)):
                with suppress(ValueError):  # it was left out meanwhile
                    self._notes.remove(note)
            elif self._closing.wait(RETRY):
                return False
        return True

    def _tried(self, act: Callable[[], _Answer]) -> _Answer | None:
        self._busy_since = self._clock.monotonic()
        try:
            answer = act()
            self._failure = ""
            return answer
        except OSError as error:
            self._failure = _reason(error, self._path)
            return None
        finally:
            self._busy_since = None

    def _read_first(self) -> str:
        last = self._read()
        self._expected = self._has
        return last

    def _look(self) -> None:
        """Read the file again if it is not as this thread left it."""
        stamp = None
        with suppress(FileNotFoundError):
            stamp = _stamp_of(self._path.stat())
        if stamp != self._stamp:
            self._read()

    def _read(self) -> str:
        """Read all of the file, and see what it has; return the last note."""
        last, has = "", Kept()
        try:
            descriptor = descriptor_of(self._path, os.O_RDONLY)
        except FileNotFoundError:
            if not self._path.parent.is_dir():
                raise
            self._stamp, self._has = None, has
            return last
        with os.fdopen(descriptor, "rb") as file:
            stamp = _stamp_of(os.fstat(descriptor))
            for note in notes_in(_lines(file, stamp[2])):
                last = note
                with suppress(Broken):
                    has = has.and_one(claimed(note).seq)
        self._stamp, self._has = stamp, has
        return last

    def _append(self, note: str) -> bool:
        self._look()
        is_new = not self._path.exists()
        descriptor = descriptor_of(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            before = _stamp_of(os.fstat(descriptor))
            is_ours, size = is_new or before == self._stamp, before[2]
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            _write(descriptor, ("\n" if torn else "") + note)
            self._stamp = _stamp_of(os.fstat(descriptor)) if is_ours else None
        finally:
            os.close(descriptor)
        if is_new:
            _sync_folder(self._path.parent)
        self._has = self._has.and_one(claimed(note).seq)
        with self._expecting:
            self._expected = self._expected.and_one(claimed(note).seq)
        return True

    def _replace(self, notes: Sequence[str]) -> bool:
        part = self._path.with_name(f".{self._path.name}.part")
        part.unlink(missing_ok=True)
        descriptor = descriptor_of(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            _write(descriptor, "".join(notes))
        finally:
            os.close(descriptor)
        if os.path.lexists(self._path):
            self._path.rename(_free_beside(self._path))
        part.rename(self._path)
        _sync_folder(self._path.parent)
        self._read()
        self._expected = self._has
        for note in set(self._notes) & set(notes):
            with suppress(ValueError):
                self._notes.remove(note)
        return True


async def _patiently(done: Future[None]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await asyncio.shield(asyncio.wrap_future(done))


def _lines(file: BinaryIO, size: int) -> Iterator[str]:
    while size > 0 and (line := file.readline(_LONGEST)):
        size -= len(line)
        yield line.decode("utf-8", "replace")


def _stamp_of(found: os.stat_result) -> _Stamp:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _free_beside(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
    return next(name for name in names if not os.path.lexists(name))


def _write(descriptor: int, text: str) -> None:
    rest = memoryview(text.encode("utf-8"))
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _reason(error: OSError, path: Path) -> str:
    if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    return error.strerror or type(error).__name__


def descriptor_of(path: Path, flags: int) -> int:
    """Open a file and return its descriptor; what is none is refused at once, and never waited for.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no regular file")
    return descriptor


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
