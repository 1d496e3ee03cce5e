"""How fast what one server says is read, over all of its streams and children together.

A server that never stops talking would otherwise take the event loop from everyone else. What is beyond its
share waits in the kernel, and so at the server; answers that come in one piece are free.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final
from uuid import UUID

RATE: Final = 5000.0
"""Units a second: about a sixth of a processor, since a unit costs some 30 microseconds to read."""
AHEAD: Final = 0.2
"""Seconds' worth of units that may be read at once."""
MESSAGE: Final = 1.0
"""Units: a message that answers nothing."""
PIECE: Final = 1 / 32
"""Units: a line of a stream, or a piece of a body."""
_GRAIN: Final = 0.001
"""Seconds: timers are no finer."""


def of_stream(pieces: int, size: int) -> float:
    """Return the units of so many bytes to be taken apart, in so many pieces."""
    return pieces * PIECE + size / 16_384


def of_body(pieces: int, size: int) -> float:
    """Return the units of so many bytes that are only kept, in so many pieces."""
    return pieces * PIECE + size / 262_144


class Pace:
    """The share of one server, in units a second. Who has more to read than it allows waits for a turn."""

    __slots__ = ("__weakref__", "_rate", "_until", "_waiting")

    def __init__(self, rate: float = RATE) -> None:
        self._rate = rate
        self._until = 0.0
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def spent(self) -> bool:
        """Whether no more should be read now."""
        return self._until > asyncio.get_running_loop().time() + _GRAIN

    def spend(self, units: float) -> None:
        """Take note of what was read."""
        now = asyncio.get_running_loop().time()
        self._until = max(self._until, now - AHEAD) + units / self._rate

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` once its turn has come; it must not raise. To be called again if it waits again."""
        self._waiting.append(go_on)
        if len(self._waiting) == 1:
            self._set_timer()

    def _set_timer(self) -> None:
        asyncio.get_running_loop().call_at(self._until, self._next)

    def _next(self) -> None:
        try:
            while self._waiting and not self.spent:
                go_on = self._waiting[0]  # it stays first meanwhile, so that `wait` sets no second timer
                try:
                    go_on()
                finally:
                    self._waiting.popleft()
        finally:
            if self._waiting:
                self._set_timer()  # one that failed must not leave the others waiting for ever


class Paces:
    """The pace of each server, however many clients have sessions of their own with it."""

    def __init__(self) -> None:
        self._paces: weakref.WeakValueDictionary[UUID, Pace] = weakref.WeakValueDictionary()

    def of(self, server: UUID) -> Pace:
        """Return the pace that everything of this server shares. It lasts as long as somebody has it."""
        pace = self._paces.get(server)
        if pace is None:
            pace = self._paces[server] = Pace()
        return pace
