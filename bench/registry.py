"""What many grants and servers cost: the start, a look-up, memory; and whether revoking is at once.

`python -m bench.registry` registers servers and issues grants through the API, starts the gateway again,
revokes grants while callers use them, and looks for every secret it made in all that the gateway wrote. It
exits 1 if a call passed after its grant was revoked, or if a secret was found.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import secrets
import shutil
import socket
import statistics
import sys
import threading
import time
import timeit
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.machine import memory_mib
from bench.programs import BUILD
from bench.soak import Client, counting_server, get
from coatcheck.core.tokens import Pepper, mint, public_id
from coatcheck.identity.grants import IssuedGrants
from coatcheck.model.grant import IssuedGrant, Proof
from demo.programs import Program, free_port

BATCH = 1_000
CALLERS = 8
STARTS = 3
PLANTED = 40


class Local(http.client.HTTPConnection):
    """The API behind the socket of a data directory."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=120)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(str(self._path))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request; what is no success ends the run."""
        headers = {"Content-Type": "application/json"}
        self.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
        answer = self.getresponse()
        raw = answer.read()
        if answer.status not in {200, 201}:
            raise SystemExit(f"{method} {path} was answered {answer.status}: {raw[:300]!r}")
        return json.loads(raw)


@dataclass
class Made:
    """What was made, and must be found nowhere."""

    tokens: dict[str, str] = field(default_factory=dict)
    """Label -> token."""
    secrets: list[str] = field(default_factory=list)


