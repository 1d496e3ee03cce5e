"""A child that reads on each call which tokens are good, and answers which of them it was given."""

import json
import os
import sys
import time

TOOLS = [{"name": "which", "inputSchema": {"type": "object"}}]


def label() -> str | None:
    """Return the label of our token in the file of good ones."""
    with open(os.environ["GOOD"], encoding="utf-8") as file:
        found = json.load(file).get(os.environ["TOKEN"])
        return None if found is None else str(found)


def reply(method: str) -> dict[str, object]:
    if method == "initialize":
        return {
            "result": {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "child", "version": "1"},
            }
        }
    if method == "tools/list":
        return {"result": {"tools": TOOLS}}
    if method == "tools/call":
        time.sleep(0.0005)
        found = label()
        text = {"type": "text", "text": found or "Bad credentials"}
        return {"result": {"content": [text], "isError": found is None}}
    return {"error": {"code": -32601, "message": "Method not found"}}


if label() is None and os.environ.get("STRICT"):
    sys.exit("token is not accepted: " + os.environ["TOKEN"])
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply(message["method"])}), flush=True)
