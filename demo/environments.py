"""Makes Python environments of pinned packages, each once: for the demo's servers and for the tests."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PINS: Final = ROOT / "requirements"
INSTALL_SECONDS: Final = 600.0

Say = Callable[[str], None]


class CannotInstall(Exception):
    """An environment could not be made; the text names it and gives the installer's last words."""


def environment(pins: Path, directory: Path, say: Say) -> Path:
    """Return the `bin` folder of an environment that holds exactly what the file `pins` lists.

    The environment lies in `directory` and is made anew when the pins, this Python or its place change.
    Safe for several programs at once. Raises `CannotInstall`.
    """
    seal = hashlib.sha256(f"{sys.version}\n{directory}\n".encode() + pins.read_bytes()).hexdigest()
    ready = directory / f".ready-{seal[:16]}"
    if not ready.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with (directory.parent / f".{directory.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not ready.exists():
                _make(pins, directory, say)
                ready.touch()
    return directory / "bin"


def _make(pins: Path, directory: Path, say: Say) -> None:
    say(f"installing {', '.join(_asked_for(pins))}")
    shutil.rmtree(directory, ignore_errors=True)
    # pip of this environment installs into the other: half the time of giving each a pip of its own.
    venv.create(directory, with_pip=False, symlinks=True)
    command = [sys.executable, "-m", "pip", "--python", str(directory), "install", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--no-warn-script-location", "--requirement", str(pins)]
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        env={**os.environ, "PYTHONNOUSERSITE": "1"},
        check=False,
    )
    if ended.returncode:
        last = ended.stderr.strip().splitlines()[-3:]
        raise CannotInstall(f"could not install {pins.name}: " + " ".join(last))


def _asked_for(pins: Path) -> list[str]:
    """Return what the file asks for, without what that brings along (after the first empty line)."""
    head = pins.read_text(encoding="utf-8").split("\n\n", 1)[0]
    return [line.replace("==", " ") for line in head.splitlines() if line and not line.startswith(("#", "-"))]
