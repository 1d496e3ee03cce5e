"""Replaces the content of a file whole or not at all, whatever ends the program and whoever else edits it.

The new text is written to a draft beside the file, made durable and renamed over it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from coatcheck.declared.editing.draft import OPENING, Contended, NotPermitted, NotWritten, draft_for

MAX_BYTES: Final = 16 * 1024 * 1024
_NOT_OURS: Final = ("security.", "trusted.")
"""Extended attributes that the system sets by itself."""

Told = TypeVar("Told")
Change = Callable[[bytes | None], tuple[bytes, Told]]
"""From the content (None: there is no such file) to the new content, and what else is to be told."""


def rewrite(path: Path, change: Change[Told]) -> tuple[Path, Told]:
    """Replace the content of a file. Returns the real file, links followed, and what `change` told.

    Mode, owner and extended attributes stay. A new file is readable by its owner only, as are directories
    made for it. What `change` raises leaves everything as it was.

    Raises:
        NotWritten: the file could not be replaced, with what to do.
    """
    real = Path(os.path.realpath(path))
    made: list[Path] = []
    try:
        _make_directories(real.parent, made)
        with draft_for(real) as (draft, descriptor):
            old = _read(real)
            new, told = change(old.content)
            if new != old.content:
                _fill(descriptor, new, old, real.parent)
                if os.path.realpath(path) != str(real) or not old.is_still(real):
                    raise Contended(f"{real} was edited by someone else meanwhile", fix="try again")
                draft.rename(real)
                _sync_directory(real.parent)
    except BaseException as error:
        for directory in reversed(made):
            with contextlib.suppress(OSError):
                directory.rmdir()
        if isinstance(error, OSError):
            raise _not_written(real, error) from None
        raise
    return real, told


# --- the file as it is -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Old:
    content: bytes | None = None
    state: os.stat_result | None = None
    attributes: Mapping[str, bytes] = field(default_factory=dict)

    def is_still(self, path: Path) -> bool:
        """Tell whether the file is the same one with the same content."""
        now = _read(path)
        return _identity(now.state) == _identity(self.state) and now.content == self.content


def _identity(state: os.stat_result | None) -> tuple[int, ...] | None:
    if state is None:
        return None
    return state.st_dev, state.st_ino, state.st_mode, state.st_uid, state.st_gid, state.st_mtime_ns


def _read(path: Path) -> _Old:
    try:
        descriptor = os.open(path, os.O_RDONLY | OPENING)
    except FileNotFoundError:
        return _Old()
    try:
        state = os.fstat(descriptor)
        _check_replaceable(path, state)
        content = bytearray()
        while chunk := os.read(descriptor, MAX_BYTES + 1 - len(content)):
            content += chunk
        if len(content) > MAX_BYTES:
            raise NotWritten(f"{path} is larger than {MAX_BYTES // 1024 // 1024} MiB")
        return _Old(bytes(content), state, _attributes_of(descriptor))
    finally:
        os.close(descriptor)


def _check_replaceable(path: Path, state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise NotWritten(f"{path} is not a regular file", fix="name the file itself")
    if state.st_nlink > 1:
        fix = "edit it by hand, or make it a symbolic link to one of them"
        raise NotWritten(f"{path} is one of {state.st_nlink} names of the same file (hard links)", fix=fix)
    if os.geteuid() not in {0, state.st_uid}:
        fix = "run the command as the account that it belongs to"
        raise NotPermitted(f"{path} belongs to another account, which a new file would not", fix=fix)


# --- the file as it will be --------------------------------------------------------------------------------


def _fill(descriptor: int, content: bytes, old: _Old, directory: Path) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    if old.state is not None:
        _own_as(descriptor, old.state)
        os.fchmod(descriptor, stat.S_IMODE(old.state.st_mode))
        for name, value in old.attributes.items():
            os.setxattr(descriptor, name, value)
    elif os.geteuid() == 0:
        # What root makes in the directory of the gateway's account is for that account to read.
        _own_as(descriptor, directory.stat())
    os.fsync(descriptor)


def _own_as(descriptor: int, like: os.stat_result) -> None:
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
        os.fchown(descriptor, like.st_uid, like.st_gid)


def _attributes_of(descriptor: int) -> dict[str, bytes]:
    """Return the extended attributes, among them access control lists, where there are such things."""
    if not hasattr(os, "listxattr"):
        return {}
    try:
        names = os.listxattr(descriptor)
    except OSError as error:
        if error.errno in {errno.ENOTSUP, errno.ENOSYS}:
            return {}
        raise
    return {name: os.getxattr(descriptor, name) for name in names if not name.startswith(_NOT_OURS)}


# --- directories and errors --------------------------------------------------------------------------------


def _make_directories(directory: Path, made: list[Path]) -> None:
    """Make a directory and those above it, and note each that was made in `made`."""
    if directory.exists():
        return
    _make_directories(directory.parent, made)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
        made.append(directory)
        _sync_directory(directory.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that does not sync directories
            raise
    finally:
        os.close(descriptor)


_FIXES: Final = {
    errno.EBUSY: "it is mounted by itself, as containers do with one file: mount its directory instead",
    errno.EROFS: "edit the file where it comes from",
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room on the disk",
    errno.ELOOP: "correct the links",
}


def _not_written(real: Path, error: OSError) -> NotWritten:
    where = str(error.filename2 or error.filename or real)
    message = f"{real} cannot be written: {error.strerror}"
    if where != str(real):
        message += f" ({where})"
    if error.errno in {errno.EACCES, errno.EPERM}:
        fix = "run the command as the account that the file and its directory belong to"
        return NotPermitted(message, fix=fix)
    return NotWritten(message, fix=_FIXES.get(error.errno or 0, "see that its directory can be written"))
