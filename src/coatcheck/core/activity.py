"""What went on in a time, counted: calls, refusals and how long calls took, by server, tool or caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import Final

_LEAST_SECONDS: Final = 0.0005
_GROWTH: Final = 1.25

BOUNDS: Final[tuple[float, ...]] = (0.0, *(_LEAST_SECONDS * _GROWTH**power for power in range(67)))
"""Where each band of seconds begins; the last, from 21 minutes on, has no end."""


class Step(StrEnum):
    """How long one bucket of a series is."""

    FIVE_MINUTES = "5m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def seconds(self) -> int:
        """Its length."""
        return {Step.FIVE_MINUTES: 300, Step.HOUR: 3_600, Step.DAY: 86_400}[self]


class By(StrEnum):
    """What counts are kept apart by."""

    SERVER = "server"
    REACHED = "reached"
    """By server as well, for those who ask for no hours: a series does, and they are many more than days."""
    TOOL = "tool"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class Focus:
    """Which calls are counted: of a server, a grant (by id) or its owner; and what they are told by."""

    by: By = By.SERVER
    server: str | None = None
    grant: str | None = None
    subject: str | None = None


Packed = tuple[int, int, int, int, int, int, float, float, datetime | None, tuple[int, ...]]
"""`Counts`, member by member; the bands one after the other, each with its count."""


@dataclass(slots=True)
class Counts:
    """Sums over calls: what is on record, lists included. `refused` is all that was not allowed.

    `knocks` are those of them who presented what was good once, `failed` what was allowed and did not end
    well. A refusal that stands for several counts as often. Seconds are of what was allowed and has ended:
    `timed` calls, of which `bands` tells how many took how long (`BOUNDS`).
    """

    calls: int = 0
    refused: int = 0
    knocks: int = 0
    failed: int = 0
    under_way: int = 0
    timed: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    last: datetime | None = None
    bands: dict[int, int] = field(default_factory=dict)

    def add(self, other: Counts) -> None:
        """Add others to these."""
        self.take(other.packed())

    def packed(self) -> Packed:
        """Return the same in one tuple, to be kept: small, and nothing that the collector looks through."""
        bands = tuple(chain.from_iterable(self.bands.items()))
        numbers = (self.calls, self.refused, self.knocks, self.failed, self.under_way, self.timed)
        return (*numbers, self.seconds, self.longest, self.last, bands)

    def take(self, packed: Packed) -> None:
        """Add others to these, as they were packed."""
        calls, refused, knocks, failed, under_way, timed, seconds, longest, last, bands = packed
        self.calls += calls
        self.refused += refused
        self.knocks += knocks
        self.failed += failed
        self.under_way += under_way
        self.timed += timed
        self.seconds += seconds
        self.longest = max(self.longest, longest)
        if last is not None and (self.last is None or last > self.last):
            self.last = last
        for place in range(0, len(bands), 2):
            band = bands[place]
            self.bands[band] = self.bands.get(band, 0) + bands[place + 1]

    @property
    def mean(self) -> float | None:
        """Seconds that a call took; None where none has ended."""
        return self.seconds / self.timed if self.timed else None

    @property
    def p50(self) -> float | None:
        """Seconds that half of the calls took at the most, to within a band."""
        return self.within(0.5)

    @property
    def p95(self) -> float | None:
        """Seconds that 95 of 100 calls took at the most, to within a band."""
        return self.within(0.95)

    def within(self, share: float) -> float | None:
        """Return the seconds that this share of the calls took at the most."""
        rank = share * sum(self.bands.values())
        before = 0
        for band, count in sorted(self.bands.items()):
            if before + count >= rank:
                low = BOUNDS[band]
                high = BOUNDS[band + 1] if band + 1 < len(BOUNDS) else self.longest
                found = low + (high - low) * (rank - before) / count
                return min(found, self.longest)
            before += count
        return None


def summed(all_of: Iterable[Counts]) -> Counts:
    """Return the sum."""
    whole = Counts()
    for one in all_of:
        whole.add(one)
    return whole


Named = Mapping[str, Counts]
"""Counts by the name of what they are told by."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One reading of a time: counts by the seconds since 1970 at which units begin, then by name.

    `begins` is the time of the oldest call that the store has, None if it has none. With `sealed` there were
    older ones, which are in files now: what is before `begins` is not known.
    """

    units: Mapping[int, Named]
    begins: datetime | None
    sealed: bool


@dataclass(frozen=True, slots=True)
class Bucket:
    """What began within one step from `at` on; None where that is not known, or not yet."""

    at: datetime
    counts: Counts | None


@dataclass(frozen=True, slots=True)
class Series:
    """Buckets in the order of time, and their sum. The first begins at or before the time asked for.

    `complete` tells that all of them are known. Else those from `back_to` on are; with `sealed`, the rest is
    in files and stays unknown, else it is being counted, and another look may find more.
    """

    step: Step
    buckets: Sequence[Bucket]
    whole: Counts
    complete: bool
    back_to: datetime
    sealed: bool


@dataclass(frozen=True, slots=True)
class Active:
    """A server, tool or caller, and what it did."""

    name: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class Ranking:
    """The names with the most calls first; `left_out` counts the calls of those that are not told.

    `complete`, `back_to` and `sealed` as of a `Series`.
    """

    items: Sequence[Active]
    left_out: int
    complete: bool
    back_to: datetime
    sealed: bool


@dataclass(frozen=True, slots=True)
class Through:
    """How many calls got through to a server or tool, lists included, and when it was last asked."""

    calls: int
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Uses:
    """What got through, by name; what only refusals were of is left out.

    `whole`: there were not more names than are kept apart. The others are as of a `Series`.
    """

    names: Mapping[str, Through]
    whole: bool
    complete: bool
    back_to: datetime
    sealed: bool


@dataclass(frozen=True, slots=True)
class Knock:
    """A grant that was presented although it had ended: how often, since when and from where.

    `reasons` and `addresses` are the newest first; an empty address stands for many.
    """

    grant_id: str
    label: str
    count: int
    first: datetime
    last: datetime
    reasons: Sequence[str]
    addresses: Sequence[str]


@dataclass(frozen=True, slots=True)
class Knocks:
    """Who knocked last comes first. `left_out` counts grants that are not told.

    `back_to` is the time from which on all are known, where some of what was asked for is not.
    """

    items: Sequence[Knock]
    left_out: int
    back_to: datetime | None
