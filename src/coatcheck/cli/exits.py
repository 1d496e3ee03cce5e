"""Exit codes, after sysexits.h where it has one, and which foreseen failure gets which."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from coatcheck.errors import CallerError, CoatcheckError, ConfigError, Unavailable, UpstreamError


class Exit(IntEnum):
    """What a script can tell from a command's exit code."""

    DONE = 0
    NO = 1
    USAGE = 2
    UNPROVEN = 3
    UNREACHABLE = 69
    UNFORESEEN = 70
    LOCKED = 73
    NOT_PERMITTED = 77
    CONFIG = 78
    INTERRUPTED = 130
    PIPE_CLOSED = 141


class Stop(CoatcheckError):
    """A command cannot go on, and knows its exit code."""

    code = "stop"

    def __init__(self, message: str, *, exit_code: Exit, fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.exit_code = exit_code


LOCKED: Final = "locked"
"""The code of the store's `DirectoryLocked`, which is known by it: importing the store loads SQLAlchemy."""

_BY_CLASS: Final[tuple[tuple[type[CoatcheckError], Exit], ...]] = (
    (ConfigError, Exit.CONFIG),
    (UpstreamError, Exit.UNREACHABLE),
    (Unavailable, Exit.UNREACHABLE),
    (CallerError, Exit.USAGE),
)


def exit_of(error: CoatcheckError) -> Exit:
    """Return the exit code owed for a foreseen failure."""
    if isinstance(error, Stop):
        return error.exit_code
    if error.code == LOCKED:
        return Exit.LOCKED
    for kind, code in _BY_CLASS:
        if isinstance(error, kind):
            return code
    return Exit.NO


def exit_of_status(status: int) -> Exit:
    """Return the exit code owed for an HTTP status of the gateway's API."""
    if status in {401, 403}:
        return Exit.NOT_PERMITTED
    if status in {400, 413, 422}:
        return Exit.USAGE
    if status in {429, 502, 503, 504}:
        return Exit.UNREACHABLE
    if status == 500:
        return Exit.UNFORESEEN
    return Exit.NO
