"""A hostile MCP server over stdio, standard library only: its tools do as their arguments say."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

PATIENCE = 20.0
lock = threading.Lock()
replies = 0


def put(data: str) -> None:
    with lock:
        sys.stdout.write(data)
        sys.stdout.flush()


def send(message: dict[str, Any]) -> None:
    put(json.dumps({"jsonrpc": "2.0", **message}) + "\n")


def text(value: object) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]}


def flood(args: dict[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
    """Write the same lines, with the token of the call in them, until a file appears."""
    block = "".join(line + "\n" for line in args["lines"]).replace(
        '"TOKEN"', json.dumps(meta.get("progressToken"))
    )
    limit = time.monotonic() + PATIENCE
    while not os.path.exists(args["until"]) and time.monotonic() < limit:
        put(block)
        sys.stderr.write("x" * 1000 + "\n")
    return text("done")


def ask(args: dict[str, Any]) -> dict[str, Any]:
    """Ask so many questions at once."""
    asked = [{"jsonrpc": "2.0", "id": f"q-{n}", **args["question"]} for n in range(args["times"])]
    put("".join(json.dumps(one) + "\n" for one in asked))
    return text("done")


def garbage(args: dict[str, Any]) -> dict[str, Any]:
    for line in args["lines"]:
        put(line + "\n")
    return text("done")


def huge(args: dict[str, Any]) -> dict[str, Any]:
    for _ in range(args["mib"]):
        put("x" * 2**20)
    return text("done")


def call(params: dict[str, Any]) -> dict[str, Any]:
    name, args, meta = params["name"], params.get("arguments", {}), params.get("_meta", {})
    if name == "flood":
        return flood(args, meta)
    if name == "die":
        os._exit(3)
    made = {"ask": ask, "garbage": garbage, "huge": huge, "echo": text}[name]
    return made(args)


def result_of(request: dict[str, Any]) -> dict[str, Any] | None:
    method = request["method"]
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {"listChanged": True}, "logging": {}},
            "serverInfo": {"name": "hostile", "version": "1"},
        }
    if method == "tools/list":
        names = ("flood", "ask", "garbage", "huge", "echo", "die")
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]}
    return call(request["params"]) if method == "tools/call" else None


def serve(request: dict[str, Any]) -> None:
    result = result_of(request)
    if result is None:
        send({"id": request["id"], "error": {"code": -32601, "message": "Method not found"}})
    else:
        send({"id": request["id"], "result": result})


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            threading.Thread(target=serve, args=(message,), daemon=True).start()


main()
