"""An MCP server with tools of every nature, over stdio or HTTP, standard library only: `roles_peer.py [http]`.

It answers both eras and keeps what was asked of it; the tool `get_asked` tells. Over HTTP it prints its port.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

META = "io.modelcontextprotocol/"
HINTS: dict[str, dict[str, bool] | None] = {
    "get_issue": None,
    "search": {"readOnlyHint": True},
    "get_and_lock": {"destructiveHint": True},
    "delete_issue": None,
    "purge_all": {"readOnlyHint": True},
    "echo": {"readOnlyHint": True},
    "glance": None,
    "get_asked": None,
}
PROMPTS = ("triage", "summary")
RESOURCES = ("note://public/1", "note://private/1")
TEMPLATES = ("note://public/{id}", "note://private/{id}", "note://{space}/{id}")
asked: list[str] = []


def tools() -> list[dict[str, Any]]:
    return [
        {"name": name, "inputSchema": {"type": "object"}, **({"annotations": hints} if hints else {})}
        for name, hints in HINTS.items()
    ]


def opening() -> dict[str, Any]:
    capabilities: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}, "completions": {}}
    return {
        "protocolVersion": "2025-11-25",
        "supportedVersions": ["2026-07-28"],
        "capabilities": capabilities,
        "serverInfo": {"name": "roles-peer", "version": "1"},
        "instructions": "Purge with care.",
        "_meta": {META + "serverInfo": {"name": "roles-peer", "version": "1"}},
    }


def text(value: object) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": json.dumps(value)}]}


def result_of(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return a result, or None for what there is not."""
    if method in {"initialize", "server/discover"}:
        return opening()
    if method.endswith("/list"):
        return {
            "tools": tools(),
            "prompts": [{"name": name} for name in PROMPTS],
            "resources": [{"uri": uri, "name": uri} for uri in RESOURCES],
            "resourceTemplates": [{"uriTemplate": uri, "name": uri} for uri in TEMPLATES],
        }
    if method == "completion/complete":
        name = params["ref"].get("name") or params["ref"]["uri"]
        asked.append(f"{method} {name}")
        return {"completion": {"values": [name]}}
    name = params.get("name") or params.get("uri", "")
    if method == "tools/call" and name == "get_asked":
        return text(asked)
    asked.append(f"{method} {name}")
    if method == "tools/call" and name in HINTS:
        return text(name)
    if method == "prompts/get" and name in PROMPTS:
        return {"messages": [{"role": "user", "content": {"type": "text", "text": name}}]}
    if method == "resources/read" and name.lower().startswith("note://") and "nothing" not in name:
        return {"contents": [{"uri": name, "text": name}]}
    return None


def reply_to(message: dict[str, Any]) -> dict[str, Any]:
    params = message.get("params", {})
    result = result_of(message["method"], params)
    if result is None:
        code = -32002 if message["method"] == "resources/read" else -32601
        error = {"code": code, "message": "the server's own words"}
        return {"jsonrpc": "2.0", "id": message["id"], "error": error}
    if META + "protocolVersion" in params.get("_meta", {}):
        result = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **result}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


class Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(reply_to(message)).encode() if "id" in message and "method" in message else b""
        self.send_response(200 if body else 202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_error(405)

    def do_DELETE(self) -> None:
        self.send_error(405)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main() -> None:
    if "http" in sys.argv:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
        print(server.server_address[1], flush=True)
        server.serve_forever(0.02)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            sys.stdout.write(json.dumps(reply_to(message)) + "\n")
            sys.stdout.flush()


main()
