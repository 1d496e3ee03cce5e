"""The real clock and the real source of randomness: the only ones, made here and handed down as ports."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Final

ID_BYTES: Final = 16
"""The size of a UUID. Keys, session ids and nonces have other sizes, and never lie in memory beforehand."""
DRAWN_BYTES: Final = 256 * ID_BYTES


class SystemClock:
    """Implements `ports.Clock` with the machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()


class SystemEntropy:
    """Implements `ports.Entropy` with the kernel's generator, asked for many record ids at a time.

    A system call hands the interpreter lock to the thread that waits for it, which costs the event loop more
    than the call. Belongs to one thread; a forked copy of the process draws anew.
    """

    def __init__(self) -> None:
        self._drawn = b""
        self._given = 0
        self._process_id = 0

    def token(self, size: int) -> bytes:
        """Return `size` random bytes."""
        if size != ID_BYTES:
            return os.urandom(size)
        if self._given == len(self._drawn) or self._process_id != os.getpid():
            self._drawn, self._given, self._process_id = os.urandom(DRAWN_BYTES), 0, os.getpid()
        start, self._given = self._given, self._given + ID_BYTES
        return self._drawn[start : self._given]
