"""How long one call may take: so long without a sign of life, and so long in all, people's time aside."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Seconds: without a sign of life, and in all. The time that a client takes to answer does not count."""

    quiet: float = 120.0
    longest: float = 1800.0


class Patience:
    """An asynchronous context: raises `TimeoutError` when patience has run out.

    `renew` is called at each sign of life; between `hold` and `release` the client is being asked, which
    takes as long as people take.
    """

    __slots__ = ("_end", "_held", "_held_since", "_loop", "_over", "_timeout", "_times")

    def __init__(self, times: CallTimes) -> None:
        self._times = times
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(min(times.quiet, times.longest))
        self._end = self._loop.time() + times.longest
        self._held = 0
        self._held_since = 0.0
        self._over = False

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        await self._timeout.__aexit__(kind, error, trace)

    def renew(self) -> None:
        """Take note of a sign of life."""
        if not self._held:
            self._reschedule(min(self._loop.time() + self._times.quiet, self._end))

    def hold(self) -> None:
        """Stop the clock; `release` must follow."""
        self._held += 1
        if self._held == 1:
            self._held_since = self._loop.time()
            self._reschedule(None)

    def release(self) -> None:
        """Let the clock go on where `hold` stopped it."""
        self._held -= 1
        if not self._held:
            self._end += self._loop.time() - self._held_since
            self.renew()

    def _reschedule(self, when: float | None) -> None:
        if not self._over and not self._timeout.expired():
            self._timeout.reschedule(when)
