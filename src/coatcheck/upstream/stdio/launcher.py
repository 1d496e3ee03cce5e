"""Runs in the child before the server does: ties its life to the gateway's, then becomes the server.

A script of the standard library only, run by `spawn.py` as `python -I -S launcher.py`. Code between
fork and exec cannot do this: with threads in the gateway it may deadlock, and a slow disk would stop the
whole gateway until the command was found. What goes wrong is written to a pipe that closes on exec.

Arguments: the pipe's descriptor, the gateway's pid, the working directory or "", the command, its arguments.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _die_with(parent: int) -> None:
    """Have the kernel kill us when the gateway's thread that started us ends (prctl(2), Linux only)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it ended before we asked


def _calm() -> None:
    """Leave no core file, and undo what the interpreter did to signals."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main(arguments: list[str]) -> None:
    """Become the server, or write `<step> <errno>` to the pipe and exit 127."""
    report, parent, cwd, command = int(arguments[0]), int(arguments[1]), arguments[2], arguments[3]
    step = "start"
    try:
        os.set_inheritable(report, False)
        _die_with(parent)
        _calm()
        if cwd:
            step = "cwd"
            os.chdir(cwd)
        step = "command"
        os.execvp(command, arguments[3:])  # noqa: S606 - to run this command is what we are here for
    except (OSError, ValueError) as error:
        os.write(report, f"{step} {getattr(error, 'errno', 0) or 0}".encode())
    os._exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
