"""The record over the API: list, filter, follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct

from coatcheck.admin.api.paging import USUAL, Cursor, cursor_of, number_of
from coatcheck.admin.api.permissions import Permission
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route, Streamed
from coatcheck.admin.resources.streams import LINES, Streams
from coatcheck.admin.resources.values import Moment, Name
from coatcheck.core.record_lines import FIELDS, json_line
from coatcheck.model.record import RecordFilter, Verdict
from coatcheck.ports import Ledger

MAX_LIMIT: Final = 10_000
MAX_POSITION: Final = 2**53 - 1

Line = Annotated[Raw, Meta(extra_json_schema={"type": "object", "required": list(FIELDS)})]
"""One line of the record; docs/reference/record.md tells its fields."""


class RecordPage(Struct):
    """Records, oldest first. `next` leads to older ones; null: these are all."""

    items: list[Line]
    next: str | None


class RecordQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which records: the newest `limit` that match. `follow`: lines of what is settled from now on."""

    server: Name | None = None
    tool: Name | None = None
    subject: Name | None = None
    decision: Verdict | None = None
    since: Moment | None = None
    errors: bool = False
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = USUAL
    after: Annotated[int, Meta(ge=0, le=MAX_POSITION, description="A position.")] | None = None
    before: Cursor | None = None
    follow: bool = False


class RecordRoutes:
    """Serves the record."""

    def __init__(self, ledger: Ledger, streams: Streams) -> None:
        self._ledger = ledger
        self._streams = streams

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/records",
                permission=Permission.RECORDS,
                summary="List records, or follow them as JSON Lines.",
                answer=self.list,
                gives=RecordPage,
                query=RecordQuery,
                body=Nothing,
                streams=LINES,
                errors=("bad_cursor", "too_many_streams"),
            )
        ]

    async def list(self, asking: Asking[RecordQuery, Nothing]) -> Reply | Streamed:
        """Answer GET /records."""
        query = asking.query
        wanted = RecordFilter(
            server=query.server,
            tool=query.tool,
            subject=query.subject,
            decision=query.decision,
            since=query.since,
            errors=query.errors,
            limit=query.limit,
            after=query.after,
            before=number_of("records", query.before),
        )
        if query.follow:
            return self._streams.open(self._follow(wanted), asking.stands)
        entries = await self._ledger.list(wanted)
        older = str(entries[0].position) if len(entries) == query.limit else None
        lines: list[Any] = [Raw(json_line(entry)) for entry in entries]
        return Reply(RecordPage(lines, cursor_of("records", older)))

    async def _follow(self, wanted: RecordFilter) -> AsyncIterator[bytes]:
        async for entry in self._ledger.follow(wanted):
            yield json_line(entry)
