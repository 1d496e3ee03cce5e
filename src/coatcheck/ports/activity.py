"""Counting what is on record, a stretch of time at once."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from coatcheck.core.activity import Counted, Focus, Knocks


class Counting(Protocol):
    """Counts the record. Each reading takes as long as there are calls in its time, off the event loop.

    Raises `LedgerUnavailable` where the record cannot be read.
    """

    async def count(self, focus: Focus, since: int, until: int, grain: int) -> Counted:
        """Count what began from one time on and before another, in units of `grain` seconds.

        Times are seconds since 1970, and multiples of `grain`. Units and names without calls are left out.
        """
        ...

    async def knocks(self, since: datetime) -> Knocks:
        """Return who presented what was good once, from a time on."""
        ...
