"""An MCP server over stdio, standard library only: `stdio_peer.py [legacy]`. Its tools do what journeys ask for."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

LEGACY = "legacy" in sys.argv
META = "io.modelcontextprotocol/"
lock = threading.Lock()
cancelled: list[object] = []


def send(message: dict[str, Any]) -> None:
    with lock:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def text(value: object) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]}


def wait(seconds: float, id: object) -> dict[str, Any]:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and id not in cancelled:
        time.sleep(0.01)
    return text("waited")


def progress(args: dict[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
    for number in range(args.get("to", 3)):
        params = {"progressToken": meta.get("progressToken"), "progress": number}
        send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    return text("done")


def leak(_args: dict[str, Any]) -> dict[str, Any]:
    for name, value in os.environ.items():
        sys.stderr.write(f"{name}={value}\n")
    sys.stderr.flush()
    return text(dict(os.environ))


TOOLS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "echo": text,
    "env": lambda args: text(os.environ.get(args["name"], "")),
    "pid": lambda args: text(str(os.getpid())),
    "seen": lambda args: text(cancelled),
    "leak": leak,
    "die": lambda args: os._exit(3),
}


NAMES = (*TOOLS, "hang", "wait", "progress")


def call(request: dict[str, Any]) -> dict[str, Any]:
    params = request["params"]
    name, args, meta = params["name"], params.get("arguments", {}), params.get("_meta", {})
    if name == "hang":
        return wait(60, request["id"])
    if name == "wait":
        return wait(args["seconds"], request["id"])
    if name == "progress":
        return progress(args, meta)
    return TOOLS[name](args)


def result_of(request: dict[str, Any]) -> dict[str, Any] | None:
    method = request["method"]
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "stdio-peer", "version": "1"},
            "instructions": "Over stdio.",
        }
    if method == "server/discover" and not LEGACY:
        return {
            "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}},
            "instructions": "Over stdio.",
            "_meta": {META + "serverInfo": {"name": "stdio-peer", "version": "1"}},
        }
    if method == "tools/list":
        return {
            "tools": [{"name": name, "inputSchema": {"type": "object"}, "x-kept": 1.50} for name in NAMES]
        }
    if method == "tools/call":
        return call(request)
    return None


def serve(request: dict[str, Any]) -> None:
    result = result_of(request)
    if request["id"] in cancelled:
        return
    if result is None:
        error = {"code": -32601, "message": "Method not found"}
        send({"jsonrpc": "2.0", "id": request["id"], "error": error})
        return
    if META + "protocolVersion" in request.get("params", {}).get("_meta", {}):
        result = {"resultType": "complete", **result}
    send({"jsonrpc": "2.0", "id": request["id"], "result": result})


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("method") == "notifications/cancelled":
            cancelled.append(message["params"]["requestId"])
        elif "id" in message and "method" in message:
            threading.Thread(target=serve, args=(message,), daemon=True).start()


main()
