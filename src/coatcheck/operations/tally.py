"""Plain counters of what happened, for metrics and health; cheap enough for every request."""

from __future__ import annotations

from collections import Counter

from coatcheck.model.record import Outcome


class Tally:
    """Counts since the start. Read by the metrics page, which gives each its name and help."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.calls: Counter[tuple[str, str]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.misframed: Counter[int] = Counter()

    def settled(self, method: str, outcome: Outcome) -> None:
        """Count a request whose outcome is on record."""
        self.calls[method, outcome] += 1

    def answered(self, surface: str, status: int) -> None:
        """Count an HTTP answer by surface and status."""
        self.requests[surface, status] += 1

    def refused(self, reason: str) -> None:
        """Count a caller that was not let in."""
        self.refusals[reason] += 1
