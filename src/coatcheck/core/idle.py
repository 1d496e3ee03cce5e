"""When a stdio server that nobody calls is stopped: the idle policy as arithmetic."""

from __future__ import annotations

from collections import deque
from typing import Final

from coatcheck.model.server import IdlePolicy

HOUR: Final = 3600.0
_FEW: Final = 5
_MANY: Final = 20
_RARELY: Final = 60.0
_AT_TIMES: Final = 180.0
_OFTEN: Final = 300.0


def idle_after(policy: IdlePolicy, calls_in_hour: int) -> float | None:
    """Return the seconds without a call after which a server is stopped; None means never."""
    if not policy.adaptive:
        return policy.after
    if calls_in_hour < _FEW:
        wanted = _RARELY
    elif calls_in_hour <= _MANY:
        wanted = _AT_TIMES
    else:
        wanted = _OFTEN
    return min(max(wanted, policy.least), policy.most)


class CallTimes:
    """The times of the latest calls, as many as the policy can tell apart; monotonic seconds."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_MANY + 1)

    def add(self, now: float) -> None:
        """Note a call."""
        self._times.append(now)

    def in_hour(self, now: float) -> int:
        """Return the number of calls in the last hour, or 21 if there were more."""
        return sum(1 for time in self._times if time > now - HOUR)
