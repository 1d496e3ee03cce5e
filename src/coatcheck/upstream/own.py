"""The gateway's own requests in protocol terms: its lists, and an operator's probe."""

from __future__ import annotations

from typing import Final

from coatcheck.core.wire import messages
from coatcheck.model.call import NO_PARAMS, Call
from coatcheck.ports import Ask, ProbeCall

CALL_TOOL: Final = "tools/call"
_NO_ID: Final = b"0"


def own_call(what: Ask | ProbeCall, cursor: str | None) -> Call:
    """Return the request that asks for a page of a list, or makes a probe."""
    if isinstance(what, ProbeCall):
        params = {"name": messages.raw_of(what.tool), "arguments": what.arguments}
        return Call(_NO_ID, CALL_TOOL, params, mirrored=what.mirrored)
    return Call(_NO_ID, what.value, NO_PARAMS if cursor is None else {"cursor": messages.raw_of(cursor)})
