"""The one call that the benchmarks make, written once, and what counts as its answer."""

from __future__ import annotations

TEXT = "words that a caller might send " * 4
META = (
    '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    '"io.modelcontextprotocol/clientCapabilities":{}}'
)
FIRST_ID = 10**9
"""Ids have ten digits, so that every call is as long as the others and no id is found by chance."""
IDS_PER_CALLER = 10**7

BEFORE_ID = b'{"jsonrpc":"2.0","id":'


def after_id(tool: str) -> bytes:
    """Return what follows the id in a `tools/call` of the modern era."""
    params = f'{{"name":"{tool}","arguments":{{"text":"{TEXT}"}},{META}}}'
    return f',"method":"tools/call","params":{params}}}'.encode()


def length(tool: str) -> int:
    """Return the bytes of one call."""
    return len(BEFORE_ID) + len(str(FIRST_ID)) + len(after_id(tool))


def headers(tool: str, bearer: str) -> dict[str, str]:
    """Return the headers of a call over HTTP, without the length of its body."""
    return {
        "Authorization": f"Bearer {bearer}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }


def is_answered(body: bytes, id_: int) -> bool:
    """Tell whether this is the result that the call with this id is to get, and no error."""
    fine = b'"isError":false' in body or b'"isError": false' in body
    return fine and b"%d" % id_ in body
