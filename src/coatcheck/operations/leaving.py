"""Whether something under way has ended, for whoever waits for that; nearly always nobody does."""

from __future__ import annotations

import asyncio


class Leaving:
    """Set once. An event is made only for someone who waits: there is one of these for every call."""

    __slots__ = ("_event", "done")

    def __init__(self) -> None:
        self.done = False
        self._event: asyncio.Event | None = None

    def set(self) -> None:
        """Say that it has ended."""
        self.done = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Return when it has ended."""
        if self.done:
            return
        if self._event is None:
            self._event = asyncio.Event()
        await self._event.wait()
