"""How many calls may run at once: per grant and server, and in all. Others wait their turn, for a while."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass
from uuid import UUID

from coatcheck.errors import Busy


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Calls at once per grant and server, calls at once in all, and seconds to wait for a place."""

    per_grant: int = 64
    total: int = 512
    wait: float = 10.0


class Gate:
    """Counts calls under way and lets waiting ones in, first come first served within a limit."""

    def __init__(self, limits: GateLimits) -> None:
        self._limits = limits
        self._running: defaultdict[tuple[str, UUID], int] = defaultdict(int)
        self._total = 0
        self._waiting: deque[tuple[tuple[str, UUID], asyncio.Future[None]]] = deque()

    async def enter(self, grant_id: str, server: UUID) -> None:
        """Take a place for one call; `leave` gives it back.

        Raises:
            Busy: no place became free in time, or too many are waiting already.
        """
        key = (grant_id, server)
        if self._has_place(key):
            self._take(key)
        else:
            await self._wait(key)

    def leave(self, grant_id: str, server: UUID) -> None:
        """Give a place back and let the next waiting call in."""
        self._give_back((grant_id, server))

    def _has_place(self, key: tuple[str, UUID]) -> bool:
        return self._total < self._limits.total and self._running.get(key, 0) < self._limits.per_grant

    def _take(self, key: tuple[str, UUID]) -> None:
        self._running[key] += 1
        self._total += 1

    async def _wait(self, key: tuple[str, UUID]) -> None:
        busy = "Too many calls at once."
        fix = "Wait for earlier calls to end, or raise calls_per_grant or calls_total."
        if len(self._waiting) >= 4 * self._limits.total:
            raise Busy(busy, fix=fix)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (key, place)
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(self._limits.wait):
                await place
        except (TimeoutError, asyncio.CancelledError) as error:
            if place.done() and not place.cancelled():
                self._give_back(key)  # the place came in the same moment
            else:
                self._waiting.remove(waiting)
            if isinstance(error, TimeoutError):
                raise Busy(f"{busy} No place became free in {self._limits.wait:g} s.", fix=fix) from None
            raise

    def _give_back(self, key: tuple[str, UUID]) -> None:
        self._running[key] -= 1
        self._total -= 1
        if not self._running[key]:
            del self._running[key]
        if self._waiting:
            self._let_in()

    def _let_in(self) -> None:
        for waiting in list(self._waiting):
            if self._total >= self._limits.total:
                return
            if waiting[1].done() or not self._has_place(waiting[0]):
                continue
            self._waiting.remove(waiting)
            self._take(waiting[0])
            waiting[1].set_result(None)
