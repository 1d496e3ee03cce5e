"""Real servers for the journeys: declarations, and Datasette, which checks the credential it is shown."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import sample
from demo.programs import Program, free_port
from real.installed import node_server, server


def accepts(port: int) -> bool:
    """Tell whether somebody listens on a port of the loopback."""
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def time_server() -> dict[str, Any]:
    """Declare the time server: stdio, both eras."""
    return {"command": str(server("time") / "mcp-server-time"), "args": ["--local-timezone", "UTC"]}


def git_server(directory: Path) -> dict[str, Any]:
    """Declare the git server over a sample repository: stdio, both eras."""
    repository = sample.repository(directory / "repository")
    return {"command": str(server("git") / "mcp-server-git"), "args": ["--repository", str(repository)]}


def notes_server(directory: Path) -> dict[str, Any]:
    """Declare the SQLite server: stdio, handshake era only."""
    notes = sample.notes(directory / "notes.db")
    return {"command": str(server("sqlite") / "mcp-server-sqlite"), "args": ["--db-path", str(notes)]}


def memory_server(file: Path) -> dict[str, Any]:
    """Declare the memory server, which keeps what it is told in a file: stdio, handshake era only."""
    return _written_for_node("memory", env={"MEMORY_FILE_PATH": str(file)})


def filesystem_server(directory: Path) -> dict[str, Any]:
    """Declare the filesystem server over one folder: stdio, handshake era only."""
    return _written_for_node("filesystem", str(directory))


def thinking_server() -> dict[str, Any]:
    """Declare the sequential thinking server: stdio, handshake era only."""
    return _written_for_node("sequential-thinking", env={"DISABLE_THOUGHT_LOGGING": "true"})


def fetch_server() -> dict[str, Any]:
    """Declare the fetch server, which may fetch from this machine: stdio, both eras."""
    return {"command": str(server("fetch") / "mcp-server-fetch"), "args": ["--allow-private-ips"]}


def _written_for_node(name: str, *arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    program, *args = node_server(name)
    return {"command": program, "args": [*args, *arguments], **({"env": env} if env else {})}


@dataclass(frozen=True)
class Orders:
    """A running Datasette whose database only a known credential opens."""

    program: Program
    url: str
    tokens: Path

    def accept(self, name: str, secret: str) -> str:
        """Let a credential in, from the next request on, and return it."""
        with sqlite3.connect(self.tokens) as connection:
            connection.execute("INSERT INTO tokens VALUES (?, ?, 'coatcheck')", (name, secret))
        connection.close()
        return f"{name}-{secret}"

    def refuse(self, name: str) -> None:
        """Let it in no longer."""
        with sqlite3.connect(self.tokens) as connection:
            connection.execute("DELETE FROM tokens WHERE token_id = ?", (name,))
        connection.close()


@contextmanager
def orders_server(directory: Path) -> Iterator[Orders]:
    """Run Datasette over HTTP; nothing is accepted before `accept`."""
    database, tokens = sample.orders(directory / "orders.db"), directory / "tokens.db"
    with sqlite3.connect(tokens) as connection:
        connection.execute("CREATE TABLE tokens (token_id TEXT, token_secret TEXT, actor_id TEXT)")
    connection.close()
    metadata = directory / "datasette.json"
    metadata.write_text(json.dumps(_METADATA), encoding="utf-8")
    port = free_port()
    command = [str(server("datasette") / "datasette"), "serve", str(database), str(tokens)]
    command += ["--metadata", str(metadata), "--host", "127.0.0.1", "--port", str(port)]
    program = Program("datasette", command, directory / "datasette.log", os.environ)
    try:
        program.wait_for_port(port, 60)
        yield Orders(program, f"http://127.0.0.1:{port}/-/mcp", tokens)
    finally:
        program.stop()


_METADATA = {
    "allow": {"id": "coatcheck"},
    "databases": {"tokens": {"allow": False}},
    "plugins": {
        "datasette-auth-tokens": {
            "query": {
                "sql": "SELECT token_secret, actor_id FROM tokens WHERE token_id = :token_id",
                "database": "tokens",
            }
        }
    },
}
