"""Starts a child through the launcher and learns whether the command could be run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_LAUNCHER: Final = str(Path(__file__).with_name("launcher.py"))


@dataclass(frozen=True, slots=True)
class Launch:
    """What is run, all in the clear: make it right before the start and keep it nowhere.

    `server` is the server's name, for messages. `env` is the whole environment.
    """

    server: str
    command: str
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None


class NotStarted(Exception):
    """The launcher could not run the command: the step that failed and the errno, 0 for a malformed value."""

    def __init__(self, step: str, number: int) -> None:
        super().__init__(step, number)
        self.step = step
        self.number = number


def start(launch: Launch) -> tuple[int, subprocess.Popen[bytes]]:
    """Start the launcher; return the pipe on which it reports, and the child. Takes about a millisecond.

    Raises:
        NotStarted: no process could be made.
    """
    try:
        report, end = os.pipe()
    except OSError as error:
        raise NotStarted("start", error.errno or 0) from None
    head = [sys.executable, "-I", "-S", _LAUNCHER, str(end), str(os.getpid()), launch.cwd or ""]
    try:
        popen = subprocess.Popen(  # noqa: S603 - to run what the operator configured is our trade
            [*head, launch.command, *launch.args],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=launch.env,
            start_new_session=True,
            pass_fds=(end,),
        )
    except (OSError, ValueError) as error:
        os.close(report)
        raise NotStarted("start", getattr(error, "errno", None) or 0) from None
    finally:
        os.close(end)
    return report, popen


async def launched(report: int) -> None:
    """Wait until the launcher has become the command; closes the pipe.

    Raises:
        NotStarted: it could not.
    """
    loop = asyncio.get_running_loop()
    os.set_blocking(report, False)
    readable = asyncio.Event()
    loop.add_reader(report, readable.set)
    said = b""
    try:
        while True:
            await readable.wait()
            readable.clear()
            with suppress(BlockingIOError):
                chunk = os.read(report, 64)
                if not chunk:
                    break
                said += chunk
    finally:
        loop.remove_reader(report)
        os.close(report)
    if said:
        step, _, number = said.decode("ascii").partition(" ")
        raise NotStarted(step, int(number))
