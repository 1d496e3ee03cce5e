"""What the raw servers of the benchmarks answer, rendered once."""

from __future__ import annotations

import json

TOOL = {
    "name": "echo",
    "description": "Answer with a few words.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    "annotations": {"readOnlyHint": True},
}
COMPLETE = {"resultType": "complete", "ttlMs": 3_600_000, "cacheScope": "public"}
ANSWERS = {
    "server/discover": {
        **COMPLETE,
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}},
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "raw", "version": "1"}},
    },
    "tools/list": {**COMPLETE, "tools": [TOOL]},
    "tools/call": {
        "resultType": "complete",
        "content": [{"type": "text", "text": "hello, " * 16}],
        "isError": False,
    },
}


def rendered(more: int = 0) -> dict[str, bytes]:
    """Return the results by method; `more` tools than the one can be listed."""
    tools = [TOOL, *({**TOOL, "name": f"tool{number}"} for number in range(more))]
    listed = {**ANSWERS, "tools/list": {**COMPLETE, "tools": tools}}
    return {method: json.dumps(result).encode() for method, result in listed.items()}


RENDERED = rendered()
