"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 3, 9, 8, 7, tzinfo=UTC)


class HandClock:
    """Implements `ports.Clock`; both of its times move together, by hand."""

    def __init__(self) -> None:
        self._passed = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return 1_000.0 + self._passed

    def advance(self, seconds: float) -> None:
        self._passed += seconds
