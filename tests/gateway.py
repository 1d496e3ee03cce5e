"""Runs `coatcheck serve` as a child in a data directory of its own; checks that it leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from coatcheck.core.tokens import digest, mint

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 40.0
CHANGE_SECONDS: Final = 20.0
MODERN: Final = "2026-07-28"
_EPOCH: Final = "coatcheck_config_epoch "


def free_port() -> int:
    """Return a port of the loopback on which nobody listens now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def new_grant() -> tuple[str, str]:
    """Return a fresh grant and the key under which `bearer.tokens` holds it."""
    grant = mint(os.urandom)
    return grant, f"sha256:{digest(grant)}"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)


@dataclass
class Gateway:
    """A gateway as a person runs it: a program, a `servers.json` and a data directory.

    `start` returns when `/readyz` says 200. `stop` ends it as `kill` does and fails the test if it does not
    end with 0, or if a process of its making outlives it.
    """

    directory: Path
    declaration: dict[str, Any]
    arguments: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    how: str = "serve"
    """Or `up`: for a team."""
    program: Sequence[str] = ("-m", "coatcheck")
    """What of Python's is run."""
    _child: subprocess.Popen[bytes] | None = None
    _seen: set[tuple[int, str]] = field(default_factory=set)

    @property
    def origin(self) -> str:
        """The address that clients use, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The route to all servers."""
        return f"{self.origin}/mcp"

    def route(self, server: str) -> str:
        """The route to one server."""
        return f"{self.url}/{server}/"

    @property
    def config(self) -> Path:
        """The declaration that it follows."""
        return self.directory / "servers.json"

    @property
    def pid(self) -> int:
        """The process id of the gateway itself."""
        assert self._child is not None, "the gateway is not running"
        return self._child.pid

    def write(self, declaration: dict[str, Any]) -> None:
        """Replace the declaration in one step, as an editor does."""
        self.declaration = declaration
        self.directory.mkdir(parents=True, exist_ok=True)
        unfinished = self.config.with_suffix(".new")
        unfinished.write_text(json.dumps(declaration, indent=2), encoding="utf-8")
        unfinished.chmod(0o600)
        unfinished.rename(self.config)

    def epoch(self) -> int:
        """Return the number of the configuration in force."""
        page = self.request("GET", "/metrics", {}).body.decode()
        return int(float(next(line.split()[1] for line in page.splitlines() if line.startswith(_EPOCH))))

    def await_epoch(self, after: int) -> None:
        """Return when a configuration later than `after` is in force."""
        limit = time.monotonic() + CHANGE_SECONDS
        while self.epoch() <= after:
            assert time.monotonic() < limit, f"the change was not taken up:\n{self.said()}"
            time.sleep(0.02)

    def change(self, declaration: dict[str, Any]) -> None:
        """Edit the declaration while the gateway runs and wait until it is in force."""
        before = self.epoch()
        self.write(declaration)
        self.await_epoch(before)

    def start(self, ready: int = 200) -> Gateway:
        """Start the program and wait until it can answer calls, or says what it lacks for that."""
        assert self._child is None, "the gateway runs already"
        self.write(self.declaration)
        command = [sys.executable, *self.program, self.how, "--http", f"127.0.0.1:{self.port}"]
        command += ["--config", str(self.config), "--data", str(self.directory), *self.arguments]
        with (self.directory / "stderr.log").open("ab") as log:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._surroundings(),
                start_new_session=True,
            )
        limit = time.monotonic() + START_SECONDS
        while not self._is_ready(ready):
            assert self._child.poll() is None, f"the gateway ended at once:\n{self.said()}"
            assert time.monotonic() < limit, f"the gateway is not ready:\n{self.said()}"
            time.sleep(0.02)
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the program and check that it left nothing running."""
        if self._child is None:
            return
        child, self._child = self._child, None
        made = self._seen | descendants(child.pid)
        child.send_signal(number)
        try:
            code = child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise AssertionError(f"the gateway did not end:\n{self.said()}") from None
        left = still_there(made)
        for pid, _ in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"processes {sorted(left)} outlived the gateway:\n{self.said()}"
        assert code == (-number if number == signal.SIGKILL else 0), f"it ended with {code}:\n{self.said()}"

    def restart(self) -> None:
        """End the program and start it again on the same data and port."""
        self.stop()
        self.start()

    def children(self) -> set[int]:
        """Return the processes that the gateway has running now, and remember them for the end."""
        found = descendants(self.pid)
        self._seen |= found
        return {pid for pid, _ in found}

    def said(self) -> str:
        """Return the last words on standard error."""
        path = self.directory / "stderr.log"
        return path.read_text(encoding="utf-8", errors="replace")[-8000:] if path.exists() else ""

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Send one plain HTTP request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body or None, headers=dict(headers))
            answer = connection.getresponse()
            found = {name.lower(): text for name, text in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def ask(self, method: str, grant: str | None, params: dict[str, Any], path: str = "/mcp") -> Answer:
        """Send one request of the modern era, as a stateless client does."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": MODERN,
            "Mcp-Method": method,
        }
        if "name" in params:
            headers["Mcp-Name"] = params["name"]
        if grant is not None:
            headers["Authorization"] = f"Bearer {grant}"
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        return self.request("POST", path, headers, json.dumps(body).encode())

    def call(self, grant: str | None, tool: str, arguments: dict[str, Any], path: str = "/mcp") -> Answer:
        """Call one tool."""
        return self.ask("tools/call", grant, {"name": tool, "arguments": arguments}, path)

    def command(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run another `coatcheck` command on this gateway's data directory."""
        return subprocess.run(
            [sys.executable, "-m", "coatcheck", *arguments],
            env={**self._surroundings(), "COATCHECK_DATA": str(self.directory)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def logs(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the record as `coatcheck logs` tells it."""
        ended = self.command("logs", *arguments)
        assert ended.returncode == 0, ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def _surroundings(self) -> dict[str, str]:
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_"))
        }
        return {**kept, "HOME": str(self.directory), **self.env}

    def _is_ready(self, expected: int = 200) -> bool:
        try:
            return self.request("GET", "/readyz", {}).status == expected
        except (OSError, http.client.HTTPException):
            return False


def descendants(pid: int) -> set[tuple[int, str]]:
    """Return every process below `pid` with its start time, which tells a pid from its next owner."""
    parents = {child: parent for child, (parent, state, _) in _table().items() if state != "Z"}
    found: set[int] = set()
    edge = {pid}
    while edge:
        edge = {child for child, parent in parents.items() if parent in edge} - found
        found |= edge
    return {(child, _table_entry(child)) for child in found}


def still_there(made: set[tuple[int, str]]) -> set[tuple[int, str]]:
    """Return those of the processes that still run."""
    table = _table()
    return {
        (pid, born) for pid, born in made if pid in table and table[pid][1] != "Z" and table[pid][2] == born
    }


def _table() -> dict[int, tuple[int, str, str]]:
    """Return parent, state and start time of every process; nothing where there is no /proc."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(errors="replace").rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        found[int(path.parent.name)] = (int(fields[1]), fields[0], fields[19])
    return found


def _table_entry(pid: int) -> str:
    entry = _table().get(pid)
    return entry[2] if entry else ""
