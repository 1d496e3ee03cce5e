"""A gateway without the key of its store is up and says so, keeps everything shut, and goes on by itself."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coatcheck.app.unsealing.keys import KEY_FILE, write_key
from gateway import Gateway, new_grant

OTHER = "17a0c55d2e9b8463fe01d7c82b6a4f9033b85e6cd4197a02ef65d83a1b0c7e92"
STDIO = str(Path(__file__).parent.parent / "journeys" / "children" / "stdio_peer.py")
CHILD = {"command": sys.executable, "args": [STDIO], "idle_timeout": "never"}


@pytest.fixture
def grant() -> tuple[str, str]:
    return new_grant()


@pytest.fixture
def gateway(tmp_path: Path, grant: tuple[str, str]) -> Iterator[Gateway]:
    who = {grant[1]: {"subject": "alice"}}
    declaration = {
        "mcpServers": {"peer": CHILD},
        "serverAuth": {"providers": ["bearer"], "bearer": {"tokens": who}},
    }
    running = Gateway(tmp_path / "data", declaration)
    running.start()
    yield running
    running.stop()


def sealed(gateway: Gateway) -> str:
    """Stop the gateway, take its key away and start it again; return the key."""
    gateway.stop()
    key = (gateway.directory / KEY_FILE).read_text()
    (gateway.directory / KEY_FILE).unlink()
    gateway.start(ready=503)
    return key


def test_it_says_why_lets_nobody_in_and_goes_on_when_the_key_is_there(
    gateway: Gateway, grant: tuple[str, str]
) -> None:
    called = gateway.call(grant[0], "peer__echo", {})
    assert called.status == 200, "the positive path"
    key = sealed(gateway)
    pid = gateway.pid
    assert gateway.request("GET", "/livez", {}).json() == {"status": "alive"}
    ready = gateway.request("GET", "/readyz", {})
    (why,) = ready.json()["detail"]
    assert ready.status == 503
    assert "sealed: the store belongs to the key" in why
    assert str(gateway.directory / KEY_FILE) in why

    assert (gateway.call(grant[0], "peer__echo", {}).status, gateway.children()) == (503, set())
    for path in ("/mcp", "/mcp/peer/", "/mcp/sse"):
        refused = gateway.request("POST", path, {"Content-Type": "application/json"}, b"{}")
        assert (refused.status, refused.json()["error"]) == (503, "sealed")
    for path in ("/api/v1/servers", "/claim/x"):
        refused = gateway.request("GET", path, {})
        assert (refused.status, refused.json()["code"]) == (503, "sealed")
        assert str(gateway.directory).encode() not in refused.body, "paths are nothing for the network"
    assert gateway.request("GET", "/api/v1/servers", {"Host": "evil.example"}).status == 421

    write_key(gateway.directory / KEY_FILE, OTHER)  # not the right one
    limit = time.monotonic() + 20
    while "the key given is" not in gateway.request("GET", "/readyz", {}).body.decode():
        assert time.monotonic() < limit
        time.sleep(0.05)
    write_key(gateway.directory / KEY_FILE, key)
    while gateway.request("GET", "/readyz", {}).status != 200:
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert gateway.pid == pid
    assert gateway.call(grant[0], "peer__echo", {}).status == 200
    assert "no longer sealed" in gateway.said()


def test_commands_say_it_in_a_sentence_and_the_records_stay_readable(
    gateway: Gateway, grant: tuple[str, str]
) -> None:
    assert gateway.call(grant[0], "peer__echo", {}).status == 200
    sealed(gateway)
    listed = gateway.command("list")
    assert listed.returncode == 69
    assert "The store belongs to the key" in listed.stderr
    assert KEY_FILE in listed.stderr
    doctor = gateway.command("doctor")
    assert doctor.returncode == 1
    assert "The store belongs to the key" in doctor.stdout
    running = gateway.logs("--subject", "alice")
    changes = gateway.logs("--admin", "--since", "1h")
    assert [one["tool"] for one in running if one["method"] == "tools/call"] == ["echo"]
    assert [one["action"] for one in changes] == ["config.start", "tools.pin"]
    assert changes[0]["after"]["servers"]
    gateway.stop()
    assert gateway.logs("--subject", "alice") == running, "with no gateway either"


def test_it_ends_as_any_other_and_holds_the_data_directory(gateway: Gateway) -> None:
    sealed(gateway)
    second = subprocess.run(
        [
            sys.executable,
            "-m",
            "coatcheck",
            "serve",
            "--http",
            "127.0.0.1:0",
            "--data",
            str(gateway.directory),
        ],
        env=gateway._surroundings(),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 73, second.stderr
    os.kill(gateway.pid, signal.SIGHUP)
    assert gateway.request("GET", "/livez", {}).status == 200
    gateway.stop()
    assert not (gateway.directory / "coatcheck.sock").exists()
    with closing(sqlite3.connect(gateway.directory / "coatcheck.sqlite3")) as reading:
        assert reading.execute("SELECT count(*) FROM sealing_key").fetchone() == (1,)


def test_a_connection_that_was_open_while_sealed_is_served_afterwards(gateway: Gateway) -> None:
    key = sealed(gateway)
    with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)) as open_one:
        open_one.request("GET", "/readyz")
        answer = open_one.getresponse()
        assert (answer.status, bool(answer.read())) == (503, True)
        first: Any = open_one.sock
        write_key(gateway.directory / KEY_FILE, key)
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            open_one.request("GET", "/readyz")
            answer = open_one.getresponse()
            if json.loads(answer.read())["status"] == "ready":
                break
            time.sleep(0.05)
        assert answer.status == 200
        assert isinstance(first, socket.socket)
        assert open_one.sock is first, "the same listening socket, the same connection"
