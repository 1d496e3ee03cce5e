"""Activity over the API: how much was called and refused, and how long it took; without anybody's name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Final

from msgspec import Meta, Struct

from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.admin.resources.records import refuse_backwards
from coatcheck.admin.resources.values import Moment, Name
from coatcheck.core.activity import Counts, Step
from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.operations.activity import Activity
from coatcheck.operations.permissions import Permission
from coatcheck.ports import Clock

USUAL: Final = timedelta(days=1)

Since = Annotated[Moment, Meta(description="At most 31 days ago; a day ago if it is not said.")]
Until = Annotated[Moment, Meta(description="The first time after those asked for; now if it is not said.")]


class ActivityQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """What to count, and in which steps; at most 750 of them."""

    since: Since | None = None
    until: Until | None = None
    step: Step = Step.HOUR
    server: Name | None = None


class ServersQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """What to count; whole hours are."""

    since: Since | None = None
    until: Until | None = None


class CountsShape(Struct, kw_only=True):
    """Calls on record. Those that were not allowed are `refused`, those that did not end well `failed`.

    `knocks` are the refusals of what was good once. Seconds are of calls that were allowed and have ended,
    percentiles to within a quarter; null if there are none.
    """

    calls: int
    refused: int
    knocks: int
    failed: int
    under_way: int
    mean_seconds: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    longest_seconds: float | None
    last: str | None


class BucketShape(Struct):
    """What began in one step from `at` on; null: that is not known, or not yet."""

    at: str
    counts: CountsShape | None


class SeriesShape(Struct, kw_only=True):
    """Steps in the order of time, and the sum of those that are known.

    Not all of them are, unless it is `complete`: from `back_to` on they are. With `sealed`, the rest is in
    files and stays unknown; else it is being counted, and asking again tells more.
    """

    step: Step
    items: list[BucketShape]
    whole: CountsShape
    complete: bool
    back_to: str
    sealed: bool


class ServerCounts(Struct):
    """One server; one without a name stands for what was about no one server."""

    name: str
    counts: CountsShape


class ServersShape(Struct, kw_only=True):
    """Servers, those with the most calls first; at most 500. `left_out` counts the calls of others.

    `complete`, `back_to` and `sealed` as of a series.
    """

    items: list[ServerCounts]
    left_out: int
    complete: bool
    back_to: str
    sealed: bool


class ActivityRoutes:
    """Serves activity."""

    def __init__(self, activity: Activity, clock: Clock) -> None:
        self._activity = activity
        self._clock = clock

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/activity",
                permission=Permission.STATUS,
                summary="Count calls, refusals and failures over time, and how long calls took.",
                answer=self.over,
                gives=SeriesShape,
                query=ActivityQuery,
                body=Nothing,
                errors=("unfit",),
            ),
            Route(
                method="GET",
                path="/activity/servers",
                permission=Permission.STATUS,
                summary="Count the same of each server, the busiest first.",
                answer=self.servers,
                gives=ServersShape,
                query=ServersQuery,
                body=Nothing,
                errors=("unfit",),
            ),
        ]

    async def over(self, asking: Asking[ActivityQuery, Nothing]) -> Reply:
        """Answer GET /activity."""
        query = asking.query
        refuse_backwards(query.since, query.until)
        since = query.since or self._clock.now() - USUAL
        found = await self._activity.over(since, query.until, query.step, server=query.server)
        items = [
            BucketShape(rfc3339(one.at), None if one.counts is None else counts_shape(one.counts))
            for one in found.buckets
        ]
        return Reply(
            SeriesShape(
                step=found.step,
                items=items,
                whole=counts_shape(found.whole),
                complete=found.complete,
                back_to=rfc3339(found.back_to),
                sealed=found.sealed,
            )
        )

    async def servers(self, asking: Asking[ServersQuery, Nothing]) -> Reply:
        """Answer GET /activity/servers."""
        query = asking.query
        refuse_backwards(query.since, query.until)
        found = await self._activity.servers(query.since or self._clock.now() - USUAL, query.until)
        return Reply(
            ServersShape(
                items=[ServerCounts(one.name, counts_shape(one.counts)) for one in found.items],
                left_out=found.left_out,
                complete=found.complete,
                back_to=rfc3339(found.back_to),
                sealed=found.sealed,
            )
        )


def counts_shape(counts: Counts) -> CountsShape:
    """Return counts as they are told."""
    return CountsShape(
        calls=counts.calls,
        refused=counts.refused,
        knocks=counts.knocks,
        failed=counts.failed,
        under_way=counts.under_way,
        mean_seconds=_rounded(counts.mean),
        p50_seconds=_rounded(counts.p50),
        p95_seconds=_rounded(counts.p95),
        longest_seconds=_rounded(counts.longest if counts.timed else None),
        last=None if counts.last is None else rfc3339(counts.last),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
