"""Starts what a leg is made of: the fixture, and a gateway in front of it with a grant to reach it."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from coatcheck.core.tokens import digest
from conformance.legs import Leg
from demo.environments import ROOT
from demo.programs import DidNotStart, Program, free_port
from demo.servers import write_private

SERVER: Final = "fixture"
START_SECONDS: Final = 60.0


@contextmanager
def fixture(era: str, folder: Path) -> Iterator[str]:
    """Run the fixture over HTTP and yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "conformance.fixture", "--era", era, "--port", str(port)]
    program = Program("the fixture", command, folder / "fixture.log", surroundings())
    try:
        program.wait_for_port(port, START_SECONDS)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        program.stop()


@contextmanager
def gateway(port: int, public_port: int, declared: dict[str, Any], folder: Path) -> Iterator[None]:
    """Run a gateway on an empty data directory until it says that it is ready; clients see `public_port`."""
    state = folder / "data"
    shutil.rmtree(state, ignore_errors=True)
    write_private(state / "servers.json", json.dumps(declared, indent=2))
    command = [sys.executable, "-m", "coatcheck", "serve", "--http", f"127.0.0.1:{port}"]
    command += ["--config", str(state / "servers.json"), "--data", str(state)]
    command += ["--public-url", f"http://127.0.0.1:{public_port}"]
    program = Program("the gateway", command, folder / "gateway.log", surroundings())
    try:
        _wait_until_ready(program, port)
        yield
    finally:
        program.stop()


def new_grant() -> str:
    """Return a token; the gateway is told its SHA-256 only."""
    return secrets.token_urlsafe(32)


def declaration(leg: Leg, grant: str, url: str | None) -> dict[str, Any]:
    """Declare the fixture as a leg reaches it: at `url`, or without one as a child."""
    entry: dict[str, Any] = {"type": "http", "url": url}
    if url is None:
        arguments = ["-m", "conformance.fixture", "--era", leg.wire.era, "--stdio"]
        entry = {"command": sys.executable, "args": arguments, "cwd": str(ROOT)}
    rule = {"roles": ["suite"], "tools": [f"{SERVER}__*"], "policy": "allow"}
    tokens = {f"sha256:{digest(grant)}": {"subject": "conformance", "roles": ["suite"]}}
    return {
        "mcpServers": {SERVER: entry},
        "serverAuth": {
            "provider": "bearer",
            "bearer": {"tokens": tokens},
            "acl": {"default": "deny", "rules": [rule]},
        },
    }


def surroundings() -> dict[str, str]:
    """Return our environment without settings that whoever runs this has for a gateway of their own."""
    return {name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_"))}


def _wait_until_ready(program: Program, port: int) -> None:
    limit = time.monotonic() + START_SECONDS
    while not _is_ready(port):
        if program.has_ended():
            raise DidNotStart(f"{program.name} ended at once:\n{program.last_words()}")
        if time.monotonic() > limit:
            raise DidNotStart(f"{program.name} was not ready in time:\n{program.last_words()}")
        time.sleep(0.05)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
