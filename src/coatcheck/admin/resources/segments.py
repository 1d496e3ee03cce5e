"""Sealed segments of the record over the API: list them, and seal one more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from coatcheck.admin.api.problems import problem
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.admin.resources.values import Moment
from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.model.operator import LOCAL_ACTOR
from coatcheck.model.segment import Segment
from coatcheck.operations.permissions import Permission
from coatcheck.operations.retention import Retention


class SegmentShape(Struct, kw_only=True):
    """Entries `first` to `last` of the record, which are in a file and not in the store any more.

    `hash` is that of the last entry, `prev` the one before the first; `sha256` is of the file.
    """

    first: int
    last: int
    entries: int
    prev: str
    hash: str
    time: str
    file: str
    sha256: str


class SegmentPage(Struct):
    """Every segment, oldest first; `next` is always null."""

    items: list[SegmentShape]
    next: str | None


class Sealing(Struct, forbid_unknown_fields=True, kw_only=True):
    """What to seal: entries from before a time.

    `to` is an absolute path on the gateway's machine, and heard from its own account only.
    """

    before: Moment
    to: Annotated[str, Meta(min_length=1, max_length=4_000)] | None = None
    although_behind: Annotated[
        bool, Meta(description="Also what a sink has not got, which it never will.")
    ] = False


class Sealed(Struct):
    """The new segment; null if there was nothing to seal."""

    segment: SegmentShape | None


def segment_shape(segment: Segment) -> SegmentShape:
    """Return a segment as it is told."""
    return SegmentShape(
        first=segment.first,
        last=segment.last,
        entries=segment.entries,
        prev=segment.prev.hex(),
        hash=segment.hash.hex(),
        time=rfc3339(segment.at),
        file=segment.file,
        sha256=segment.sha256,
    )


class SegmentRoutes:
    """Serves segments."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/segments",
                permission=Permission.RECORDS,
                summary="List the parts of the record that are sealed in files.",
                answer=self.list,
                gives=SegmentPage,
                query=Nothing,
                body=Nothing,
            ),
            Route(
                method="POST",
                path="/segments",
                permission=Permission.SEAL,
                summary="Seal the oldest part of the record in a file, and remove it from the store.",
                answer=self.seal,
                gives=Sealed,
                query=Nothing,
                body=Sealing,
            ),
        ]

    async def list(self, asking: Asking[Nothing, Nothing]) -> Reply:  # noqa: ARG002 - the shape of an answer
        """Answer GET /segments."""
        found = await self._retention.segments.list()
        return Reply(SegmentPage([segment_shape(one) for one in found], None))

    async def seal(self, asking: Asking[Nothing, Sealing]) -> Reply:
        """Answer POST /segments."""
        wanted = asking.body
        folder = None if wanted.to is None else Path(wanted.to)
        if folder is not None and (asking.actor != LOCAL_ACTOR or not folder.is_absolute()):
            words = "Only the gateway's own account names a folder, by an absolute path."
            raise problem("unfit", words, "Leave `to` out: the setting `segments` names the folder.", "to")
        made = await self._retention.seal(
            wanted.before, folder, asking.actor, although_behind=wanted.although_behind
        )
        return Reply(Sealed(None if made is None else segment_shape(made)))
