"""The fixture speaks the era it is told to, over both transports; that it passes the suite, the suite shows."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.environments import ROOT
from demo.programs import Program, free_port

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
DISCOVER = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": META}}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def over_stdio(era: str, message: dict[str, Any]) -> dict[str, Any]:
    """Say one thing to a fixture and return its one answer."""
    command = [sys.executable, "-m", "conformance.fixture", "--era", era, "--stdio"]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        input=json.dumps(message) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (line,) = ended.stdout.splitlines()
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextmanager
def listening(era: str, folder: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "conformance.fixture", "--era", era, "--port", str(port)]
    program = Program("the fixture", command, folder / "fixture.log", {"PYTHONPATH": str(ROOT)})
    try:
        program.wait_for_port(port, 60)
        yield port
    finally:
        program.stop()


def post(port: int, message: dict[str, Any], version: str | None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    headers |= {"Mcp-Method": str(message["method"])}
    if version:
        headers["MCP-Protocol-Version"] = version
    connection.request("POST", "/mcp", json.dumps(message), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_a_pipe_serves_its_era_only() -> None:
    assert over_stdio("legacy", INITIALIZE)["result"]["protocolVersion"] == "2025-11-25"
    assert over_stdio("modern", DISCOVER)["result"]["supportedVersions"] == ["2026-07-28"]
    assert "error" in over_stdio("legacy", DISCOVER)
    refused = over_stdio("modern", INITIALIZE)["error"]
    assert (refused["code"], refused["data"]["supported"]) == (-32022, ["2026-07-28"])


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_an_address_serves_its_era_only(tmp_path: Path, era: str) -> None:
    with listening(era, tmp_path) as port:
        opened = post(port, INITIALIZE, None)
        found = post(port, DISCOVER, "2026-07-28")
    if era == "legacy":
        assert opened[0] == 200
        assert '"protocolVersion":"2025-11-25"' in opened[1]
        assert found[0] == 400
        assert json.loads(found[1])["error"]["code"] == -32600
    else:
        assert found[0] == 200
        assert json.loads(found[1])["result"]["supportedVersions"] == ["2026-07-28"]
        assert opened[0] == 400
        assert (json.loads(opened[1])["id"], json.loads(opened[1])["error"]["code"]) == (1, -32020)
