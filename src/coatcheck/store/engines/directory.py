"""The data directory: made private, held by one process at a time."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final, Self

from coatcheck.errors import ConfigError
from coatcheck.store.faults import DirectoryLocked

LOCK_FILE: Final = "coatcheck.lock"
DATABASE_FILE: Final = "coatcheck.sqlite3"

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def prepare(directory: Path) -> Path:
    """Make the data directory if need be, readable by its owner only, and return its absolute path.

    An existing directory that is empty or already ours is closed to others; one that holds other files
    keeps its mode, and is refused if others may write there, since they could swap the files in it.

    Raises:
        ConfigError: it cannot be made, is no directory, belongs to someone else or is open to writers.
    """
    path = directory.expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid == os.geteuid():
            _close_to_others(path, found.st_mode)
        elif found.st_uid != 0:
            raise ConfigError(
                f"the data directory {path} belongs to another user",
                fix="choose a directory of your own with --data",
            )
    except OSError as error:
        reason = "it is not a directory" if isinstance(error, FileExistsError) else error.strerror
        raise ConfigError(
            f"the data directory {path} cannot be used: {reason}",
            fix="choose a directory that this user can write with --data or COATCHECK_DATA",
        ) from None
    return path


def _close_to_others(path: Path, mode: int) -> None:
    names = {entry.name for entry in path.iterdir()}
    if not names or names & {LOCK_FILE, DATABASE_FILE}:
        if mode & _OTHERS:
            path.chmod(0o700)
    elif mode & _OTHERS_WRITE:
        raise ConfigError(
            f"other users may write to the data directory {path}", fix=f"run: chmod go-w '{path}'"
        )


def create_private(path: Path) -> None:
    """Make sure that `path` is a regular file of ours, mode 0600; an existing one keeps its content.

    Raises:
        ConfigError: it is a link or no regular file, or cannot be opened for writing.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be opened for writing: {error.strerror}",
            fix="it must be a regular file (no link) that belongs to the user who runs the gateway",
        ) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{path} is not a regular file", fix="move it away")
        if stat.S_IMODE(found.st_mode) != 0o600 and found.st_uid == os.geteuid():
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


class DirectoryLock:
    """Holds a data directory for this process. The kernel lets go of it when the process dies.

    Locked is the directory itself: a file in it could be removed, and another made and locked. The file is
    locked as well, and says who holds both; it stays behind.
    """

    def __init__(self, *descriptors: int) -> None:
        self._descriptors = descriptors

    @classmethod
    def take(cls, directory: Path) -> Self:
        """Lock the directory, which must exist.

        Raises:
            DirectoryLocked: another process holds it; the message names its pid.
            ConfigError: the file system cannot lock.
        """
        path = directory / LOCK_FILE
        create_private(path)
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = _pid_in(descriptor)
            os.close(folder)
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                raise _taken(directory, pid) from None
            raise ConfigError(
                f"the data directory {directory} cannot be locked: {error.strerror}",
                fix="keep it on a local disk",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        return cls(folder, descriptor)

    def release(self) -> None:
        """Let another process have the directory. Safe to call twice."""
        descriptors, self._descriptors = self._descriptors, ()
        for descriptor in descriptors:
            os.close(descriptor)


def _pid_in(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _taken(directory: Path, pid: int | None) -> DirectoryLocked:
    holder = f"process {pid}" if pid else "another process"
    return DirectoryLocked(
        f"the data directory {directory} is in use by {holder}",
        fix="stop that gateway, or give this one a directory of its own with --data",
        pid=pid,
    )


def sync(path: Path) -> None:
    """Make what was written to a file, or the names in a directory, survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
