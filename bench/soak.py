"""Whether anything stays behind: many sessions of one call each, then one session of many calls.

`python -m bench.soak --sessions 10000 --calls 10000` prints what the gateway and the server behind it hold
before and after, and exits 1 if either does not come back to where it was.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import memory_mib
from bench.programs import BUILD, ROOT
from coatcheck.core.tokens import digest, mint
from demo.programs import Program, free_port
from demo.servers import write_private

CALLERS = 16
WARM_UP = 300
IDLE = "2s"
SETTLE_SECONDS = 60.0
ALLOWED_MIB = 16.0
"""How much more the gateway may hold after than before: allocators keep some of what they once had."""


@dataclass(frozen=True)
class Held:
    """What is held at one time: by the server, by the gateway, and the gateway's memory."""

    server_sessions: int
    server_streams: int
    sessions: int
    mib: float

    def __str__(self) -> str:
        return (
            f"server: {self.server_sessions} sessions, {self.server_streams} streams; "
            f"gateway: {self.sessions} sessions, {self.mib:.1f} MiB"
        )


class Client:
    """One caller over one kept connection."""

    def __init__(self, port: int, grant: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {
            "Authorization": f"Bearer {grant}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }

    def send(self, method: str, body: Any = None, session: str = "") -> tuple[int, str, bytes]:
        """Send a message or end a session; return status, session id and body."""
        headers = self.headers | ({"Mcp-Session-Id": session} if session else {})
        text = None if body is None else json.dumps({"jsonrpc": "2.0", **body})
        self.connection.request(method, "/mcp/sessions", text, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.headers.get("Mcp-Session-Id", ""), answer.read()

    def open(self, *, askable: bool) -> str:
        """Open a session; one that can be asked gets a session of its own at the server."""
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"roots": {}} if askable else {},
            "clientInfo": {"name": "soak", "version": "1"},
        }
        status, session, body = self.send("POST", {"id": 1, "method": "initialize", "params": params})
        if status != 200 or not session:
            raise SystemExit(f"initialize was answered {status}: {body[:200]!r}")
        self.send("POST", {"method": "notifications/initialized"}, session)
        return session

    def call(self, session: str) -> None:
        """Make one call."""
        params = {"name": "echo", "arguments": {"text": "hello"}}
        status, _, body = self.send("POST", {"id": 2, "method": "tools/call", "params": params}, session)
        if status != 200 or b'"hello"' not in body:
            raise SystemExit(f"a call was answered {status}: {body[:200]!r}")


def live_once(client: Client, number: int) -> None:
    """Live one session of one call. Some end as they should, some are left to grow old."""
    session = client.open(askable=number % 2 == 0)
    client.call(session)
    if number % 4 < 2:
        client.send("DELETE", session=session)


def live_many(port: int, grant: str, count: int) -> None:
    """Live so many sessions, from some callers at once."""

    def live_some(caller: int) -> None:
        client = Client(port, grant)
        for number in range(caller, count, CALLERS):
            live_once(client, number)

    with ThreadPoolExecutor(CALLERS) as threads:
        list(threads.map(live_some, range(CALLERS)))


@contextmanager
def counting_server() -> Iterator[int]:
    """Run the server that counts its sessions."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.sessions"], cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    try:
        assert child.stdout is not None
        yield int(child.stdout.readline())
    finally:
        child.kill()
        child.communicate()


@contextmanager
def soaked(server: int, grant: str, state: Path) -> Iterator[tuple[Program, int]]:
    """Run a gateway whose sessions grow old quickly."""
    shutil.rmtree(state, ignore_errors=True)
    declaration = {
        "mcpServers": {"sessions": {"type": "http", "url": f"http://127.0.0.1:{server}/mcp"}},
        "serverAuth": {"provider": "bearer", "bearer": {"tokens": {f"sha256:{digest(grant)}": "soak"}}},
    }
    write_private(state / "servers.json", json.dumps(declaration))
    write_private(state / "coatcheck.toml", f'session_idle = "{IDLE}"\nupstream_idle = "{IDLE}"\n')
    port = free_port()
    command = [sys.executable, "-m", "coatcheck", "serve", "--http", f"127.0.0.1:{port}"]
    command += ["--config", str(state / "servers.json"), "--data", str(state), "--log-level", "warning"]
    env = {name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_"))}
    program = Program("coatcheck", command, state / "coatcheck.log", env)
    try:
        wait_for(lambda: get(port, "/readyz")[0] == 200)
        yield program, port
    finally:
        program.stop()


def get(port: int, path: str) -> tuple[int, bytes]:
    """Ask for a page; status 0 while nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except ConnectionError:
        return 0, b""
    finally:
        connection.close()


def wait_for(ready: Any) -> bool:
    """Wait until something holds, for a bounded time; return whether it does."""
    limit = time.monotonic() + SETTLE_SECONDS
    while not (held := ready()) and time.monotonic() < limit:
        time.sleep(0.2)
    return bool(held)


def held(server: int, program: Program, port: int) -> Held:
    """Look at what is held now."""
    counts = json.loads(get(server, "/count")[1])
    page = get(port, "/metrics")[1].decode()
    gauge = next(line for line in page.splitlines() if line.startswith("coatcheck_sessions "))
    sessions = float(gauge.split()[1])
    return Held(counts["open"], counts["streams"], int(sessions), memory_mib([program.pid]))


def settled(server: int, program: Program, port: int) -> Held:
    """Wait until nobody has a session any more, and look."""

    def is_empty() -> bool:
        now = held(server, program, port)
        return not (now.server_sessions or now.server_streams or now.sessions)

    wait_for(is_empty)
    return held(server, program, port)


def soak(sessions: int, calls: int, state: Path = BUILD / "soak") -> bool:
    """Live the sessions and the calls, print what is held in between, return whether all came back."""
    grant = mint(secrets.token_bytes)
    with counting_server() as server, soaked(server, grant, state) as (program, port):
        live_many(port, grant, WARM_UP)
        before = settled(server, program, port)
        print(f"before                        {before}")
        live_many(port, grant, sessions)
        after = settled(server, program, port)
        print(f"after {sessions:>6} sessions of 1 call {after}")
        client = Client(port, grant)
        session = client.open(askable=True)
        for _ in range(calls):
            client.call(session)
        during = held(server, program, port)
        print(f"in 1 session of {calls:>6} calls   {during}")
        client.send("DELETE", session=session)
        last = settled(server, program, port)
        print(f"after it                      {last}")
        ever = json.loads(get(server, "/count")[1])["ever"]
        print(f"the server opened {ever} sessions in all")
    empty = all(not (one.server_sessions or one.server_streams or one.sessions) for one in (after, last))
    return empty and last.mib - before.mib <= ALLOWED_MIB


def main() -> int:
    """Read the command line and soak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=10_000)
    chosen = parser.parse_args()
    return 0 if soak(chosen.sessions, chosen.calls) else 1


if __name__ == "__main__":
    sys.exit(main())
