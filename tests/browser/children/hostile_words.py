"""An MCP server over stdio all of whose words are payloads: names where they may be, titles, descriptions, errors."""

from __future__ import annotations

import json
import sys
from typing import Any

PAYLOADS: list[str] = json.loads(sys.argv[1])


def tools() -> list[dict[str, Any]]:
    return [
        {
            "name": f"tool_{number}",
            "title": payload,
            "description": payload,
            "inputSchema": {
                "type": "object",
                "title": payload,
                "properties": {payload: {"type": "string", "description": payload, "default": payload}},
            },
            "annotations": {"title": payload, "readOnlyHint": True},
        }
        for number, payload in enumerate(PAYLOADS)
    ]


def result_of(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        about = {"name": PAYLOADS[0], "title": PAYLOADS[1], "version": PAYLOADS[2]}
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": about,
            "instructions": PAYLOADS[3],
        }
    if method == "tools/list":
        return {"tools": tools()}
    if method == "tools/call":
        number = int(params["name"].removeprefix("tool_"))
        return {"content": [{"type": "text", "text": PAYLOADS[number]}], "isError": True}
    return {}


for payload in PAYLOADS:
    print(payload, file=sys.stderr, flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked and "method" in asked:
        told = result_of(asked["method"], asked.get("params") or {})
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": told}), flush=True)
