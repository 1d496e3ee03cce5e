"""What only the composition root makes of the real world: time and randomness."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Time. Only the composition root makes the real one."""

    def now(self) -> datetime:
        """Return the wall clock in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...


class Entropy(Protocol):
    """Randomness. Only the composition root makes the real one."""

    def token(self, size: int) -> bytes:
        """Return `size` bytes fit for keys and identifiers."""
        ...
