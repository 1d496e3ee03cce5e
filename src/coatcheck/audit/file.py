"""A sink in a file of lines: set aside by size and by day, and opened anew where somebody else moved it."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from coatcheck.audit.lane import Lane
from coatcheck.audit.stream import Write
from coatcheck.core.copies.lines import json_copy
from coatcheck.errors import SinkFailed
from coatcheck.model.sink import Copy, FileOptions, Fsync
from coatcheck.ports import Clock

MODE: Final = 0o600
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_ASIDE: Final = re.compile(r"\.[0-9]{8}T[0-9]{6}\.[0-9]{6}Z")


class FileSink:
    """Implements `ports.Sink` on a file that only our account can read, unless it was there before.

    A file set aside has the time of that in its name: `audit.jsonl.20261103T090807.060504Z`. What was half
    written when the disk was full is taken back; what was when the power went is ended by a newline.
    """

    def __init__(self, options: FileOptions, clock: Clock, write: Write = json_copy) -> None:
        self._options = options
        self._clock = clock
        self._write = write
        self._lane = Lane("file-sink")
        self._descriptor: int | None = None
        self._day: date = clock.now().date()
        self._mode = MODE

    async def deliver(self, copies: Sequence[Copy]) -> None:
        """Append one line for each copy; returns when they are on the disk, unless `fsync` is `never`."""
        await self._lane.run(lambda: self._append(copies))

    async def close(self) -> None:
        """Close the file once what was given is written."""
        with suppress(SinkFailed):
            await self._lane.run(self._let_go)
        self._lane.close()

    def _append(self, copies: Sequence[Copy]) -> None:
        try:
            descriptor = self._current()
            for lines in self._shares(copies, os.fstat(descriptor).st_size):
                if lines is None:
                    self._set_aside()
                    descriptor = self._current()
                else:
                    _write_whole(descriptor, lines)
            if self._options.fsync is Fsync.BATCH:
                os.fdatasync(descriptor)
        except OSError as error:
            self._let_go()
            raise SinkFailed(_why(error, self._options.path)) from None

    def _shares(self, copies: Sequence[Copy], size: int) -> Sequence[bytes | None]:
        """Return what goes into one file after the other; None between two. A file has one line at least."""
        shares: list[bytes | None] = []
        lines: list[bytes] = []
        for copy in copies:
            line = self._write(copy) + b"\n"
            if size and size + len(line) > self._options.rotate_bytes:
                shares += [b"".join(lines), None]
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        return [*shares, b"".join(lines)]

    def _current(self) -> int:
        """Return the file to write to: opened anew if it was moved, set aside if its day is over."""
        if self._descriptor is not None and not self._still_there(self._descriptor):
            self._let_go()
        if self._descriptor is None:
            self._open()
        if self._options.rotate_daily and self._clock.now().date() != self._day:
            if self._descriptor is not None and os.fstat(self._descriptor).st_size:
                self._set_aside()
                self._open()
            self._day = self._clock.now().date()
        if self._descriptor is None:  # pragma: no cover - `_open` has set it
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._descriptor

    def _still_there(self, descriptor: int) -> bool:
        """Tell whether the name still leads to our file: log rotation from outside renames it."""
        try:
            named = self._options.path.lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def _open(self) -> None:
        self._options.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._options.path, _FLAGS, MODE)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file")
            if found.st_size == 0:
                os.fchmod(descriptor, self._mode)  # as the one before; the umask has no say
                _sync_directory(self._options.path.parent)
            else:
                self._mode = stat.S_IMODE(found.st_mode)
                self._day = datetime.fromtimestamp(found.st_mtime, UTC).date()
                if os.pread(descriptor, 1, found.st_size - 1) != b"\n":
                    _write_whole(descriptor, b"\n")
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _set_aside(self) -> None:
        if self._descriptor is not None:
            os.fdatasync(self._descriptor)
        self._let_go()
        path = self._options.path
        at = self._clock.now().astimezone(UTC)
        aside = path.with_name(f"{path.name}.{at:%Y%m%dT%H%M%S.%fZ}")
        number = 0
        while aside.exists():  # the clock was set back
            number += 1
            aside = path.with_name(
                f"{path.name}.{at:%Y%m%dT%H%M%S}.{(at.microsecond + number) % 1_000_000:06}Z"
            )
        path.rename(aside)
        self._remove_old()

    def _remove_old(self) -> None:
        path = self._options.path
        start = len(path.name)
        aside = sorted(
            one for one in path.parent.glob(f"{_literal(path.name)}.*") if _ASIDE.fullmatch(one.name[start:])
        )
        for old in aside[: max(0, len(aside) - self._options.keep)]:
            with suppress(FileNotFoundError):
                old.unlink()
        _sync_directory(path.parent)

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):  # it is what failed already
                os.close(descriptor)


def _write_whole(descriptor: int, text: bytes) -> None:
    """Append all of a text or none of it."""
    before = os.fstat(descriptor).st_size
    rest = memoryview(text)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _why(error: OSError, path: Path) -> str:
    if error.errno == errno.ELOOP:
        return f"{path} is a symbolic link, and none is followed"
    return f"{path} cannot be written ({error.strerror})"
