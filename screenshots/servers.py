"""The company's MCP servers: remote ones on one port of the loopback, which check tokens, and children."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from screenshots.tools import CHANGED, TOOLS, Tool, answer

PACE: Final = {
    "github": 0.004,
    "slack": 0.003,
    "sentry": 0.009,
    "linear": 0.005,
    "notion": 0.022,
    "grafana": 0.006,
}
"""Seconds that a call takes."""
OUTAGE: Final = "missing-host"
"""An argument with which a call gets no answer of the protocol, but 502."""


@dataclass
class Remote:
    """The remote servers: the tokens that each takes, and whether `linear` has its new tool."""

    port: int = 0
    good: dict[str, set[str]] = field(default_factory=dict)
    changed: bool = False

    def url(self, server: str) -> str:
        """Where a server is."""
        return f"http://127.0.0.1:{self.port}/{server}/mcp"

    def offered(self, server: str) -> list[Tool]:
        """Return its tools now."""
        if server == "linear" and self.changed:
            return [CHANGED if one["name"] == "create_issue" else one for one in TOOLS["linear"]]
        return TOOLS[server]


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    remote: Remote

    def do_POST(self) -> None:
        """Answer one message."""
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.path.split("/")[1]
        bearer = str(self.headers["Authorization"] or "").removeprefix("Bearer ")
        if bearer not in self.remote.good.get(server, set()):
            self._send(401, {"error": "bad token"})
        elif "id" not in message:
            self._send(202, None)
        elif self.headers["MCP-Protocol-Version"] == "2026-07-28":
            error = {"code": -32000, "message": "Bad Request: Server not initialized"}
            self._send(400, {"jsonrpc": "2.0", "id": message["id"], "error": error})
        else:
            self._answer(server, message)

    def _answer(self, server: str, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message["method"] == "tools/call":
            time.sleep(PACE[server])
        if OUTAGE in params.get("arguments", {}).values():
            self._send(502, {"error": "no healthy host"})
            return
        found = answer(server, self.remote.offered(server), message["method"], params)
        self._send(200, {"jsonrpc": "2.0", "id": message["id"], **_outcome(found, params)})

    def do_GET(self) -> None:
        """Offer no stream."""
        self._send(405, None)

    def do_DELETE(self) -> None:
        """End a session, of which there are none."""
        self._send(204, None)

    def _send(self, status: int, body: dict[str, Any] | None) -> None:
        raw = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when the gateway hangs up."""


@contextmanager
def remote_servers(port: int) -> Iterator[Remote]:
    """Run the remote servers while the block lasts."""
    remote = Remote()
    server = _Server(("127.0.0.1", port), type("RemoteExchange", (_Exchange,), {"remote": remote}))
    remote.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield remote
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def programs(folder: Path) -> Path:
    """Write the commands of the children, and return the folder, which belongs on the gateway's path."""
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).parent.parent
    for server in ("warehouse", "git"):
        name = "mcp-server-postgres" if server == "warehouse" else "mcp-server-git"
        script = f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m screenshots.servers {server}\n'
        (folder / name).write_text(script, encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def child(server: str) -> None:
    """Speak on standard input and output, until it ends."""
    print(f"{server}: ready, {len(TOOLS[server])} tools", file=sys.stderr, flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            params = message.get("params", {})
            found = answer(server, TOOLS[server], message["method"], params)
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **_outcome(found, params)}), flush=True)


def _outcome(found: dict[str, Any] | None, params: dict[str, Any]) -> dict[str, Any]:
    if found is not None:
        return {"result": found}
    if "name" in params:
        return {"error": {"code": -32602, "message": f"Unknown tool: {params['name']}"}}
    return {"error": {"code": -32601, "message": "Method not found"}}


if __name__ == "__main__":
    child(sys.argv[1])
