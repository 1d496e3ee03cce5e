"""A small MCP server over stdio that speaks up: `talker.py [legacy|modern|dual] [option...]`.

It asks its client, tells it things and keeps subscriptions, as its tools are told to. Options:
`mute-after-probe`, `null-id` (refuses what it does not know without an id), `pid-file=PATH` (a line each start).
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

PROTOCOL = "io.modelcontextprotocol/protocolVersion"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
CHANGES = {"listChanged": True}
CAPABILITIES = {"tools": CHANGES, "prompts": {}, "resources": CHANGES | {"subscribe": True}, "logging": {}}
INFO = {"name": "talker", "version": "1"}

seen: list[dict[str, Any]] = []
waiting: dict[str, dict[str, Any]] = {}
listens: list[Any] = []


def send(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def answer(request: dict[str, Any], result: object) -> None:
    send({"jsonrpc": "2.0", "id": request["id"], "result": result})


def refuse(id: object, code: int, text: str) -> None:
    send({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}})


def text(value: object) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": json.dumps(value)}]}


def call(request: dict[str, Any]) -> None:  # noqa: C901 - a list of tools
    name, args = request["params"]["name"], request["params"].get("arguments", {})
    if name == "ask":  # and give the answer as the result
        waiting[json.dumps(args["id"])] = request
        send({"jsonrpc": "2.0", "id": args["id"], "method": args["method"], "params": args.get("params", {})})
    elif (
        name == "say"
    ):  # these messages, `LISTEN` being the id of the newest subscription; `late`: afterwards
        if args.get("late"):
            answer(request, text("to be said"))
        newest = json.dumps(listens[-1]) if listens else '"LISTEN"'
        for message in json.loads(json.dumps(args["messages"]).replace('"LISTEN"', newest)):
            send({"jsonrpc": "2.0", **message})
        if not args.get("late"):
            answer(request, text("said"))
    elif name == "release":  # answer a call that waits for its client
        answer(waiting.pop(json.dumps(args["id"])), text("released"))
        answer(request, text("done"))
    elif name == "seen":
        answer(request, text(seen))
    elif name == "pid":
        answer(request, text([os.getpid(), os.environ["HOME"]]))
    elif name == "crash":
        os._exit(3)
    elif name != "never":
        refuse(request["id"], -32602, f"Unknown tool: {name}")


def open_up(message: dict[str, Any], era: str, options: set[str]) -> None:
    if message["method"] == "initialize":
        if era == "modern":
            refuse(message["id"], -32022, "Unsupported protocol version")
        else:
            found = {"protocolVersion": message["params"]["protocolVersion"], "serverInfo": INFO}
            answer(message, found | {"capabilities": CAPABILITIES})
    elif era == "legacy":
        refuse(None if "null-id" in options else message["id"], -32601, "Method not found")
    else:
        answer(message, {"supportedVersions": ["2026-07-28", "2025-11-25"], "capabilities": CAPABILITIES})


def on_request(message: dict[str, Any]) -> None:
    method = message["method"]
    if method == "tools/call":
        call(message)
    elif method == "subscriptions/listen":
        listens.append(message["id"])
        params = {"notifications": message["params"]["notifications"], "_meta": {SUBSCRIPTION: message["id"]}}
        send({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params})
    elif method in ("logging/setLevel", "resources/subscribe", "resources/unsubscribe"):
        answer(message, {})
    else:
        refuse(message["id"], -32601, "Method not found")


def take(message: dict[str, Any], era: str, options: set[str]) -> None:
    if "method" not in message:
        request = waiting.pop(json.dumps(message["id"]), None)
        if request is not None:
            answer(request, text(message))
    elif message["method"] in ("initialize", "server/discover"):
        open_up(message, era, options)
    elif "id" in message:
        on_request(message)


def main() -> None:
    era, options = (sys.argv[1:2] or ["legacy"])[0], set(sys.argv[2:])
    for option in options:
        if option.startswith("pid-file="):
            with open(option[9:], "a") as file:
                file.write(f"{os.getpid()}\n")
    probed = False
    for line in sys.stdin.buffer:
        message = json.loads(line)
        seen.append(message)
        probed = probed or message.get("method") == "server/discover"
        if not (probed and "mute-after-probe" in options):
            take(message, era, options)


if __name__ == "__main__":
    main()
