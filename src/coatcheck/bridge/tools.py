"""What the tools that passed by want in headers (SEP-2243): learned from `tools/list`, applied to calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from coatcheck.bridge.answers import Replied, one_line
from coatcheck.core.wire import messages, param_headers
from coatcheck.core.wire.param_headers import Annotations
from coatcheck.model.call import Call, Result

MAX_TOOLS: Final = 10_000
"""Tools with annotations; of more, the first to be seen are forgotten."""


class Tools:
    """The annotated tools by name. `say` gets one line for each tool that has to be left out."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._annotated: dict[str, Annotations] = {}
        self._left_out: set[str] = set()

    def headers(self, call: Call) -> list[tuple[str, str]]:
        """Return the headers that a call owes, as far as its tool is known."""
        name = messages.text_of(call.params.get("name")) if call.method == "tools/call" else None
        annotations = self._annotated.get(name) if name is not None else None
        if not annotations:
            return []
        return param_headers.headers_for(annotations, call.params.get("arguments", b"{}"))

    def learn(self, replied: Replied, id: bytes) -> Replied:
        """Read the reply to a `tools/list` and return it without tools whose annotations are invalid."""
        result = messages.members_of(replied.reply.raw) if isinstance(replied.reply, Result) else None
        listed = messages.items_of(result.get("tools", b"")) if result else None
        if not result or not listed:
            return replied
        kept = [tool for tool in listed if self._learn_tool(tool)]
        if len(kept) == len(listed):
            return replied
        result["tools"] = b"[%b]" % b",".join(kept)
        reply = Result(messages.object_of(result))
        return Replied(reply, one_line(messages.response(id, reply)))

    def _learn_tool(self, tool: bytes) -> bool:
        """Remember what one tool wants; return False if it must not be listed."""
        members = messages.members_of(tool) or {}
        name = messages.text_of(members.get("name"))
        if name is None:
            return True
        schema = members.get("inputSchema", b"{}")
        annotations = param_headers.annotations_of(schema)
        self._annotated.pop(name, None)
        if annotations is None:
            self._leave_out(name, schema)
            return False
        if annotations:
            self._annotated[name] = annotations
            if len(self._annotated) > MAX_TOOLS:
                del self._annotated[next(iter(self._annotated))]
        return True

    def _leave_out(self, name: str, schema: bytes) -> None:
        if name not in self._left_out and len(self._left_out) < MAX_TOOLS:
            self._left_out.add(name)
            why = param_headers.flaw_of(schema)
            self._say(f"coatcheck: the tool {name[:100]!r} is left out of the list: {why}")
