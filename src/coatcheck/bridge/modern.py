"""Modern requests (MCP 2026-07-28): stateless, each its own POST, with headers made from its body."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from coatcheck.bridge import exchange, missed
from coatcheck.bridge.answers import Replied
from coatcheck.bridge.hop import Hop
from coatcheck.bridge.limits import Limits, Patience
from coatcheck.bridge.pipes import Write
from coatcheck.bridge.tools import Tools
from coatcheck.bridge.trouble import Lost, Refused, Trouble, Unreached
from coatcheck.core.wire import eras, messages
from coatcheck.model.call import Call, Fault, Result

LISTEN: Final = "subscriptions/listen"
_REFRESH_ID: Final = b'"coatcheck-bridge-tools"'
_MAX_PAGES: Final = 50
_LONGEST_PAUSE: Final = 30.0
_HEADER: Final = re.compile(r"[ -~]*\Z")


class Modern:
    """The modern requests of one client. To cancel `ask` closes its connection, which cancels the request."""

    def __init__(self, hop: Hop, tools: Tools, write: Write, limits: Limits) -> None:
        self._hop = hop
        self._tools = tools
        self._write = write
        self._limits = limits

    async def ask(self, call: Call, line: bytes) -> bytes:
        """Return the line that answers a request; notifications before it are written as they come.

        Raises:
            Trouble: there is no answer.
        """
        if call.method == LISTEN:
            return (await self._listen(call, line)).line
        replied = await self._ask(call, line)
        if call.method == "tools/list":
            replied = self._tools.learn(replied, call.id)
        elif call.method == "tools/call" and _is_mismatch(replied) and await self._refresh(call):
            replied = await self._ask(call, line)  # it was refused before anything was done with it
        return replied.line

    async def tell(self, method: str, version: str, line: bytes) -> None:
        """Post a notification; the protocol has none by now that a gateway acts on.

        Raises:
            Trouble: it was not taken.
        """
        answer = await self._hop.open("POST", _sendable(eras.modern_headers(method, {}, version)), line)
        await answer.aclose()

    async def _ask(self, call: Call, line: bytes) -> Replied:
        patience = Patience(self._limits.wait)
        while True:
            try:
                return await self._once(call, line, self._relay)
            except Lost:
                if call.method not in exchange.SAFE or not await patience.pause():
                    raise

    async def _once(self, call: Call, line: bytes, other: exchange.Other) -> Replied:
        version = messages.text_of(call.meta.get(eras.META_VERSION)) or ""
        headers = eras.modern_headers(call.method, call.params, version) + self._tools.headers(call)
        return await exchange.ask(self._hop, _sendable(headers), line, call.id, self._limits.reply, other)

    async def _relay(self, incoming: messages.Incoming, line: bytes) -> None:
        """Write a notification; this protocol knows no requests from a server."""
        if incoming.method is not None and incoming.id is None:
            await self._write(line)

    # --- headers of tools ---

    async def _refresh(self, call: Call) -> bool:
        """List the tools anew, for a call whose headers were refused; tell whether it has others now."""
        before = self._tools.headers(call)
        meta = {name: raw for name, raw in call.meta.items() if name != eras.PROGRESS}
        params: dict[str, bytes] = {}
        for _ in range(_MAX_PAGES):
            body = messages.request(_REFRESH_ID, "tools/list", {**params, "_meta": messages.object_of(meta)})
            try:
                replied = await self._once(Call(_REFRESH_ID, "tools/list", params, meta), body, exchange.drop)
            except Trouble:
                return False
            self._tools.learn(replied, _REFRESH_ID)
            result = messages.members_of(replied.reply.raw) if isinstance(replied.reply, Result) else None
            if not result or "nextCursor" not in result or self._tools.headers(call) != before:
                break
            params = {"cursor": result["nextCursor"]}
        return self._tools.headers(call) != before

    # --- listening ---

    async def _listen(self, call: Call, line: bytes) -> Replied:
        """Keep a stream of changes open: a broken one is opened again, and what may have been missed told."""
        listening = _Listening(self._write)
        while True:
            try:
                return await self._once(call, line, listening.relay)
            except Lost:
                pass
            except Unreached as trouble:
                if trouble.lasting or not listening.acknowledged:
                    raise
            await asyncio.sleep(listening.next_pause())


class _Listening:
    """What is known of one listen across its connections."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._pause = 1.0
        self.acknowledged = False

    def next_pause(self) -> float:
        """Return seconds to wait before the next connection: ever more while nothing comes of them."""
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
        return pause

    async def relay(self, incoming: messages.Incoming, line: bytes) -> None:
        """Write a notification; in place of a second acknowledgement, what may have been missed."""
        self._pause = 1.0
        if incoming.method is None or incoming.id is not None:
            return
        if incoming.method != missed.ACKNOWLEDGED or not self.acknowledged:
            self.acknowledged = self.acknowledged or incoming.method == missed.ACKNOWLEDGED
            await self._write(line)
            return
        for message in missed.on_listen(incoming.params):
            await self._write(message)


def _is_mismatch(replied: Replied) -> bool:
    return isinstance(replied.reply, Fault) and replied.reply.code == eras.HEADER_MISMATCH


def _sendable(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers, if HTTP can carry them: method and version have no encoding of their own."""
    if not all(_HEADER.match(value) for _, value in headers):
        raise Refused("the method or the protocol version has characters that no header can carry")
    return headers
