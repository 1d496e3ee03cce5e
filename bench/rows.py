"""The rows that medians over rounds make of single measurements: pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import NamedTuple

DIRECT, NGINX, COATCHECK, UNSYNCED, UNWAITED, RULED = TARGETS = (
    "direct",
    "nginx",
    "coatcheck",
    "unsynced",
    "unwaited",
    "200 rules",
)


class Place(NamedTuple):
    """What was measured: who answers, which case, and how many callers."""

    target: str
    case: str
    callers: int


@dataclass(frozen=True, slots=True)
class Burst:
    """One measurement: calls a second, microseconds, and MiB; the CPU is user and system time together.

    CPU and memory are those of the proxy, or of the server itself where nothing is before it; `load_us` is
    what each call cost the load.
    """

    rps: float
    p50_us: float
    p99_us: float
    cpu_us_per_call: float
    rss_mib: float
    load_us: float


@dataclass(frozen=True, slots=True)
class Row:
    """The medians over the rounds of one place, rounded to what they can tell."""

    target: str
    case: str
    callers: int
    rps: float
    p50_us: float
    p99_us: float
    cpu_us_per_call: float
    rss_mib: float

    def as_json(self) -> dict[str, str | int | float]:
        return asdict(self)


Measured = Mapping[Place, Sequence[Burst]]


def in_turn(targets: Sequence[str], number: int) -> list[str]:
    """Return the targets in the order of this round: each goes first in its turn, then in reverse order."""
    cycle, first = divmod(number, len(targets))
    order = list(targets) if cycle % 2 == 0 else list(reversed(targets))
    return [*order[first:], *order[:first]]


def rows(measured: Measured) -> list[Row]:
    """Return a row for each place, by case, callers and target."""
    cases = list_of_cases(measured)

    def reading_order(place: Place) -> tuple[int, int, int]:
        return cases.index(place.case), place.callers, TARGETS.index(place.target)

    return [row(place, measured[place]) for place in sorted(measured, key=reading_order)]


def list_of_cases(measured: Measured) -> list[str]:
    """Return the cases in the order in which they were measured."""
    return list(dict.fromkeys(place.case for place in measured))


def row(place: Place, bursts: Sequence[Burst]) -> Row:
    return Row(
        *place,
        rps=middle(bursts, lambda burst: burst.rps),
        p50_us=middle(bursts, lambda burst: burst.p50_us),
        p99_us=middle(bursts, lambda burst: burst.p99_us),
        cpu_us_per_call=middle(bursts, lambda burst: burst.cpu_us_per_call),
        rss_mib=middle(bursts, lambda burst: burst.rss_mib),
    )


def middle(bursts: Sequence[Burst], figure: Callable[[Burst], float]) -> float:
    return round(median(map(figure, bursts)), 1)


def added_us(measured: Measured, place: Place, beside: str) -> float | None:
    """Return the median of how much longer `place` takes than `beside` in the same round, at the p50."""
    ours, theirs = measured.get(place), measured.get(place._replace(target=beside))
    if not ours or not theirs:
        return None
    return round(median(one.p50_us - other.p50_us for one, other in zip(ours, theirs, strict=True)), 1)


def times(measured: Measured, place: Place, beside: str, figure: Callable[[Burst], float]) -> float | None:
    """Return the median of how many times a figure of `beside` that of `place` is in the same round."""
    ours, theirs = measured.get(place), measured.get(place._replace(target=beside))
    if not ours or not theirs:
        return None
    return median(figure(one) / figure(other) for one, other in zip(ours, theirs, strict=True))
