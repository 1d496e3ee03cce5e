"""The admin log over the API: list, filter, follow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from coatcheck.admin.api.paging import MOST, USUAL, Cursor, Limit, cursor_of, number_of
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route, Streamed
from coatcheck.admin.resources.streams import LINES, Streams
from coatcheck.admin.resources.values import Moment, Name
from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.model.change import ChangeEntry, ChangeFilter, ObjectKind
from coatcheck.operations.permissions import Permission
from coatcheck.operations.use_cases import ListChanges

FOLLOW_SECONDS: Final = 0.5
"""How often those who follow are told what is new."""

Told = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]


class ChangeShape(Struct, kw_only=True):
    """One change: who, what, before and after (without secrets), from where and why."""

    position: int
    id: str
    time: str
    actor: str
    role: str
    origin: str
    action: str
    kind: ObjectKind
    object_id: str
    object_name: str
    before: Told
    after: Told
    because: str


class ChangePage(Struct):
    """Changes, oldest first. `next` leads to older ones; null: these are all."""

    items: list[ChangeShape]
    next: str | None


class ChangeQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which changes: the newest `limit` of those that match. `object` is an id or a name."""

    actor: Name | None = None
    kind: ObjectKind | None = None
    object: Name | None = None
    since: Moment | None = None
    limit: Limit = USUAL
    before: Cursor | None = None
    follow: bool = False


def change_shape(entry: ChangeEntry) -> ChangeShape:
    """Return a change as it is told."""
    change = entry.change
    return ChangeShape(
        position=entry.position,
        id=str(change.id),
        time=rfc3339(change.at),
        actor=change.actor,
        role=change.role,
        origin=change.origin,
        action=change.action,
        kind=change.kind,
        object_id=change.object_id,
        object_name=change.object_name,
        before=Raw(change.before or "null"),
        after=Raw(change.after or "null"),
        because=change.because,
    )


class ChangeRoutes:
    """Serves the admin log."""

    def __init__(self, list_changes: ListChanges, streams: Streams) -> None:
        self._list = list_changes
        self._streams = streams

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/changes",
                permission=Permission.CHANGES,
                summary="List changes by operators and by the file, or follow them as JSON Lines.",
                answer=self.list,
                gives=ChangePage,
                query=ChangeQuery,
                body=Nothing,
                streams=LINES,
                errors=("bad_cursor", "too_many_streams"),
            )
        ]

    async def list(self, asking: Asking[ChangeQuery, Nothing]) -> Reply | Streamed:
        """Answer GET /changes."""
        query = asking.query
        wanted = ChangeFilter(
            actor=query.actor,
            kind=query.kind,
            object=query.object,
            since=query.since,
            limit=query.limit,
            before=number_of("changes", query.before),
        )
        if query.follow:
            return self._streams.open(self._follow(replace(wanted, before=None)), asking.stands)
        entries = await self._list(wanted)
        older = str(entries[-1].position) if len(entries) == query.limit else None
        items = [change_shape(entry) for entry in reversed(entries)]
        return Reply(ChangePage(items, cursor_of("changes", older)))

    async def _follow(self, wanted: ChangeFilter) -> AsyncIterator[bytes]:
        newest = await self._list(replace(wanted, limit=1))
        seen = newest[0].position if newest else 0
        while True:
            for entry in await self._since(wanted, seen):
                seen = entry.position
                yield msgspec.json.encode(change_shape(entry)) + b"\n"
            await asyncio.sleep(FOLLOW_SECONDS)

    async def _since(self, wanted: ChangeFilter, seen: int) -> Sequence[ChangeEntry]:
        """Return everything after a position, oldest first."""
        found: deque[ChangeEntry] = deque()
        asked = replace(wanted, limit=MOST)
        while True:
            page = await self._list(asked)
            found.extendleft(entry for entry in page if entry.position > seen)
            if len(page) < MOST or page[-1].position <= seen:
                return tuple(found)
            asked = replace(asked, before=page[-1].position)
