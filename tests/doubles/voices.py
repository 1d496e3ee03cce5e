"""Legacy clients as a conversation knows them: what reached them, and what they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from coatcheck.model.call import Notice, Question, Reply, Result


async def _empty(question: Question) -> Reply:
    return Result(b"{}")


class ScriptedVoice:
    """Implements `ports.Voice`."""

    def __init__(self) -> None:
        self.reply: Callable[[Question], Awaitable[Reply]] = _empty
        self.asked: list[tuple[Question, bytes | None]] = []
        self.told: list[Notice] = []
        self.paused: list[tuple[bytes, int | None]] = []
        self._heard = asyncio.Event()

    async def ask(self, question: Question, within: bytes | None) -> Reply:
        """Answer by the script."""
        self.asked.append((question, within))
        return await self.reply(question)

    def tell(self, notice: Notice) -> None:
        """Keep a notification."""
        self.told.append(notice)
        self._heard.set()

    def pause(self, within: bytes, retry: int | None) -> None:
        """Keep a pause."""
        self.paused.append((within, retry))

    async def hears(self) -> None:
        """Wait until something more was told."""
        await self._heard.wait()
        self._heard.clear()
