"""The file of checkpoints outside of the database: appended to by a thread of its own, each note synced.

A file that hangs or is full holds up nobody: notes wait in memory, the newest thousand of them, and the error
is told until it takes them.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from coatcheck.core.recording.notes import notes_in
from coatcheck.ports import Clock

WAITING: Final = 1_000
"""Notes that wait for the file; the oldest are left out beyond, for each note speaks for all before it."""

PATIENCE: Final = 5.0
"""Seconds after which a file that does not answer is told of, and is not waited for."""

RETRY: Final = 5.0
_TAIL: Final = 64 * 1024

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

    async def last(self) -> str | None:
        """Return what is `found`, after the first try to read it, or when it takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await asyncio.shield(asyncio.wrap_future(self._looked))
        return self._found

    def put(self, note: str) -> None:
        """Add a note."""
        self._notes.append(note)
        self._wake.set()

    async def close(self) -> None:
        """Wait for what was put, but no longer than a file that answers would need."""
        self._closing.set()
        self._wake.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await asyncio.shield(asyncio.wrap_future(self._ended))

    # --- the thread -------------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            self._run()
        finally:
            self._ended.set_result(None)

    def _run(self) -> None:
        self._found = self._tried(self._read)
        self._looked.set_result(None)
        while self._found is None:  # nothing is added before it is known what is there
            if self._closing.wait(RETRY):
                return
            self._found = self._tried(self._read)
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._notes:
                note = self._notes[0]
                if self._tried(partial(self._append, note)):
                    with suppress(ValueError):  # it was left out meanwhile
                        self._notes.remove(note)
                elif self._closing.wait(RETRY):
                    return
            if self._closing.is_set():
                return

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

    def _read(self) -> str:
        try:
            descriptor = _open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            if not self._path.parent.is_dir():
                raise
            return ""
        with os.fdopen(descriptor, "rb") as file:
            file.seek(max(0, os.fstat(descriptor).st_size - _TAIL))
            lines = file.read(_TAIL).decode("utf-8", "replace").splitlines(keepends=True)
        last = ""
        for note in notes_in(lines):
            last = note
        return last

    def _append(self, note: str) -> bool:
        is_new = not self._path.exists()
        descriptor = _open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            text = memoryview((b"\n" if torn else b"") + note.encode("utf-8"))
            while text:
                text = text[os.write(descriptor, text) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            _sync_folder(self._path.parent)
        return True


def _reason(error: OSError, path: Path) -> str:
    if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    return error.strerror or type(error).__name__


def _open(path: Path, flags: int) -> int:
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
