"""A client and the bridge in one process, the gateway anywhere: what is said, heard and printed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from coatcheck.bridge.grants import FromVariable, Source
from coatcheck.bridge.hop import Hop
from coatcheck.bridge.legacy import Legacy
from coatcheck.bridge.limits import Limits
from coatcheck.bridge.modern import Modern
from coatcheck.bridge.place import place_of
from coatcheck.bridge.sessions import Sessions
from coatcheck.bridge.talk import Talk
from coatcheck.bridge.tools import Tools
from coatcheck.model.secret import Secret

PATIENCE = 10.0
GRANT = "cckg_the-grant-of-this-test"
LIMITS = Limits(wait=5.0, drain=5.0)
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
OPENING = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"roots": {}},
    "clientInfo": {"name": "test", "version": "1"},
}


@dataclass
class Conversation:
    """`heard` has every line written to the client, `printed` every line on standard error."""

    talk: Talk
    heard: list[bytes] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    _next: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, line: bytes) -> None:
        assert b"\n" not in line
        assert b"\r" not in line
        self.heard.append(line)
        self._news.set()

    async def say(self, message: dict[str, Any] | bytes) -> None:
        """Say one line, as the client."""
        raw = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        await self.talk.receive(raw + b"\n")

    async def hear(self) -> Any:
        """Return the next message that was not heard yet."""
        async with asyncio.timeout(PATIENCE):
            while self._next >= len(self.heard):
                self._news.clear()
                await self._news.wait()
        self._next += 1
        return json.loads(self.heard[self._next - 1])

    async def hear_all(self, number: int) -> list[Any]:
        """Return the next messages, in whatever order they come."""
        return [await self.hear() for _ in range(number)]

    async def ask(self, method: str, params: dict[str, Any] | None = None, id: Any = 1) -> Any:
        """Send a legacy request and return the next message."""
        await self.say({"id": id, "method": method, "params": params or {}})
        return await self.hear()

    async def modern(self, method: str, params: dict[str, Any] | None = None, id: Any = 1) -> Any:
        """Send a modern request and return the next message."""
        await self.say({"id": id, "method": method, "params": {**(params or {}), "_meta": META}})
        return await self.hear()

    async def open(self) -> Any:
        """Shake hands as a legacy client does."""
        answer = await self.ask("initialize", OPENING, 0)
        await self.say({"method": "notifications/initialized"})
        return answer


@asynccontextmanager
async def conversation(
    url: str, source: Source | None = None, limits: Limits = LIMITS, **changes: Any
) -> AsyncIterator[Conversation]:
    """Connect a client to the gateway at `url`; `changes` replace limits."""
    limits = replace(limits, **changes)
    made: list[Conversation] = []
    printed: list[str] = []

    async def write(line: bytes) -> None:
        await made[0].write(line)

    hop = Hop(place_of(url), source or FromVariable(Secret(GRANT)), limits, printed.append)
    async with hop:
        legacy = Legacy(hop, Sessions(hop, write, limits, printed.append), limits, printed.append)
        modern = Modern(hop, Tools(printed.append), write, limits)
        talk = Talk(modern, legacy, write, limits, printed.append)
        made.append(Conversation(talk, printed=printed))
        try:
            yield made[0]
        finally:
            await talk.close()
    assert not any(GRANT in line for line in printed)
    assert not any(GRANT.encode() in line for line in made[0].heard)


async def until(condition: Any) -> None:
    """Return when the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)
