"""The real clock and the real source of randomness: the only ones, made here and handed down as ports."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime


class SystemClock:
    """Implements `ports.Clock` with the machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return time.monotonic()


class SystemEntropy:
    """Implements `ports.Entropy` with the kernel's generator."""

    def token(self, size: int) -> bytes:
        """Return `size` random bytes."""
        return os.urandom(size)
