"""The demo's servers: where each is installed, what it serves, and the `servers.json` that declares them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coatcheck.core.tokens import digest
from demo import sample
from demo.environments import PINS, Say, environment
from demo.programs import Program, free_port

SUBJECT: Final = "demo"
START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """The folder that the demo keeps everything in."""

    root: Path

    @property
    def state(self) -> Path:
        """The gateway's data directory."""
        return self.root / "data"

    @property
    def config(self) -> Path:
        """The declaration that the gateway reads."""
        return self.state / "servers.json"

    @property
    def credential(self) -> Path:
        """What the gateway presents to the HTTP server. The server knows it too; no client ever does."""
        return self.state / "orders.credential"

    def log(self, name: str) -> Path:
        """Where a program's output goes."""
        return self.root / "logs" / f"{name}.log"


def install(place: Place, say: Say) -> Mapping[str, Path]:
    """Make one environment for each server and return the folder of its commands, by name."""
    names = ["time", "sqlite", "datasette"]
    if shutil.which("git"):
        names.append("git")
    else:
        say("git is not installed here, so the demo goes without its git server")
    with ThreadPoolExecutor(max_workers=2) as pool:
        made = pool.map(
            lambda name: environment(PINS / "servers" / f"{name}.txt", place.root / "servers" / name, say),
            names,
        )
        return dict(zip(names, made, strict=True))


def start_orders(place: Place, commands: Mapping[str, Path]) -> tuple[Program, str]:
    """Start the HTTP server, which answers only to the credential, and return it with its URL."""
    credential = secrets.token_urlsafe(32)
    write_private(place.credential, credential + "\n")
    metadata = place.root / "samples" / "datasette.json"
    database = sample.orders(place.root / "samples" / "orders.db")
    metadata.write_text(json.dumps(_DATASETTE, indent=2), encoding="utf-8")
    port = free_port()
    command = [str(commands["datasette"] / "datasette"), "serve", str(database), "--metadata", str(metadata)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    program = Program(
        "datasette", command, place.log("datasette"), {**os.environ, "ORDERS_TOKEN": credential}
    )
    try:
        program.wait_for_port(port, START_SECONDS)
    except BaseException:
        program.stop()
        raise
    return program, f"http://127.0.0.1:{port}/-/mcp"


def declare(place: Place, commands: Mapping[str, Path], orders_url: str, grant: str) -> list[str]:
    """Write `servers.json`: servers, one grant by its digest, one access rule. Return the servers' names."""
    notes = sample.notes(place.root / "samples" / "notes.db")
    servers: dict[str, Any] = {
        "time": {"command": str(commands["time"] / "mcp-server-time"), "args": ["--local-timezone", "UTC"]},
        "notes": {
            "command": str(commands["sqlite"] / "mcp-server-sqlite"),
            "args": ["--db-path", str(notes)],
        },
        "orders": {
            "type": "http",
            "url": orders_url,
            "headers": {"Authorization": f"Bearer ${{file:{place.credential}}}"},
        },
    }
    if "git" in commands:
        repository = sample.repository(place.root / "samples" / "repository")
        servers["git"] = {
            "command": str(commands["git"] / "mcp-server-git"),
            "args": ["--repository", str(repository)],
        }
    rules = [{"tools": ["git__git_reset", "git__git_checkout"], "policy": "deny"}]
    declaration = {
        "mcpServers": servers,
        "serverAuth": {
            "provider": "bearer",
            "bearer": {"tokens": {f"sha256:{digest(grant)}": SUBJECT}},
            "acl": {"default": "allow", "rules": rules},
        },
    }
    write_private(place.config, json.dumps(declaration, indent=2) + "\n")
    return list(servers)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.rename(path)


_DATASETTE: Final = {
    "title": "Orders",
    "allow": {"id": "coatcheck"},
    "plugins": {
        "datasette-auth-tokens": {
            "tokens": [{"token": {"$env": "ORDERS_TOKEN"}, "actor": {"id": "coatcheck"}}],
        },
    },
}
"""Datasette's own settings: one token, taken from its environment; nobody else sees anything."""
