"""Runs a command on a real pseudo-terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence

COLUMNS = 120


_SHOWN_FOR_A_WHILE = re.compile(r"\x1b\[\?25l[^\x1b]*(?:\r\x1b\[2K[^\x1b]*)*\x1b\[\?25h\r\x1b\[1A\x1b\[2K")
"""What `show.waiting` shows, and takes away again."""


def settled(shown: str) -> str:
    """Return what stays on a terminal of what a command showed."""
    return _SHOWN_FOR_A_WHILE.sub("", shown)


def on_terminal(arguments: Sequence[str], *, stdin: bool = True) -> tuple[int, str]:
    """Return exit code and everything that reached the terminal, standard error included."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-m", "coatcheck", *arguments],
        stdin=slave if stdin else subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1"},
        start_new_session=True,
    )
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal ends on Linux
        while piece := os.read(master, 65536):
            shown += piece
    os.close(master)
    return child.wait(10), shown.decode().replace("\r\n", "\n")
