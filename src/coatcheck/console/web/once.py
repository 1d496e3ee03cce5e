"""Forms whose answer is shown once: reloading that sends the form again, which shall do nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

KEPT_FOR: Final = timedelta(hours=1)
"""How long it is known of a form that it was sent."""
MOST: Final = 2_000
"""Of how many forms; of more, the oldest are forgotten."""


class Once:
    """Remembers which forms were sent, each known by the key that came with its page."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._sent: dict[bytes, datetime] = {}

    def take(self, session: str, path: str, key: str) -> bool:
        """Take note that a form is sent; return whether it is for the first time.

        A form without a key is always the first: programs need none.
        """
        if not key:
            return True
        now, mark = self._now(), _mark(session, path, key)
        while self._sent:  # the oldest stands first
            oldest, sent_at = next(iter(self._sent.items()))
            if len(self._sent) <= MOST and now - sent_at < KEPT_FOR:
                break
            del self._sent[oldest]
        if mark in self._sent:
            return False
        self._sent[mark] = now
        return True

    def forget(self, session: str, path: str, key: str) -> None:
        """Take it back: the form made nothing that is shown once."""
        self._sent.pop(_mark(session, path, key), None)


def _mark(session: str, path: str, key: str) -> bytes:
    return hashlib.sha256(f"{session}\n{path}\n{key}".encode()).digest()
