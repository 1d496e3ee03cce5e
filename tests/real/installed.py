"""Installs the real servers and clients that the journeys use, pinned and once, under `build/real`."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

from demo.environments import PINS, ROOT, environment

BUILD: Final = ROOT / "build" / "real"
OLDEST_NODE: Final = 20
INSTALL_SECONDS: Final = 600


def say(words: str) -> None:
    """Tell whoever watches a long first run what takes the time."""
    print(f"[tests] {words}", file=sys.__stderr__, flush=True)


@cache
def server(name: str) -> Path:
    """Return the folder of commands of one real server: time, git, fetch, sqlite, datasette or iam."""
    return environment(PINS / "servers" / f"{name}.txt", BUILD / "servers" / name, say)


@cache
def older_sdk() -> Path:
    """Return the folder of commands of an environment with the `mcp` SDK 1.x."""
    return environment(PINS / "clients" / "mcp1.txt", BUILD / "clients" / "mcp1", say)


@cache
def last_sdk_1() -> Path:
    """Return the folder of commands of an environment with the last release of the `mcp` SDK 1.x."""
    return environment(PINS / "clients" / "mcp1-last.txt", BUILD / "clients" / "mcp1-last", say)


@cache
def node() -> Path:
    """Return the folder that holds `node` and `npm`: those installed if new enough, else our own."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found and npm and _node_version(found) >= OLDEST_NODE:
        return Path(found).parent
    return environment(PINS / "clients" / "node.txt", BUILD / "clients" / "node", say)


@cache
def npm_clients() -> Path:
    """Return the folder in which the clients written for Node are installed."""
    # The one install script that is needed: it puts the agent's own program in its place.
    agent = [str(node() / "node"), "node_modules/@anthropic-ai/claude-code/install.cjs"]
    return _packages("clients", BUILD / "clients" / "npm", agent)


@cache
def node_server(name: str) -> list[str]:
    """Return the command of a reference server: everything, filesystem, memory, postgres, sequential-thinking."""
    return npm_server(f"@modelcontextprotocol/server-{name}", "dist/index.js")


@cache
def npm_server(package: str, script: str) -> list[str]:
    """Return the command of a server for Node, by its package and the script in it."""
    packages = _packages("servers", BUILD / "servers" / "npm") / "node_modules"
    return [str(node() / "node"), str(packages / package / script)]


@cache
def axe() -> Path:
    """Return the script of axe-core, which judges a page in the browser by the rules of accessibility."""
    return _packages("browser", BUILD / "browser") / "node_modules" / "axe-core" / "axe.min.js"


def npm_command(name: str) -> str:
    """Return the path of a command that one of those clients brings."""
    return str(npm_clients() / "node_modules" / ".bin" / name)


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a client: a home of its own, Node on the path, nothing of ours."""
    home.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(node()), os.environ.get("PATH", os.defpath)])
    return {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8", **more}


def _packages(kind: str, directory: Path, *then: list[str]) -> Path:
    """Return the folder in which the pinned packages of `clients`, `servers` or `browser` are; install them at first."""
    pins = [PINS / kind / name for name in ("package.json", "package-lock.json")]
    seal = hashlib.sha256(b"\n".join(path.read_bytes() for path in pins) + platform.machine().encode())
    ready = directory / f".ready-{seal.hexdigest()[:16]}"
    if not ready.exists():
        say(f"installing what is written for Node: {kind}")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for path in pins:
            shutil.copy(path, directory)
        _run([str(node() / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], directory)
        for command in then:
            _run(command, directory)
        ready.touch()
    return directory


def _node_version(command: str) -> int:
    words = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.", words)
    return int(found[1]) if found else 0


def _run(command: list[str], directory: Path) -> None:
    path = os.pathsep.join([str(node()), os.environ.get("PATH", os.defpath)])
    ended = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {ended.stderr[-2000:]}")
