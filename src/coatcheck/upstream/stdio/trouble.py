"""Words for a child that does not start or that ended: cause and fix, without secrets."""

from __future__ import annotations

import errno
import os
import signal
from typing import Final

from coatcheck.errors import UpstreamUnreachable
from coatcheck.upstream.stdio.spawn import Launch, NotStarted

_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


def could_not_start(launch: Launch, trouble: NotStarted) -> UpstreamUnreachable:
    """Return the error for a child that could not be started: a word for callers, more for operators."""
    kind, detail, fix = _words(launch, trouble)
    return UpstreamUnreachable(f"{launch.server} could not be started: {kind}", detail=detail, fix=fix)


def _words(launch: Launch, trouble: NotStarted) -> tuple[str, str, str]:
    said = os.strerror(trouble.number) if trouble.number else "a value has a NUL, or a name is impossible"
    if trouble.step == "cwd":
        return (
            "its working directory cannot be entered",
            f"cwd {launch.cwd!r}: {said}",
            "create the directory, or correct `cwd` of the server",
        )
    if trouble.step == "command" and trouble.number in _ABSENT:
        return ("its command was not found", *_absent(launch))
    if trouble.step == "command":
        return (
            "its command cannot be run",
            f"command {launch.command!r}: {said}",
            "make the file executable for this user and this machine, or correct `command` of the server",
        )
    return (
        "no process could be made for it",
        f"starting {launch.command!r}: {said}",
        "see that limits of processes and open files leave room and that `env` and `args` are text",
    )


def _absent(launch: Launch) -> tuple[str, str]:
    if "/" in launch.command:
        return (
            f"command {launch.command!r} does not exist, or the interpreter in its first line does not",
            "install it, or correct `command` of the server",
        )
    return (
        f"command {launch.command!r} is in no directory of PATH={launch.env.get('PATH', '')}",
        "install it, give its full path as `command`, or set PATH in the `env` of the server",
    )


def ending(code: int) -> str:
    """Say how a child ended, from its return code as `subprocess` gives it."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
