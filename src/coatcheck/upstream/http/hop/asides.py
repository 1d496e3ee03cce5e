"""Messages to one server that no caller waits for, such as answers: bounded, and dropped beyond that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from coatcheck.errors import UpstreamError

Sending = Callable[[], Awaitable[object]]
"""Sends one message. Raises `UpstreamError`."""


@dataclass(frozen=True, slots=True)
class AsideLimits:
    """How many messages may be at hand, how many of them under way, and the seconds that one may take."""

    most: int = 256
    at_once: int = 16
    patience: float = 5.0


class Asides:
    """Sends in order of arrival, a few at once. Nobody hears of a message that could not be sent."""

    def __init__(self, limits: AsideLimits) -> None:
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.at_once)
        self._tasks: set[asyncio.Task[None]] = set()
        self.dropped = 0
        """How many were dropped since too many were at hand."""

    def send(self, sending: Sending, *, minor: bool = False) -> None:
        """Send a message soon; `minor` ones leave half of the room free. Never blocks and never raises."""
        if len(self._tasks) >= (self._limits.most // 2 if minor else self._limits.most):
            self.dropped += 1
            return
        task = asyncio.get_running_loop().create_task(self._send(sending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, sending: Sending) -> None:
        async with self._turns:
            try:
                async with asyncio.timeout(self._limits.patience):
                    await sending()
            except (UpstreamError, TimeoutError):
                pass  # the server does not listen; whatever it was about fails or ends by itself

    async def end(self, wait: float) -> None:
        """Let those at hand have `wait` seconds, then drop them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=wait)
        for task in list(self._tasks):
            task.cancel()
