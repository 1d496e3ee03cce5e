"""When a server that died may be started again: a pause that grows with quick deaths, as arithmetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackoffRules:
    """Seconds but for `many`: the shortest and longest pause, and what makes a run healthy.

    A run of at least `healthy` seconds clears the count of quick deaths. `many` deaths within `window`
    bring the longest pause at once.
    """

    least: float = 1.0
    most: float = 60.0
    healthy: float = 10.0
    many: int = 5
    window: float = 60.0


@dataclass(frozen=True, slots=True)
class Deaths:
    """What is remembered of a server's deaths; times are monotonic seconds."""

    quick: int = 0
    times: tuple[float, ...] = ()
    retry_at: float = float("-inf")

    def pause_left(self, now: float) -> float:
        """Return the seconds until the next start is due; 0 if it is."""
        return max(0.0, self.retry_at - now)


NO_DEATHS = Deaths()


def after_death(deaths: Deaths, now: float, lived: float, rules: BackoffRules) -> Deaths:
    """Return what to remember after a death at `now` that ended a run of `lived` seconds (0: never ready).

    The restart after a healthy run is due at once; quick deaths in a row double the pause.
    """
    quick = 0 if lived >= rules.healthy else deaths.quick + 1
    times = (*(time for time in deaths.times if time > now - rules.window), now)[-rules.many :]
    if len(times) >= rules.many:
        pause = rules.most
    elif quick == 0:
        pause = 0.0
    else:
        pause = min(rules.most, rules.least * 2.0 ** min(quick - 1, 32))
    return Deaths(quick, times, now + pause)
