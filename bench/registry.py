"""What many grants and servers cost: the start, a look-up, memory; and whether revoking is at once.

`python -m bench.registry` registers servers and issues grants through the API, starts the gateway again,
revokes grants while callers use them and a stream of theirs is open, and looks for every secret it made in
all that the gateway wrote. It exits 1 if a call passed after its grant was revoked, if a stream outlived its
grant, or if a secret was found.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import secrets
import shutil
import statistics
import sys
import threading
import time
import timeit
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.local import Local
from bench.machine import Others, cpu_seconds, memory_mib
from bench.programs import BUILD, ROOT
from bench.soak import Client, counting_server, get
from coatcheck.core.tokens import Pepper, mint, public_id
from coatcheck.identity.grants import IssuedGrants
from coatcheck.model.grant import IssuedGrant, Proof
from demo.programs import Program, free_port

BATCH = 1_000
CALLERS = 8
STARTS = 5
PLANTED = 40
PAUSE = 0.02
"""Seconds between two calls of a caller whose grant is not revoked yet."""
SATURATED = 50
"""Grants that are revoked once more while callers call without a pause."""
NO_ANSWER = 0


@dataclass
class Made:
    """What was made, and must be found nowhere."""

    tokens: dict[str, str] = field(default_factory=dict)
    """Label -> token."""
    secrets: list[str] = field(default_factory=list)


@contextmanager
def running(state: Path, how: str = "up") -> Iterator[tuple[Program, int]]:
    """Run a gateway in this data directory, by `up` or `serve`; what it says is kept there too."""
    port = free_port()
    command = [sys.executable, "-m", "coatcheck", how, "--http", f"127.0.0.1:{port}", "--data", str(state)]
    program = Program("coatcheck", command, state / "coatcheck.log", environment())
    try:
        wait_for_ready(program, port)
        yield program, port
    finally:
        program.stop()


def environment() -> dict[str, str]:
    """Return ours without settings, and with a place for bytecode, which an installed program has as well."""
    ours = {name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_"))}
    ours.pop("PYTHONDONTWRITEBYTECODE", None)
    return ours | {"PYTHONPYCACHEPREFIX": str(ROOT / "build" / "bytecode"), "HOME": str(BUILD / "home")}


def wait_for_ready(program: Program, port: int) -> None:
    """Wait closely: this is timed."""
    limit = time.monotonic() + 60
    while get(port, "/readyz")[0] != 200:
        if program.has_ended() or time.monotonic() > limit:
            raise SystemExit(f"the gateway does not start: {program.last_words()}")
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
        body = {"name": f"server{number:03}", "url": url, "headers": headers, "default": "allow-all"}
        api.ask("POST", "/servers", body)
    for start in range(0, grants, BATCH):
        many = [
            {"label": f"laptop-{number:05}", "subject": f"person-{number % 2000:04}", "servers": None}
            for number in range(start, min(start + BATCH, grants))
        ]
        issued = api.ask("POST", "/grants/batch", {"grants": many})["items"]
        made.tokens |= {one["grant"]["label"]: one["token"] for one in issued}
    return made


def start_ms(state: Path, how: str) -> tuple[float, float]:
    """Return milliseconds until `/readyz` says so and those of CPU: medians, with the files in memory."""
    times, cpu = [], []
    for _ in range(STARTS):
        began = time.monotonic()
        with running(state, how) as (program, _):
            times.append(time.monotonic() - began)
            cpu.append(cpu_seconds([program.pid]))
    return statistics.median(times) * 1000, statistics.median(cpu) * 1000


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
    """What came of revoking: seconds as the API reports them, calls by status, streams that were ended."""

    seconds: list[float] = field(default_factory=list)
    before: Counter[int] = field(default_factory=Counter)
    after: Counter[int] = field(default_factory=Counter)
    """Of calls that began when the revoking had returned."""
    streams: int = 0

    @property
    def passed(self) -> int:
        """How many calls were not refused that should have been."""
        return self.after.total() - self.after[401]

    def at(self, share: float) -> float:
        """Return the milliseconds within which this share of the revokings was over."""
        return sorted(self.seconds)[min(int(len(self.seconds) * share), len(self.seconds) - 1)] * 1000


class Using:
    """Callers that use one grant before, while and after it is revoked, over connections they keep."""

    def __init__(self, port: int, token: str, calls: int, pause: float) -> None:
        self._pause = pause
        self.before: Counter[int] = Counter()
        self.after: Counter[int] = Counter()
        self._revoked = threading.Event()
        self._begun = threading.Semaphore(0)
        self._lock = threading.Lock()
        shares = [len(range(number, calls, CALLERS)) for number in range(CALLERS)]
        self._threads = [
            threading.Thread(target=self._use, args=(Client(port, token), share), daemon=True)
            for share in shares
        ]

    def start(self) -> None:
        """Let them call, and return when each was answered once."""
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            if not self._begun.acquire(timeout=60):
                raise SystemExit("a caller gets no answer")

    def finish(self) -> None:
        """Say that the grant is revoked, and wait for the calls after that."""
        self._revoked.set()
        for thread in self._threads:
            thread.join()

    def _use(self, client: Client, left: int) -> None:
        while left > 0:
            revoked = self._revoked.is_set()
            status = _ask(client, "server/discover", "/mcp", {})
            with self._lock:
                (self.after if revoked and status != NO_ANSWER else self.before)[status] += 1
            self._begun.release()
            left -= revoked and status != NO_ANSWER
            if not revoked and self._pause:
                self._revoked.wait(self._pause)


def revoke(state: Path, port: int, tokens: dict[str, str], each: int, pause: float = PAUSE) -> Revoked:
    """Revoke one grant after the other while it is used and has a stream open; go on calling with it."""
    api, told = Local(state / "coatcheck.sock"), Revoked()
    for label, token in tokens.items():
        listener = Client(port, token)
        wanted = {"notifications": {"toolsListChanged": True}}
        stream = _request(listener, "subscriptions/listen", "/mcp/server000", wanted)
        if stream.status != 200 or not stream.readline():
            raise SystemExit(f"{label} got no stream: {stream.status}")
        using = Using(port, token, each, pause)
        using.start()
        answer = api.ask("POST", "/grants/revoke", {"grants": [label], "because": "measured"})
        using.finish()
        stream.read()  # to its end; a stream that lives on ends the run by the timeout of the connection
        told.seconds.append(answer["seconds"])
        told.streams += answer["streams"]
        told.before += using.before
        told.after += using.after
    return told


def _ask(client: Client, method: str, path: str, params: dict[str, Any]) -> int:
    """Make one stateless request and return the status; `NO_ANSWER` if the connection was closed."""
    try:
        answer = _request(client, method, path, params)
        answer.read()
    except (http.client.HTTPException, ConnectionError):
        client.connection.close()
        return NO_ANSWER
    return answer.status


def _request(client: Client, method: str, path: str, params: dict[str, Any]) -> http.client.HTTPResponse:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    headers = client.headers | {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    client.connection.request("POST", path, json.dumps(body), headers)
    return client.connection.getresponse()


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
    others = Others()
    with counting_server() as upstream:
        print_starts("nothing stored", state)
        with running(state) as (program, _):
            print(f"memory, nothing stored: {memory_mib([program.pid]):.1f} MiB")
        with running(state) as (program, _):
            made = fill(state, upstream, servers, grants)
            filled = memory_mib([program.pid])
            print(f"memory, filled with {grants} grants and {servers} servers: {filled:.1f} MiB")
        print_starts("all stored", state)
        for count in (10, 10_000):
            print(f"look-up among {count}: {look_up_us(count):.1f} us")
        with running(state) as (program, port):
            print(f"memory, all stored and started again: {memory_mib([program.pid]):.1f} MiB")
            tokens = list(made.tokens.items())
            told = revoke(state, port, dict(tokens[:revokes]), calls // revokes)
            print_revoked(told, f"{CALLERS} callers of {1 / PAUSE:.0f} calls/s")
            rest = dict(tokens[revokes : revokes + SATURATED])
            print_revoked(revoke(state, port, rest, CALLERS, 0.0), f"{CALLERS} callers without a pause")
            print(f"memory, after that: {memory_mib([program.pid]):.1f} MiB")
    print(f"meanwhile other programs used {others.text()}")
    return told.passed == 0 and told.streams == len(told.seconds) and not search(state, made)


def print_starts(what: str, state: Path) -> None:
    """Print how long both ways to start take."""
    for how in ("up", "serve"):
        wall, cpu = start_ms(state, how)
        print(f"start of `{how}`, {what}: {wall:.0f} ms, {cpu:.0f} ms of them CPU")


def print_revoked(told: Revoked, load: str) -> None:
    """Print what came of revoking."""
    print(f"revoking {len(told.seconds)} grants, each with a stream open and {load}: "
          f"p50 {told.at(0.5):.1f} ms, p99 {told.at(0.99):.1f} ms, most {told.at(1.0):.1f} ms")  # fmt: skip
    print(f"streams ended by it: {told.streams}; calls before and meanwhile: {dict(told.before)}")
    print(f"calls after it: {told.after[401]} refused with 401, {told.passed} passed")


def search(state: Path, made: Made) -> list[str]:
    """Look for secrets in all files, and first for one that was put there; return where some were found."""
    (state / "planted").write_bytes(b"x" + base64.b64encode(b"ab" + made.secrets[-1].encode()))
    if found_in(state, made.secrets[-1:]) != [str(state / "planted")]:
        raise SystemExit("the search does not find what is there")
    (state / "planted").unlink()
    planted = [*list(made.tokens.values())[:PLANTED], *made.secrets[:PLANTED]]
    places = found_in(state, planted)
    print(f"{len(planted)} secrets searched for in 5 encodings: found in {places or 'no file'}")
    return places


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
