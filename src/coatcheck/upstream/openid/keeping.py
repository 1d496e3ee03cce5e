"""Keeps what was fetched for a while, and fetches it once for all who wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from coatcheck.errors import UpstreamError
from coatcheck.ports import Clock

log = logging.getLogger(__name__)

LIFE: Final = 3600.0
"""Seconds that something fetched is used."""
PAUSE: Final = 60.0
"""Seconds between two fetches that somebody asks for out of turn."""
FAILED: Final = 5.0
"""Seconds that a failure is told again without another try."""

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """One value. Whoever asks can cause one fetch at a time, and no more than one in a while."""

    def __init__(self, fetch: Callable[[], Awaitable[Value]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._value: Value | None = None
        self._fetched_at = float("-inf")
        self._failure: UpstreamError | None = None
        self._failed_at = float("-inf")
        self._fetching: asyncio.Task[Value] | None = None

    async def get(self) -> Value:
        """Return the value, fetched within the last hour, whatever failed since. Raises as fetching does."""
        return await self._within(LIFE)

    async def renewed(self) -> Value:
        """Return the value, fetched within the last minute: somebody misses something in it. As `get`."""
        return await self._within(PAUSE)

    async def _within(self, seconds: float) -> Value:
        now = self._clock.monotonic()
        if self._value is not None and now - self._fetched_at < seconds:
            return self._value
        if self._failure is not None and now - self._failed_at < FAILED:
            raise self._failure.with_traceback(None)
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._fetched())
            self._fetching.add_done_callback(_retrieve)
        return await asyncio.shield(self._fetching)

    async def _fetched(self) -> Value:
        try:
            value = await self._fetch()
        except UpstreamError as error:
            self._failure, self._failed_at = error, self._clock.monotonic()
            log.warning("signing in by OpenID Connect fails: %s %s", error.message, error.detail)
            raise
        else:
            self._value, self._fetched_at, self._failure = value, self._clock.monotonic(), None
            return value
        finally:
            self._fetching = None


def _retrieve(task: asyncio.Task[Value]) -> None:
    if not task.cancelled():
        task.exception()  # those who waited have it
