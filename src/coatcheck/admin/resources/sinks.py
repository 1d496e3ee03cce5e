"""Sinks over the API: how each does, and an entry to try one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.model.sink import SinkKind, SinkStatus
from coatcheck.operations.permissions import Permission
from coatcheck.ports import Sinks


class SinkShape(Struct, kw_only=True):
    """How a sink does. It has every entry of the ledger up to `cursor`, of those up to `last`.

    `lag` counts the entries between, up to 10,000; `behind_since` is the time of the first of them. `error`
    says why none is delivered for now. `options` are as written, secrets masked.
    """

    name: str
    kind: SinkKind
    cursor: int
    last: int
    lag: int
    behind_since: str | None
    delivered: int
    failures: int
    error: str
    options: dict[str, str | int | float | bool]


class SinkPage(Struct):
    """Every sink; `next` is always null."""

    items: list[SinkShape]
    next: str | None


class SinkTested(Struct):
    """What became of a test entry; `error` is empty if it was delivered."""

    delivered: bool
    error: str


def sink_shape(status: SinkStatus, options: Mapping[str, str | int | float | bool]) -> SinkShape:
    """Return a sink as it is told."""
    return SinkShape(
        name=status.name,
        kind=status.kind,
        cursor=status.cursor,
        last=status.last,
        lag=status.lag,
        behind_since=rfc3339(status.since) if status.since else None,
        delivered=status.delivered,
        failures=status.failures,
        error=status.error,
        options=dict(options),
    )


class SinkRoutes:
    """Serves the sinks."""

    def __init__(self, sinks: Sinks) -> None:
        self._sinks = sinks

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/sinks",
                permission=Permission.STATUS,
                summary="List the sinks, and how far behind each is.",
                answer=self.list,
                gives=SinkPage,
                query=Nothing,
                body=Nothing,
            ),
            Route(
                method="POST",
                path="/sinks/{name}/test",
                permission=Permission.SINKS_TEST,
                summary="Send a test entry through a sink.",
                answer=self.test,
                gives=SinkTested,
                query=Nothing,
                body=Nothing,
                errors=("not_found",),
            ),
        ]

    async def list(self, asking: Asking[Nothing, Nothing]) -> Reply:  # noqa: ARG002 - the shape of an answer
        """Answer GET /sinks."""
        options = self._sinks.shown()
        items = [sink_shape(status, options.get(status.name, {})) for status in self._sinks.statuses()]
        return Reply(SinkPage(items, None))

    async def test(self, asking: Asking[Nothing, Nothing]) -> Reply:
        """Answer POST /sinks/{name}/test."""
        why = await self._sinks.test(asking.names["name"])
        return Reply(SinkTested(not why, why))
