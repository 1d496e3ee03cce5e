"""Clients that servers can ask: what they were asked and told, and what they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from coatcheck.core.wire.standing import Standing
from coatcheck.model.call import Fault, Notice, Question, Reply, Result
from coatcheck.model.era import LEGACY_VERSIONS, Era

NOT_OFFERED = Fault(-32601, "Method not found")


async def _empty(question: Question) -> Reply:
    return Result(b"{}")


class ScriptedClient:
    """Implements `ports.Client`. `reply` answers questions; `asked`, `told` and `paused` keep what came."""

    def __init__(
        self, capabilities: bytes = b"{}", era: Era = Era.MODERN, version: str = LEGACY_VERSIONS[0]
    ) -> None:
        self.capabilities = capabilities
        self.era = era
        self.version = version
        self.standing = Standing()
        self.reply: Callable[[Question], Awaitable[Reply]] = _empty
        self.asked: list[tuple[Question, bytes | None]] = []
        self.told: list[Notice] = []
        self.paused: list[tuple[bytes, int | None]] = []
        self.cancelled = 0
        self._heard = asyncio.Event()

    async def ask(self, question: Question, within: bytes | None) -> Reply:
        """Answer a question by the script."""
        self.asked.append((question, within))
        self._heard.set()
        try:
            return await self.reply(question)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def tell(self, notice: Notice) -> None:
        """Keep a notification."""
        self.told.append(notice)
        self._heard.set()

    def pause(self, within: bytes, retry: int | None) -> None:
        """Keep a pause."""
        self.paused.append((within, retry))
        self._heard.set()

    async def hears(self) -> None:
        """Wait until something new came."""
        await self._heard.wait()
        self._heard.clear()


def gateway_itself() -> ScriptedClient:
    """Return the client that the gateway is for those who share an upstream: it answers no question."""
    client = ScriptedClient()

    async def refuse(question: Question) -> Reply:
        return NOT_OFFERED

    client.reply = refuse
    return client