@contextmanager
def running(state: Path) -> Iterator[tuple[Program, int]]:
    """Run a gateway in this data directory; what it says is kept there too."""
    port = free_port()
    command = [sys.executable, "-m", "coatcheck", "up", "--http", f"127.0.0.1:{port}", "--data", str(state)]
    env = {name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_"))}
    program = Program("coatcheck", command, state / "coatcheck.log", env)
    try:
        wait_for_ready(port)
        yield program, port
    finally:
        program.stop()


def wait_for_ready(port: int) -> None:
    """Wait closely: this is timed."""
    limit = time.monotonic() + 60
    while get(port, "/readyz")[0] != 200:
        if time.monotonic() > limit:
            raise SystemExit("the gateway does not start")
        time.sleep(0.005)


def fill(state: Path, upstream: int, servers: int, grants: int) -> Made:
    """Register servers and issue grants for all of them."""
    made = Made()
    api = Local(state / "coatcheck.sock")
    for number in range(servers):
        secret = f"planted-{secrets.token_urlsafe(24)}"
        made.secrets.append(secret)
        url = f"http://127.0.0.1:{upstream}/mcp"
        headers = {"Authorization": f"Bearer {secret}"}
        api.ask("POST", "/servers", {"name": f"server{number:03}", "url": url, "headers": headers})
    for start in range(0, grants, BATCH):
        many = [
            {"label": f"laptop-{number:05}", "subject": f"person-{number % 2000:04}", "servers": None}
            for number in range(start, min(start + BATCH, grants))
        ]
        issued = api.ask("POST", "/grants/batch", {"grants": many})["items"]
        made.tokens |= {one["grant"]["label"]: one["token"] for one in issued}
    return made


def start_ms(state: Path) -> float:
    """Return how long a start takes until it is ready, as a median."""
    times = []
    for _ in range(STARTS):
        began = time.monotonic()
        with running(state):
            times.append(time.monotonic() - began)
    return statistics.median(times) * 1000


def look_up_us(count: int) -> float:
    """Return what finding one of so many grants takes, with its HMAC and the comparison."""
    pepper = Pepper(secrets.token_bytes(32))
    grants = {}
    token = ""
    for number in range(count):
        token = mint(secrets.token_bytes)
        id = public_id(token)
        proof = Proof(id, pepper.prove(token))
        grants[id] = IssuedGrant(id, str(number), "x", None, None, (proof,), datetime.now(UTC), "x", None)
    found = IssuedGrants(grants, pepper, _Clock())
    return min(timeit.repeat(lambda: found.find(token), number=2000, repeat=5)) / 2000 * 1e6


class _Clock:
    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds."""
        return time.monotonic()


@dataclass
class Revoked:
    """What came of revoking: seconds as the API reports them, and calls made after that by status."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    passed: int = 0


def revoke(state: Path, port: int, tokens: dict[str, str], each: int) -> Revoked:
    """Revoke one grant after the other while it is used; then call with it, from several callers."""
    api, told, lock = Local(state / "coatcheck.sock"), Revoked(), threading.Lock()

    def call_after(token: str, count: int) -> None:
        client = Client(port, token)
        statuses = [_call(client) for _ in range(count)]
        with lock:
            told.refused += statuses.count(401)
            told.passed += sum(status != 401 for status in statuses)

    for label, token in tokens.items():
        user = Client(port, token)
        if _call(user) != 200:
            raise SystemExit(f"{label} was refused before it was revoked")
        answer = api.ask("POST", "/grants/revoke", {"grants": [label], "because": "measured"})
        told.seconds.append(answer["seconds"])
        callers = [threading.Thread(target=call_after, args=(token, each // CALLERS)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    return told


def _call(client: Client) -> int:
    """Ask for the tools of one server, statelessly, and return the status."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}}
    headers = client.headers | {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "server/discover"}
    client.connection.request("POST", "/mcp", json.dumps(body), headers)
    answer = client.connection.getresponse()
    answer.read()
    return answer.status


def spellings(secret: str) -> Iterator[bytes]:
    """Yield a secret as it may be written: plain, base64 at each offset, hexadecimal, for URLs, in JSON."""
    raw = secret.encode()
    yield raw
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + raw)
        yield whole[4:-4] if offset else whole[:-4]
    yield raw.hex().encode()
    yield quote(secret, safe="").encode()
    yield json.dumps(secret)[1:-1].encode()


def found_in(state: Path, planted: Sequence[str]) -> list[str]:
    """Return the files of a data directory that hold a secret."""
    wanted = {spelling for secret in planted for spelling in spellings(secret)}
    files = [path for path in state.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(one in path.read_bytes() for one in wanted)]


def measure(servers: int, grants: int, revokes: int, calls: int, state: Path = BUILD / "registry") -> bool:
    """Fill, start again, revoke and search; print what is seen, return whether all is as promised."""
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True, mode=0o700)
    with counting_server() as upstream:
        with running(state) as (program, _):
            print(f"empty:                     {memory_mib([program.pid]):.1f} MiB")
        print(f"start, nothing stored:     {start_ms(state):.0f} ms")
        with running(state) as (program, _):
            made = fill(state, upstream, servers, grants)
            print(f"filled with {grants} grants and {servers} servers: {memory_mib([program.pid]):.1f} MiB")
        print(f"start, all stored:         {start_ms(state):.0f} ms")
        for count in (10, 10_000):
            print(f"look-up among {count:>6}:      {look_up_us(count):.1f} us")
        with running(state) as (program, port):
            chosen = dict(list(made.tokens.items())[:revokes])
            told = revoke(state, port, chosen, calls // revokes)
            ranked = sorted(told.seconds)
            print(f"revoking {len(ranked)} grants: p50 {ranked[len(ranked) // 2] * 1000:.1f} ms, "
                  f"p99 {ranked[int(len(ranked) * 0.99)] * 1000:.1f} ms")  # fmt: skip
            print(f"calls after it: {told.refused} refused with 401, {told.passed} passed")
            print(f"started again:             {memory_mib([program.pid]):.1f} MiB")
    (state / "planted").write_bytes(b"x" + base64.b64encode(b"ab" + made.secrets[-1].encode()))
    if found_in(state, made.secrets[-1:]) != [str(state / "planted")]:
        raise SystemExit("the search does not find what is there")
    (state / "planted").unlink()
    planted = [*list(made.tokens.values())[:PLANTED], *made.secrets[:PLANTED]]
    places = found_in(state, planted)
    print(f"{len(planted)} secrets searched for in 5 encodings: found in {places or 'no file'}")
    return not told.passed and not places


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--servers", type=int, default=200)
    parser.add_argument("--grants", type=int, default=10_000)
    parser.add_argument("--revokes", type=int, default=200)
    parser.add_argument("--calls", type=int, default=100_000, help="made with grants after they were revoked")
    chosen = parser.parse_args()
    return 0 if measure(chosen.servers, chosen.grants, chosen.revokes, chosen.calls) else 1


if __name__ == "__main__":
    sys.exit(main())
