"""The first page: what goes on, what waits for somebody, and what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages import plots
from coatcheck.console.pages.places import Places
from coatcheck.console.pages.reading import if_readable
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, seen
from coatcheck.core.activity import Active, Ranking, Series, Step
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
    why_not: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether nothing is known as yet, as in the first moment after a start: no number is no zero."""
        series = self.series
        if series is None or series.complete or series.sealed:
            return False
        return all(one.counts is None for one in series.buckets)

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
        span = asked.query.span
        if asked.part == "overview":
            return Shown("overview/activity.html", await self._with_grants(self._activity(span)))
        if asked.part == "needs":
            return Shown("overview/needs.html", await self._with_grants(self._needs(span)))
        if not self._cases.directory.snapshot.servers and not self._cases.attention.has_grants():
            return Moved("/start")
        whole = await self._with_grants(self._activity(span), self._needs(span))
        return Shown("overview/overview.html", whole)

    async def _with_grants(self, *parts: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return what parts of the page tell, and which grants deserve a look, which each of them tells."""
        grants, told = await asyncio.gather(self._cases.attention.look(), asyncio.gather(*parts))
        return {"grants": grants, **{name: value for one in told for name, value in one.items()}}

    async def _activity(self, span: Span) -> Mapping[str, Any]:
        """Return what goes on, counted."""
        counted = await self._count(span)
        return {
            "span": span,
            "counted": counted,
            "points": plots.counts(counted.series),
            "times": plots.latency(counted.series),
            "waiting": self._cases.reviewing.waiting(),
            "health": self._cases.overview(),
            "places": Places(self._cases.directory.snapshot),
        }

    async def _needs(self, span: Span) -> Mapping[str, Any]:
        """Return what waits for somebody, and what is wrong."""
        servers, due, knocks = await asyncio.gather(
            self._cases.views.servers(probe=False),
            self._cases.credentials.plan(),
            if_readable(self._cases.activity.knocking(self._cases.clock.now() - span.length)),
        )
        return {
            "span": span,
            "servers": servers,
            "troubled": [view for view in servers if _is_troubled(view)][:MOST],
            "urgent": [one for one in due if _URGENT & set(one.reasons)],
            "due": [one for one in due if _is_due(one)],
            "knocks": knocks,
            "places": Places(self._cases.directory.snapshot),
            "most": MOST,
        }

    async def _count(self, span: Span) -> Counted:
        since = self._cases.clock.now() - span.length
        try:
            counted = await asyncio.gather(
                self._cases.activity.over(since, step=span.step), self._cases.activity.servers(since)
            )
            return Counted(*counted)
        except Unavailable as error:
            return Counted(why_not=error.message)


def _is_due(one: Due) -> bool:
    return Reason.DUE in one.reasons or Reason.EXPIRING in one.reasons


def _is_troubled(view: ServerView) -> bool:
    return bool(view.last_error) or view.degraded
