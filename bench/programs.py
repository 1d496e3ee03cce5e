"""Starts what the benchmarks measure: the raw upstream, and the gateway with grant, rule and record."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.calls import BEFORE_ID, FIRST_ID, after_id, headers, is_answered
from coatcheck.core.tokens import digest, mint
from demo.programs import DidNotStart, Program, free_port
from demo.servers import write_private

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"


@dataclass(frozen=True)
class Upstream:
    port: int
    pid: int
    credential: str


@dataclass(frozen=True)
class Gateway:
    """A running gateway; `cold_ms` is the time from its start to its first answered call."""

    program: Program
    port: int
    grant: str
    cold_ms: float


@contextmanager
def raw_upstream(port: int = 0, credential: str = "", tools: int = 0) -> Iterator[Upstream]:
    """Run the raw upstream; with `tools` it has so many more."""
    credential = credential or secrets.token_urlsafe(32)
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.upstream"],
        cwd=ROOT,
        env={
            **os.environ,
            "BENCH_CREDENTIAL": credential,
            "BENCH_PORT": str(port),
            "BENCH_TOOLS": str(tools),
        },
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    try:
        assert child.stdout is not None
        yield Upstream(int(child.stdout.readline()), child.pid, credential)
    finally:
        child.kill()
        child.communicate()


@contextmanager
def gateway(
    upstream: Upstream, lax: str = "", policy: Mapping[str, object] | None = None
) -> Iterator[Gateway]:
    """Start a gateway on an empty data directory and yield it once it has answered a call.

    `lax` is a kind of `bench.lax`: a gateway that is not the product. `policy` is used on everything.
    """
    state = BUILD / (lax or ("ruled" if policy else "data"))
    shutil.rmtree(state, ignore_errors=True)
    grant = mint(secrets.token_bytes)
    write_private(state / "servers.json", json.dumps(declaration(upstream, grant), indent=2))
    port = free_port()
    program_words = ["bench.lax", lax] if lax else ["coatcheck"]
    command = [sys.executable, "-m", *program_words, "serve", "--http", f"127.0.0.1:{port}"]
    command += ["--config", str(state / "servers.json"), "--data", str(state)]
    env = {name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_"))}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), env.get("PYTHONPATH", ""))))
    began = time.perf_counter()
    program = Program(lax or "coatcheck", command, BUILD / f"{lax or 'coatcheck'}.log", env)
    try:
        first_call(program, port, "/mcp/raw", grant)
        cold_ms = (time.perf_counter() - began) * 1e3
        if policy:
            put_in_use(policy, state, env)
            first_call(program, port, "/mcp/raw", grant)
        yield Gateway(program, port, grant, cold_ms)
    finally:
        program.stop()


def put_in_use(policy: Mapping[str, object], state: Path, env: Mapping[str, str]) -> None:
    """Put a policy and use it on everything. Raises `DidNotStart`."""
    file = state / "bench.policy.json"
    file.write_text(json.dumps(policy), encoding="utf-8")
    for words in (("put", str(file)), ("use", str(policy["name"]), "--everything")):
        command = [sys.executable, "-m", "coatcheck", "policy", *words, "--data", str(state)]
        ended = subprocess.run(
            command, env=dict(env), capture_output=True, text=True, timeout=60, check=False
        )
        if ended.returncode:
            raise DidNotStart(f"the policy is not in use: {ended.stderr}")


def first_call(program: Program, port: int, path: str, bearer: str) -> None:
    """Call until the program answers; a refused connection is tried again at once. Raises `DidNotStart`."""
    limit = time.monotonic() + 30
    body = BEFORE_ID + b"%d" % FIRST_ID + after_id("echo")
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("POST", path, body=body, headers=headers("echo", bearer))
            answer = connection.getresponse()
            text = answer.read()
            connection.close()
        except ConnectionError:
            text = b""
        else:
            if answer.status == 200 and is_answered(text, FIRST_ID):
                return
        if program.has_ended() or time.monotonic() > limit:
            raise DidNotStart(f"{program.name} did not answer: {text[:300]!r}\n{program.last_words()}")
        time.sleep(0.002)


def declaration(upstream: Upstream, grant: str) -> dict[str, object]:
    """The whole path: a grant to check, a rule to pass, a credential to swap, the record on."""
    return {
        "mcpServers": {
            "raw": {
                "type": "http",
                "url": f"http://127.0.0.1:{upstream.port}/mcp",
                "headers": {"Authorization": f"Bearer {upstream.credential}"},
            },
            "pipe": {
                "command": sys.executable,
                "args": ["-m", "bench.child"],
                "cwd": str(ROOT),
                "idle_timeout": "never",
            },
        },
        "serverAuth": {
            "provider": "bearer",
            "bearer": {"tokens": {f"sha256:{digest(grant)}": {"subject": "bench", "roles": ["caller"]}}},
            "acl": {
                "default": "deny",
                "rules": [
                    {"subjects": ["someone"], "tools": ["*"], "policy": "deny"},
                    {"roles": ["caller"], "tools": ["raw__*", "pipe__*"], "policy": "allow"},
                ],
            },
        },
    }
