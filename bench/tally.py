"""What the callers of one measurement saw, and its summary."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts answers; those to calls of the warm-up count for `all` alone. Times are in nanoseconds."""

    since: int = 0
    until: int = 0
    took: list[int] = field(default_factory=list)
    all: int = 0
    failed: int = 0
    example: str = ""
    own: float = 0.0
    """CPU seconds of this process, the load, from the first call to the last."""

    def begin(self, since: int) -> None:
        self.since = since
        self.own = -time.process_time()

    def count(self, began: int, ended: int, wrong: bytes | None = None) -> None:
        """Count one answer; `wrong` is what came instead of the result asked for."""
        self.all += 1
        if wrong is not None:
            self.failed += 1
            self.example = repr(wrong[:300])
        elif began >= self.since:
            self.took.append(ended - began)

    def end(self, until: int) -> None:
        self.until = until
        self.own += time.process_time()

    def summary(self) -> dict[str, object]:
        took = sorted(self.took)
        return {
            "calls": len(took),
            "all_calls": self.all,
            "failed": self.failed,
            "example": self.example,
            "rps": len(took) / ((self.until - self.since) / 1e9),
            "p50_us": percentile(took, 0.50) / 1e3,
            "p99_us": percentile(took, 0.99) / 1e3,
            "load_us": self.own * 1e6 / max(1, self.all),
        }


def percentile(ordered: list[int], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else math.nan
