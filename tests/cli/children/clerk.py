"""A small stdio server: `echo` gives its arguments back, `refuse` fails, `hang` hangs."""

import json
import os
import re
import sys
from typing import Any

TOOLS = [
    {
        "name": "echo",
        "description": "Gives its arguments back.\nAll of them.",
        "inputSchema": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "n": {"type": "number"}},
            "required": ["text"],
        },
    },
    {"name": "refuse", "inputSchema": {"type": "object"}},
    {"name": "pid", "inputSchema": {"type": "object"}},
    {"name": "hang", "inputSchema": {"type": "object"}},
]


def text(words: str, **more: object) -> str:
    return json.dumps({"content": [{"type": "text", "text": words}], **more})


def call(name: str, line: str) -> str:
    if name == "echo":
        found = re.search(r'"arguments":\s*(\{[^{}]*\})', line)
        given = found[1] if found else "{}"
        return f'{{"content":[{{"type":"text","text":{json.dumps(given)}}}],"structuredContent":{given}}}'
    if name == "refuse":
        return text("no such luck", isError=True)
    if name == "hang":
        print(f"hanging in {os.getpid()}", file=open(os.environ["HANGING"], "w"), flush=True)  # noqa: SIM115
        sys.stdin.read()
    return text(str(os.getpid()))


def answer(message: dict[str, Any], line: str) -> str:
    match message["method"]:
        case "initialize":
            server = {"name": "clerk", "version": "1"}
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": server}
            return f'"result": {json.dumps(result)}'
        case "tools/list":
            return f'"result": {json.dumps({"tools": TOOLS})}'
        case "tools/call":
            return f'"result": {call(message["params"]["name"], line)}'
        case _:
            return '"error": {"code": -32601, "message": "no such method"}'


print("clerk is here", file=sys.stderr, flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(f'{{"jsonrpc": "2.0", "id": {json.dumps(message["id"])}, {answer(message, line)}}}', flush=True)
