"""Starts programs in process groups of their own and ends them, so that nothing is left running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

TERM_SECONDS: Final = 20.0


class DidNotStart(Exception):
    """A program ended or stayed silent instead of listening; the text gives its last words."""


class Program:
    """One running program. Its output goes to a log; a Ctrl-C in the terminal does not reach it by itself."""

    def __init__(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is the id of the group too."""
        return self._child.pid

    def has_ended(self) -> bool:
        """Tell whether the program is gone."""
        return self._child.poll() is not None

    def last_words(self) -> str:
        """Return the end of what the program wrote."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return "\n".join(lines[-8:]) or "it wrote nothing"

    def wait_for_port(self, port: int, seconds: float) -> None:
        """Return when the program accepts connections. Raises `DidNotStart`."""
        limit = time.monotonic() + seconds
        while not accepts(port):
            if self.has_ended():
                raise DidNotStart(f"{self.name} ended at once:\n{self.last_words()}")
            if time.monotonic() > limit:
                raise DidNotStart(f"{self.name} did not listen within {seconds:.0f} s:\n{self.last_words()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the program: ask, wait, then end the whole group for certain."""
        if not self.has_ended():
            self._child.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(TERM_SECONDS)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()


def accepts(port: int) -> bool:
    """Tell whether someone on this machine takes connections on the port."""
    with socket.socket() as trial:
        trial.settimeout(1.0)
        return trial.connect_ex(("127.0.0.1", port)) == 0


def is_free(port: int) -> bool:
    """Tell whether we could listen on the port."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
