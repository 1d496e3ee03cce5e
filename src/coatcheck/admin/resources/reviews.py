"""Tools that servers changed, over the API: what waits for an operator, and the word of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from coatcheck.admin.api.paging import USUAL, Cursor, Limit, cursor_of, place_of
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.admin.resources.values import Because, Moment, Name
from coatcheck.operations.permissions import Permission
from coatcheck.operations.pinning.reviewing import MAX_ACCEPTED, Reviewing
from coatcheck.operations.pinning.views import ChangeFilter, ToolChange, ToolState

Seen = Annotated[str, Meta(min_length=1, max_length=64, description="The digest, or its start.")]


class MemberChange(Struct, kw_only=True):
    """What is other at one place, a JSON Pointer into the tool; JSON, cut where it is long. Null: nothing."""

    where: str
    before: str | None
    after: str | None


class ToolChangeShape(Struct, kw_only=True):
    """One tool that is not as it was accepted. `why` says why it is hidden; it is empty where it is not.

    `digest` is what is to be accepted. `too_long`: the whole is not kept, so there are no `differences`.
    """

    server: str
    server_id: str
    tool: str
    state: ToolState
    since: Moment
    quarantined: bool
    why: list[str]
    digest: str
    accepted: str
    differences: list[MemberChange]
    too_long: bool


class ToolChangePage(Struct):
    """A page of tools that wait, by server and name."""

    items: list[ToolChangeShape]
    next: str | None


class ToolChangeQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which to list: of one server, by name or UUID, in one state, or by whether they are hidden."""

    server: Name | None = None
    state: ToolState | None = None
    quarantined: bool | None = None
    limit: Limit = USUAL
    after: Cursor | None = None


class AcceptBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """The tools that are accepted, each with the digest that was seen, or at least 20 characters of it."""

    tools: Annotated[dict[Name, Seen], Meta(min_length=1, max_length=MAX_ACCEPTED)]
    because: Because = ""


class Accepted(Struct):
    """The tools that were accepted, as they were shown before."""

    items: list[ToolChangeShape]


class ReviewRoutes:
    """Serves what waits."""

    def __init__(self, reviewing: Reviewing) -> None:
        self._reviewing = reviewing

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/tools/changes",
                permission=Permission.TOOLS,
                summary="List tools that servers changed, added or took away, and that wait for an operator.",
                answer=self.list,
                gives=ToolChangePage,
                query=ToolChangeQuery,
                body=Nothing,
                errors=("not_found", "bad_cursor", "unfit"),
            ),
            Route(
                method="POST",
                path="/servers/{ref}/tools/accept",
                permission=Permission.POLICIES_WRITE,
                summary="Accept tools as they were seen, all of them or none; by name or id of the server.",
                answer=self.accept,
                gives=Accepted,
                query=Nothing,
                body=AcceptBody,
                errors=("tool_changed", "unfit"),
            ),
        ]

    async def list(self, asking: Asking[ToolChangeQuery, Nothing]) -> Reply:
        """Answer GET /tools/changes."""
        query = asking.query
        wanted = ChangeFilter(
            query.server, query.state, query.quarantined, query.limit, place_of("tool-changes", query.after)
        )
        page = await self._reviewing.list(wanted)
        items = [_shape(change) for change in page.items]
        return Reply(ToolChangePage(items, cursor_of("tool-changes", page.next)))

    async def accept(self, asking: Asking[Nothing, AcceptBody]) -> Reply:
        """Answer POST /servers/{ref}/tools/accept."""
        ref, body = asking.names["ref"], asking.body
        done = await self._reviewing.accept(asking.actor, ref, body.tools, body.because)
        return Reply(Accepted([_shape(change) for change in done]))


def _shape(change: ToolChange) -> ToolChangeShape:
    return ToolChangeShape(
        server=change.server,
        server_id=str(change.server_id),
        tool=change.tool,
        state=change.state,
        since=change.since,
        quarantined=bool(change.why),
        why=list(change.why),
        digest=change.digest,
        accepted=change.accepted,
        differences=[
            MemberChange(where=one.where, before=one.before, after=one.after) for one in change.differences
        ],
        too_long=change.too_long,
    )
