"""The record as a whole over the API: exports, and all that a credential or a grant touched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from coatcheck.admin.api.problems import problem, problem_of
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route, Streamed
from coatcheck.admin.resources.records import MAX_VERSION, Matching, asked_for, filter_of, refuse_backwards
from coatcheck.admin.resources.streams import LINES, Streams
from coatcheck.admin.resources.values import Moment, Name
from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.errors import Unfit
from coatcheck.model.reading import Radius, RadiusFilter, Touched
from coatcheck.operations.evidence import wanted_of
from coatcheck.operations.exporting import ExportFormat, Exports
from coatcheck.operations.permissions import Permission
from coatcheck.operations.readers import Readers, ReadKind
from coatcheck.operations.use_cases import Bundle

ZIP: Final = "application/zip"

_MEDIA: Final = {
    ExportFormat.JSONL: LINES,
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.CEF: "text/plain; charset=utf-8",
}


class ExportQuery(Matching, forbid_unknown_fields=True, kw_only=True):
    """What to export: everything that matches, oldest first."""

    format: ExportFormat = ExportFormat.JSONL


class RadiusQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """What to tell of: a credential (by name, all versions or one) or a grant (by id or label)."""

    credential: Name | None = None
    version: Annotated[int, Meta(ge=0, le=MAX_VERSION)] | None = None
    grant: Name | None = None
    since: Moment | None = None


class EvidenceQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a bundle is about: a time, and at most one of grant (id or label), subject and server."""

    since: Moment | None = None
    until: Annotated[Moment, Meta(description="The first time after those asked for.")] | None = None
    grant: Name | None = None
    subject: Name | None = None
    server: Name | None = None


class TouchedShape(Struct, kw_only=True):
    """One name: how many calls, the first and the last time, and how they ended."""

    name: str
    calls: int
    first: str
    last: str
    outcomes: dict[str, int]


class RadiusShape(Struct, kw_only=True):
    """All that was touched; each list has at most 1,000 names, those with the most calls.

    `whole` is null if nothing was. A tool is named after its server, a grant by its id and label, a client
    with its version. `left_out` counts the names that are not told.
    """

    whole: TouchedShape | None
    servers: list[TouchedShape]
    tools: list[TouchedShape]
    subjects: list[TouchedShape]
    grants: list[TouchedShape]
    credentials: list[TouchedShape]
    addresses: list[TouchedShape]
    clients: list[TouchedShape]
    left_out: int


class ReadingRoutes:
    """Serves exports and the blast radius."""

    def __init__(self, exports: Exports, bundle: Bundle, streams: Streams, readers: Readers) -> None:
        self._readers = readers
        self._exports = exports
        self._bundle = bundle
        self._streams = streams

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/records/export",
                permission=Permission.RECORDS,
                summary="Export the record: JSON Lines with the chain, CSV or CEF, as `format` says.",
                answer=self.export,
                gives=None,
                query=ExportQuery,
                body=Nothing,
                streams=f"{LINES}, text/csv, text/plain",
                errors=("too_many_streams",),
            ),
            Route(
                method="GET",
                path="/records/blast-radius",
                permission=Permission.RECORDS,
                summary="Tell all that a credential or a grant touched, when, and by whom.",
                answer=self.radius,
                gives=RadiusShape,
                query=RadiusQuery,
                body=Nothing,
            ),
            Route(
                method="GET",
                path="/records/evidence",
                permission=Permission.RECORDS,
                summary="Make a signed bundle for auditors: calls, refusals, grants, changes and the chain.",
                answer=self.evidence,
                gives=None,
                query=EvidenceQuery,
                body=Nothing,
                streams=ZIP,
                errors=("too_many_streams",),
            ),
        ]

    async def export(self, asking: Asking[ExportQuery, Nothing]) -> Streamed:
        """Answer GET /records/export."""
        form, wanted = asking.query.format, filter_of(asking.query)
        await self._readers.take(asking.actor, ReadKind.EXPORT, asked_for(asking.query))
        made = self._exports.pieces(wanted, form)
        first = await anext(made, b"")  # what cannot be read at all is an error, not a broken answer
        opened = self._streams.open(_joined(first, made), asking.stands)
        return Streamed(opened.parts, _MEDIA[form], f"record.{form}")

    async def evidence(self, asking: Asking[EvidenceQuery, Nothing]) -> Streamed:
        """Answer GET /records/evidence."""
        query = asking.query
        refuse_backwards(query.since, query.until)
        try:
            wanted = wanted_of(
                query.since, query.until, grant=query.grant, subject=query.subject, server=query.server
            )
        except Unfit as wrong:
            told = problem_of(wrong).wrong
            raise problem("bad_filter", told.detail, told.fix, told.field) from None
        await self._readers.take(asking.actor, ReadKind.EVIDENCE, asked_for(query))
        made = await self._bundle(wanted, asking.actor.name)
        return Streamed(self._streams.open(made, asking.stands).parts, ZIP, "evidence.zip")

    async def radius(self, asking: Asking[RadiusQuery, Nothing]) -> Reply:
        """Answer GET /records/blast-radius."""
        query = asking.query
        if (query.credential is None) == (query.grant is None):
            words = "Either a credential or a grant is to be named."
            raise problem("bad_filter", words, "Say `credential=` or `grant=`.", "credential")
        if query.version is not None and query.credential is None:
            words = "A version is one of a credential."
            raise problem("bad_filter", words, "Say `credential=` as well.", "version")
        await self._readers.look(asking.actor, ReadKind.RADIUS, asked_for(query))
        of = RadiusFilter(query.credential, query.version, query.grant, query.since)
        return Reply(radius_shape(await self._exports.reading.radius(of)))


def radius_shape(radius: Radius) -> RadiusShape:
    """Return a blast radius as it is told."""
    return RadiusShape(
        whole=_shape(radius.whole) if radius.whole else None,
        servers=[_shape(one) for one in radius.servers],
        tools=[_shape(one) for one in radius.tools],
        subjects=[_shape(one) for one in radius.subjects],
        grants=[_shape(one) for one in radius.grants],
        credentials=[_shape(one) for one in radius.credentials],
        addresses=[_shape(one) for one in radius.addresses],
        clients=[_shape(one) for one in radius.clients],
        left_out=radius.left_out,
    )


def _shape(one: Touched) -> TouchedShape:
    outcomes = {name or "under_way": count for name, count in one.outcomes.items()}
    return TouchedShape(
        name=one.name, calls=one.count, first=rfc3339(one.first), last=rfc3339(one.last), outcomes=outcomes
    )


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for piece in rest:
        if piece:
            yield piece
