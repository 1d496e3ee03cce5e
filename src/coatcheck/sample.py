"""A small MCP server to try a gateway with: a cloakroom, in memory, over stdio. `python -m coatcheck.sample`.

It needs nothing and reaches nothing, so that a newcomer has a server within a second. It speaks protocol
version 2025-11-25: JSON-RPC 2.0, one message a line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

VERSION: Final = "2025-11-25"
_READS: Final = {"readOnlyHint": True, "openWorldHint": False}
_WRITES: Final = {"readOnlyHint": False, "destructiveHint": False, "openWorldHint": False}
_TAKES: Final = {"readOnlyHint": False, "destructiveHint": True, "openWorldHint": False}
_TEXT: Final = {"type": "string", "maxLength": 200}
HOOKS: Final = 100
_COATS: Final = {1: "wool coat", 2: "umbrella", 3: "rain coat"}


def _tool(name: str, description: str, hints: Mapping[str, bool], **members: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": members, "required": list(members)}
    return {"name": name, "description": description, "inputSchema": schema, "annotations": dict(hints)}


TOOLS: Final = (
    _tool("list_coats", "List what hangs in the cloakroom, by ticket.", _READS),
    _tool("count_hooks", "Tell how many hooks are free.", _READS),
    _tool("hang_up", "Hang something up and get its ticket.", _WRITES, thing=_TEXT),
    _tool("hand_out", "Hand out what a ticket is for.", _TAKES, ticket={"type": "integer", "minimum": 1}),
)


class Cloakroom:
    """What hangs in it, until the server ends."""

    def __init__(self) -> None:
        self._coats = dict(_COATS)
        self._next = len(_COATS) + 1

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        """Return what a tool answers, and whether that is an error."""
        tools: dict[str, Callable[[Mapping[str, Any]], tuple[str, bool]]] = {
            "list_coats": lambda _: (self._listed(), False),
            "count_hooks": lambda _: (f"{HOOKS - len(self._coats)} of {HOOKS} hooks are free.", False),
            "hang_up": self._hang_up,
            "hand_out": self._hand_out,
        }
        return tools[name](arguments)

    def _listed(self) -> str:
        lines = [f"{ticket}: {thing}" for ticket, thing in self._coats.items()]
        return "\n".join(lines) or "Nothing hangs here."

    def _hang_up(self, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        thing = arguments.get("thing")
        if not isinstance(thing, str) or not 0 < len(thing) <= 200:
            return "Say in `thing` what to hang up, in 200 characters at most.", True
        if len(self._coats) >= HOOKS:
            return "The cloakroom is full.", True
        ticket, self._next = self._next, self._next + 1
        self._coats[ticket] = thing
        return f"Hung up. The ticket is {ticket}.", False

    def _hand_out(self, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        thing = self._coats.pop(arguments.get("ticket", 0), None)
        return (f"Here is the {thing}.", False) if thing else ("Nothing hangs under that ticket.", True)


def answer(cloakroom: Cloakroom, message: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is said to one message; None to those that ask for nothing."""
    if "id" not in message or "method" not in message:
        return None
    method, params = message["method"], message.get("params") or {}
    said: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
    if method == "initialize":
        about = {"name": "cloakroom", "title": "A cloakroom to try", "version": "1"}
        told = {"protocolVersion": VERSION, "capabilities": {"tools": {}}, "serverInfo": about}
        return {**said, "result": told}
    if method == "ping":
        return {**said, "result": {}}
    if method == "tools/list":
        return {**said, "result": {"tools": list(TOOLS)}}
    if method == "tools/call":
        if params.get("name") not in {tool["name"] for tool in TOOLS}:
            return {**said, "error": {"code": -32602, "message": "Unknown tool"}}
        text, failed = cloakroom.call(params["name"], params.get("arguments") or {})
        return {**said, "result": {"content": [{"type": "text", "text": text}], "isError": failed}}
    return {**said, "error": {"code": -32601, "message": "Method not found"}}


def main() -> None:
    """Answer line by line until the other side is gone."""
    cloakroom = Cloakroom()
    for line in sys.stdin:
        said = answer(cloakroom, json.loads(line))
        if said is not None:
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
