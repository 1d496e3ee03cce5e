"""How long to wait before a stream that ended is opened again, as arithmetic.

Source: MCP 2025-11-25 (transports: a server may close a stream and says in `retry` when to come back).
"""

from __future__ import annotations

from typing import Final

LEAST: Final = 1.0
"""Seconds before a stream is opened again where the server named none, at first."""
MOST: Final = 60.0
FLOOR: Final = 0.2
"""Seconds between two streams at the very least, whatever a server asks for."""
HEALTHY: Final = 10.0
"""A stream that lasted so many seconds, or brought anything, was a good one."""


def before_resuming(empty: int, retry: int | None) -> float:
    """Return the seconds until a call's stream is resumed: what the server asked for, else ever longer.

    `retry` is in milliseconds; `empty` counts the streams in a row that brought nothing.
    """
    if retry is not None:
        return min(max(retry / 1000, FLOOR), MOST)
    return min(LEAST * 2.0 ** min(empty, 16), MOST)


def before_reopening(poor: int, retry: int | None, spread: float) -> float:
    """Return the seconds until a stream that nobody waits for is opened again.

    `poor` counts the streams in a row that were no good one. `spread`, from 0 to 1, tells those apart who
    lost their streams at the same moment, so that they do not all come back in the same moment too.
    """
    wanted = 0.0 if retry is None else min(retry / 1000, MOST)
    if retry is not None and not poor:
        return max(wanted, FLOOR)
    longest = min(LEAST * 2.0 ** min(poor, 16), MOST)
    return max(wanted, longest * (0.5 + min(max(spread, 0.0), 1.0) / 2))
