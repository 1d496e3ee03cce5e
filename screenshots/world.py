"""A gateway that a company lived with for months: made in seconds, of real calls and changes.

`world_in` plays the past on a gateway whose clock is set (`screenshots.clock`), then runs the plain one on what
that left behind.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench.local import Local
from demo.environments import ROOT
from demo.programs import DidNotStart, Program, free_port, is_free
from screenshots.clock import Hands
from screenshots.play import Play
from screenshots.servers import Remote, programs, remote_servers

PORT: Final = 8080
SERVERS_PORT: Final = 8931
READY_SECONDS: Final = 60.0
SETTINGS: Final = """
trusted_proxies = ["127.0.0.1/32"]

[[sinks]]
name = "archive"
kind = "file"
from_start = true
"""


@dataclass
class World:
    """The company's gateway as it runs now. `tokens` holds grants by their labels."""

    data: Path
    port: int
    remote: Remote
    tokens: dict[str, str] = field(default_factory=dict)
    operators: dict[str, str] = field(default_factory=dict)
    """Names of operators and their tokens for the API."""

    @property
    def origin(self) -> str:
        """Where it is, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, by: str = "") -> Any:
        """Ask the API, as an operator or on the machine itself; what was read is edited as it was read.

        Raises:
            RuntimeError: the answer was no.
        """
        headers: dict[str, str] = {"Content-Type": "application/json"}
        connection: http.client.HTTPConnection = Local(self.data / "coatcheck.sock")
        if by:
            headers["Authorization"] = f"Bearer {self.operators[by]}"
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            if method in {"PATCH", "PUT"}:
                connection.request("GET", f"/api/v1{path}", headers=headers)
                seen = connection.getresponse()
                seen.read()
                if seen.status == 200:  # else there is nothing yet
                    headers["If-Match"] = seen.headers["ETag"]
            raw = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1{path}", raw, headers)
            answer = connection.getresponse()
            told = answer.read()
        finally:
            connection.close()
        if answer.status not in {200, 201}:
            raise RuntimeError(f"{method} {path}: {answer.status} {told[:500].decode()}")
        return json.loads(told)

    def records(self) -> list[dict[str, Any]]:
        """Return all calls on record, oldest first."""
        found: list[dict[str, Any]] = self.ask("GET", "/records?limit=10000")["items"]
        return found

    def call(
        self,
        label: str,
        server: str,
        tool: str,
        arguments: dict[str, Any],
        client: str = "",
        address: str = "",
    ) -> int:
        """Call a tool as a client does, and return the status of the answer."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": client or "claude-code", "version": "2.1.0"},
        }
        params = {"name": f"{server}__{tool}", "arguments": arguments, "_meta": meta}
        headers: dict[str, str] = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {self.tokens[label]}",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call",
            "Mcp-Name": f"{server}__{tool}",
            "X-Forwarded-For": address or "10.20.4.17",
        }
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", "/mcp", body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()


@contextmanager
def world_in(folder: Path, *, calls: int = 450, usual: bool = False) -> Iterator[World]:
    """Make the company's gateway in an empty folder, and run it while the block lasts.

    `usual`: on the ports that pictures show, as far as nobody else has them; on any free ones without.
    """
    data = folder / "data"
    data.mkdir(parents=True, mode=0o700)
    (data / "coatcheck.toml").write_text(SETTINGS, encoding="utf-8")
    (data / "coatcheck.toml").chmod(0o600)
    with remote_servers(_free(SERVERS_PORT) if usual else 0) as remote:
        world = World(data, _free(PORT) if usual else free_port(), remote)
        hands = Hands(folder / "clock")
        now = datetime.now(UTC)
        hands.set(now - timedelta(days=120))
        with _gateway(world, folder, ["-m", "screenshots.clock", str(hands.file)]):
            Play(world, hands, now, calls).run()
        with _gateway(world, folder, ["-m", "coatcheck"]):
            world.remote.changed = True
            world.ask("GET", "/tools")
            Play(world, hands, now, 0).just_now()
            yield world


@contextmanager
def _gateway(world: World, folder: Path, program: list[str]) -> Iterator[None]:
    """Run a gateway on the world's data while the block lasts."""
    ours = {name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_"))}
    path = os.pathsep.join([str(programs(folder / "bin")), ours.get("PATH", os.defpath)])
    python = os.pathsep.join([str(ROOT), str(ROOT / "src"), ours.get("PYTHONPATH", "")])
    command = [sys.executable, *program, "up", "--http", f"127.0.0.1:{world.port}", "--data", str(world.data)]
    surroundings = {**ours, "PATH": path, "PYTHONPATH": python, "HOME": str(folder)}
    running = Program("coatcheck", command, folder / f"{program[1]}.log", surroundings)
    try:
        _await(world.port, running)
        yield
    finally:
        running.stop()


def _await(port: int, running: Program) -> None:
    running.wait_for_port(port, READY_SECONDS)
    limit = time.monotonic() + READY_SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass  # it takes connections a moment before it answers on them
        finally:
            connection.close()
        if running.has_ended() or time.monotonic() > limit:
            raise DidNotStart(running.last_words())
        time.sleep(0.02)


def _free(wished: int) -> int:
    return wished if is_free(wished) else free_port()
