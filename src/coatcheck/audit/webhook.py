"""Notices by webhook: Slack-shaped JSON, one after the other, tried a few times, and in nobody's way."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from coatcheck.errors import CoatcheckError

WAITING: Final = 100
"""Most messages that wait; of more, the oldest are dropped."""
PAUSES: Final = (2.0, 10.0)
"""Seconds between the tries of one message, which are one more."""
CLOSE_SECONDS: Final = 2.0
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same may succeed."""

Post = Callable[[bytes], Awaitable[int]]
"""Sends a JSON document to the webhook and returns the HTTP status; raises `CoatcheckError` for no answer.

The URL is a secret: errors do not name it."""

log = logging.getLogger(__name__)


class Webhook:
    """Implements `ports.Notifier`. To be used on an event loop, and closed on the same."""

    def __init__(self, post: Post, *, waiting: int = WAITING, pauses: Sequence[float] = PAUSES) -> None:
        self._post = post
        self._pauses = tuple(pauses)
        self._waiting: deque[bytes] = deque(maxlen=waiting)
        self._task: asyncio.Task[None] | None = None
        self.lost = 0
        """How many messages were not delivered."""

    def notify(self, text: str) -> None:
        """Take a message; it is sent in the background."""
        if len(self._waiting) == self._waiting.maxlen:
            self._lose("too many wait")
        self._waiting.append(body_of(text))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._deliver())

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Give what waits a moment, and drop the rest."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _deliver(self) -> None:
        while self._waiting:
            why = await self._tried(self._waiting.popleft())
            if why:
                self._lose(why)

    async def _tried(self, body: bytes) -> str:
        """Send a message; return why that failed in the end, empty if it did not."""
        why = ""
        for pause in (*self._pauses, None):
            try:
                status = await self._post(body)
            except CoatcheckError as error:
                why = error.message
            except Exception as error:  # noqa: BLE001  # whatever it is, the next notice is to be sent
                return f"unforeseen {type(error).__name__}"
            else:
                if 200 <= status < 300:
                    return ""
                why = f"it answered {status}"
                if status not in _PASSING:
                    return why
            if pause is not None:
                await asyncio.sleep(pause)
        return why

    def _lose(self, why: str) -> None:
        self.lost += 1
        log.warning("a notice was not delivered to the webhook: %s; see `coatcheck credential plan`", why)


def body_of(text: str) -> bytes:
    """Return a message as Slack takes it: `{"text": ...}`, with the characters that steer it escaped."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return json.dumps({"text": escaped}).encode()
