"""Installs the official suite, pinned with its hashes, and a Node for it, under `build/conformance`."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from demo.environments import PINS, ROOT, CannotInstall, Say, environment

BUILD: Final = ROOT / "build" / "conformance"
OLDEST_NODE: Final = 22
INSTALL_SECONDS: Final = 600
LOCK: Final = tuple(PINS / "conformance" / name for name in ("package.json", "package-lock.json"))


def node(say: Say) -> Path:
    """Return the folder that holds `node` and `npm`: those installed if new enough, else our own."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found and npm and _version(found) >= OLDEST_NODE:
        return Path(found).parent
    return environment(PINS / "clients" / "node.txt", BUILD / "node", say)


def suite(commands: Path, say: Say) -> Path:
    """Return the suite's program. Raises `CannotInstall`."""
    directory = BUILD / "suite"
    seal = hashlib.sha256(b"\n".join(path.read_bytes() for path in LOCK)).hexdigest()
    ready = directory / f".ready-{seal[:16]}"
    if not ready.exists():
        say("installing the conformance suite")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for path in LOCK:
            shutil.copy(path, directory)
        _install(commands, directory)
        ready.touch()
    return directory / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


def surroundings(commands: Path) -> dict[str, str]:
    """Return the environment of a program written for Node."""
    return {**os.environ, "PATH": os.pathsep.join([str(commands), os.environ.get("PATH", os.defpath)])}


def _version(command: str) -> int:
    words = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.", words)
    return int(found[1]) if found else 0


def _install(commands: Path, directory: Path) -> None:
    command = [str(commands / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    ended = subprocess.run(
        command,
        cwd=directory,
        env=surroundings(commands),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if ended.returncode:
        raise CannotInstall(f"could not install the conformance suite: {ended.stderr.strip()[-2000:]}")
