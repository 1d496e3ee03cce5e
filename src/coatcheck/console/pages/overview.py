"""The first page: what goes on, what waits for somebody, and what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, seen
from coatcheck.core.activity import Active, Bucket, Knocks, Ranking, Series, Step
from coatcheck.errors import Unavailable
from coatcheck.operations.credentials.views import Due, Reason
from coatcheck.operations.permissions import Permission
from coatcheck.operations.use_cases import UseCases
from coatcheck.operations.views import ServerView

MOST: Final = 6
"""How many lines each list has here; the pages behind them have all."""
_URGENT: Final = frozenset({Reason.FAILING, Reason.LACKING, Reason.RECONNECT, Reason.EXPIRED, Reason.OVERDUE})
_LEAST_TIMED: Final = 5
"""Calls that a server must have answered before it is called slow."""


class Span(StrEnum):
    """How far back one looks."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"

    @property
    def length(self) -> timedelta:
        """The time itself."""
        return {
            Span.DAY: timedelta(hours=24),
            Span.WEEK: timedelta(days=7),
            Span.MONTH: timedelta(days=30),
        }[self]

    @property
    def step(self) -> Step:
        """How long one bucket of the plot is."""
        return Step.DAY if self is Span.MONTH else Step.HOUR


class OverviewQuery(Struct):
    """How far back to look."""

    span: Span = Span.DAY


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of the time looked at; `why_not` says why it was not."""

    series: Series | None = None
    servers: Ranking | None = None
    knocks: Knocks | None = None
    why_not: str = ""

    @property
    def busiest(self) -> Sequence[Active]:
        """The servers with the most calls."""
        return [one for one in self.servers.items if one.name][:MOST] if self.servers else []

    @property
    def slowest(self) -> Sequence[Active]:
        """The servers that let one wait the longest."""
        named = [one for one in self.servers.items if one.name] if self.servers else []
        timed = [one for one in named if one.counts.timed >= _LEAST_TIMED]
        return sorted(timed, key=lambda one: -(one.counts.p95 or 0.0))[:MOST]


class OverviewPages:
    """Serves the first page."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [seen("/", Permission.STATUS, self.show, OverviewQuery)]

    async def show(self, asked: Asked[OverviewQuery, Nothing]) -> Answer:
        """Show what goes on; to a gateway that has nothing yet, the first steps."""
        servers = await self._cases.views.servers(probe=False)
        attention = await self._cases.attention.look()
        if not servers and not attention.any:
            return Moved("/start")
        span = asked.query.span
        counted, due = await asyncio.gather(self._count(span), self._cases.credentials.plan())
        return Shown(
            "overview/overview.html",
            {
                "span": span,
                "spans": list(Span),
                "counted": counted,
                "points": _points(counted.series.buckets) if counted.series else [],
                "times": _times(counted.series.buckets) if counted.series else [],
                "servers": servers,
                "troubled": [view for view in servers if _is_troubled(view)][:MOST],
                "urgent": [one for one in due if _URGENT & set(one.reasons)],
                "due": [one for one in due if _is_due(one)],
                "grants": attention,
                "waiting": self._cases.reviewing.waiting(),
                "health": self._cases.overview(),
                "labels": self._labels(counted),
                "most": MOST,
            },
        )

    def _labels(self, counted: Counted) -> Mapping[str, str]:
        """Return what the grants that knock are called, by id; of some, only the id is on record."""
        grants = self._cases.directory.snapshot.registry.grants
        knocks = counted.knocks.items if counted.knocks is not None else ()
        return {one.grant_id: grants[one.grant_id].label for one in knocks if one.grant_id in grants}

    async def _count(self, span: Span) -> Counted:
        since = self._cases.clock.now() - span.length
        try:
            counted = await asyncio.gather(
                self._cases.activity.over(since, step=span.step),
                self._cases.activity.servers(since),
                self._cases.activity.knocking(since),
            )
            return Counted(*counted)
        except Unavailable as error:
            return Counted(why_not=error.message)


def _is_due(one: Due) -> bool:
    return Reason.DUE in one.reasons or Reason.EXPIRING in one.reasons


def _is_troubled(view: ServerView) -> bool:
    return bool(view.last_error) or view.degraded


def _points(buckets: Sequence[Bucket]) -> list[tuple[datetime, list[int | None]]]:
    """Return calls that went well, refusals and failures over time; nothing where it is not known."""
    return [
        (one.at, [None] * 3)
        if one.counts is None
        else (
            one.at,
            [
                one.counts.calls - one.counts.refused - one.counts.failed,
                one.counts.refused,
                one.counts.failed,
            ],
        )
        for one in buckets
    ]


def _times(buckets: Sequence[Bucket]) -> list[tuple[datetime, list[float | None]]]:
    """Return how many milliseconds half of the calls took, and 95 of 100, over time."""
    return [
        (one.at, [_ms(one.counts.p50), _ms(one.counts.p95)] if one.counts else [None, None])
        for one in buckets
    ]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1_000, 1)
