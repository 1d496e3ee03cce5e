"""A draft beside a file that is being edited, which is the lock of the edit as well.

Whoever holds the draft edits, the others wait. The lock is on the open file, so the kernel lets go of it
when its holder dies; the draft that is left then is thrown away. A lock file would stay behind for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coatcheck.errors import ConfigError

OPENING: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Flags for everything that is opened here: a link or pipe in the way is neither followed nor waited for."""
_PAUSE_SECONDS: Final = 0.05
_ATTEMPTS: Final = 200


class NotWritten(ConfigError):
    """The file is as it was."""

    code = "not_written"


class NotPermitted(NotWritten):
    """This account may not replace the file, or not without giving it another owner."""

    code = "not_permitted"


class Contended(NotWritten):
    """Someone else edited the file at the same time."""

    code = "contended"


@contextlib.contextmanager
def draft_for(real: Path) -> Iterator[tuple[Path, int]]:
    """Hold an empty draft beside a file, by path and descriptor; unless it is renamed, it is gone at the end.

    Raises:
        Contended: another edit does not end.
        OSError: there can be no draft.
    """
    draft = real.with_name(f".{real.name}.edit")
    descriptor = _take(draft)
    try:
        yield draft, descriptor
    finally:
        with contextlib.suppress(OSError):
            if _is_at(descriptor, draft):
                draft.unlink()
        os.close(descriptor)


def _take(draft: Path) -> int:
    for _ in range(_ATTEMPTS):
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | OPENING, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before may have renamed or removed it: then it locks nothing.
            if _is_at(descriptor, draft):
                if _is_new(os.fstat(descriptor)):
                    return descriptor
                draft.unlink()
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    fix = f"wait for it to end, and try again; the edit's draft is {draft}"
    raise Contended("another command edits the file", fix=fix)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _is_new(state: os.stat_result) -> bool:
    """Tell whether a draft is empty, and nobody but us can have it open."""
    is_ours = state.st_uid == os.geteuid() and stat.S_ISREG(state.st_mode) and state.st_nlink == 1
    return is_ours and state.st_size == 0 and not state.st_mode & 0o077
