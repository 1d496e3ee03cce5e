"""The record over the API: list, filter, follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct

from coatcheck.admin.api.paging import USUAL, Cursor, cursor_of, number_of
from coatcheck.admin.api.problems import problem
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route, Streamed
from coatcheck.admin.resources.streams import LINES, Streams
from coatcheck.admin.resources.values import Moment, Name
from coatcheck.core.recording.argument_values import ArgumentValues
from coatcheck.core.recording.record_lines import FIELDS, json_line, rfc3339
from coatcheck.core.wire import peers
from coatcheck.model.record import Outcome, RecordEntry, RecordFilter, Verdict
from coatcheck.operations.permissions import Permission
from coatcheck.operations.readers import Readers, ReadKind
from coatcheck.ports import Ledger

MAX_LIMIT: Final = 10_000
MAX_POSITION: Final = 2**53 - 1
MAX_VERSION: Final = 2**31 - 1

Line = Annotated[Raw, Meta(extra_json_schema={"type": "object", "required": list(FIELDS)})]
"""One line of the record; docs/reference/record.md tells its fields."""


class RecordPage(Struct):
    """Records, oldest first. `next` leads to older ones; null: these are all.

    What no index finds is looked for in a part of the record at a time: `looked_back_to` is how far that went
    where it ended before `limit` was reached, and `next` goes on from there.
    """

    items: list[Line]
    next: str | None
    looked_back_to: str | None = None


class Matching(Struct, kw_only=True):
    """What calls are asked for; what is not said does not restrict."""

    server: Name | None = None
    tool: Name | None = None
    subject: Name | None = None
    grant: Annotated[Name, Meta(description="Id or label.")] | None = None
    credential: Annotated[Name, Meta(description="What the server was given, by name.")] | None = None
    version: (
        Annotated[
            int,
            Meta(ge=0, le=MAX_VERSION, description="One version of the credential; heard beside it only."),
        ]
        | None
    ) = None
    decision: Verdict | None = None
    outcome: Outcome | None = None
    rule: Name | None = None
    method: Name | None = None
    client_ip: Name | None = None
    since: Moment | None = None
    until: Annotated[Moment, Meta(description="The first time after those asked for.")] | None = None
    errors: bool = False
    knocking: Annotated[
        bool, Meta(description="Only refusals of what was good once: grants that ended, subjects disabled.")
    ] = False


class RecordQuery(Matching, forbid_unknown_fields=True, kw_only=True):
    """Which records: the newest `limit` that match. `follow`: lines of what is settled from now on."""

    arguments: Annotated[
        bool, Meta(description="With the values of arguments, where `audit.log_arguments` had them kept.")
    ] = False
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = USUAL
    after: Annotated[int, Meta(ge=0, le=MAX_POSITION, description="A position.")] | None = None
    before: Cursor | None = None
    follow: bool = False


def refuse_backwards(since: datetime | None, until: datetime | None) -> None:
    """Refuse a time in which nothing can be.

    Raises:
        Problem: 400 where it ends before it begins, or right there.
    """
    if since is not None and until is not None and since >= until:
        words = f"The time ends at {rfc3339(until)}, which is not after {rfc3339(since)}, where it begins."
        raise problem("bad_filter", words, "Say a later `until=`.", "until")


def filter_of(query: Matching) -> RecordFilter:
    """Return what a query asks for, without a limit of its own.

    Raises:
        Problem: 400 for a time that ends before it begins, and for an address that is none.
    """
    refuse_backwards(query.since, query.until)
    return RecordFilter(
        server=query.server,
        tool=query.tool,
        subject=query.subject,
        decision=query.decision,
        since=query.since,
        errors=query.errors,
        knocking=query.knocking,
        grant=query.grant,
        credential=query.credential,
        version=query.version if query.credential is not None else None,
        outcome=query.outcome,
        rule=query.rule,
        client_ip=None if query.client_ip is None else _address(query.client_ip),
        method=query.method,
        until=query.until,
    )


def _address(text: str) -> str:
    try:
        return peers.asked(text)
    except ValueError:
        raise problem(
            "bad_filter", "That is no IP address.", "Say an IPv4 or IPv6 address.", "client_ip"
        ) from None


def asked_for(query: Struct) -> dict[str, Any]:
    """Return the members of a query, by which it is told on record what was read."""
    return {name: getattr(query, name) for name in query.__struct_fields__}


class RecordRoutes:
    """Serves the record."""

    def __init__(self, ledger: Ledger, streams: Streams, values: ArgumentValues, readers: Readers) -> None:
        self._readers = readers
        self._values = values
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
        wanted = replace(
            filter_of(query),
            limit=query.limit,
            after=query.after,
            before=number_of("records", query.before),
        )
        how = ReadKind.ARGUMENTS if query.arguments else ReadKind.LIST
        await self._readers.look(asking.actor, how, asked_for(query))
        if query.follow:
            return self._streams.open(self._follow(wanted, query.arguments), asking.stands)
        looked = await self._ledger.look(wanted)
        entries = looked.entries
        older = entries[0].position if len(entries) == query.limit else looked.before
        lines: list[Any] = [Raw(self._line(entry, query.arguments)) for entry in entries]
        cursor = cursor_of("records", None if older is None else str(older))
        return Reply(RecordPage(lines, cursor, rfc3339(looked.back_to) if looked.back_to else None))

    async def _follow(self, wanted: RecordFilter, arguments: bool) -> AsyncIterator[bytes]:
        async for entry in self._ledger.follow(wanted):
            yield self._line(entry, arguments)

    def _line(self, entry: RecordEntry, arguments: bool) -> bytes:
        return json_line(entry, self._values.open(entry.record) if arguments else None)
