"""Servers over the API: register, list with how they do, change, disable, enable, end."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from coatcheck.admin.api.paging import MOST, Cursor, Limit, cursor_of, place_of
from coatcheck.admin.api.routes import AnyRoute, Asking, Match, Nothing, Reply, Route
from coatcheck.admin.resources.grant_shapes import EndedShape, ended_reply
from coatcheck.admin.resources.server_shapes import (
    NewServerBody,
    ServerAddedShape,
    ServerPage,
    ServerPatchBody,
    ServerShape,
    added_shape,
    new_of,
    patch_of,
    server_shape,
)
from coatcheck.admin.resources.values import Empty, EndQuery, Glob, Reason
from coatcheck.model.operator import Actor
from coatcheck.model.server import Source
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.patches import ServerFilter
from coatcheck.operations.registry.serving.servers import RegisteredServers, ServerAdded
from coatcheck.operations.registry.views import RegisteredView
from coatcheck.operations.views import ServerView, Views


class ServerQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which servers to list; `name` is a glob. `probe`: ask those never heard from, for a while."""

    probe: bool = False
    name: Glob | None = None
    source: Source | None = None
    disabled: bool | None = None
    limit: Limit = MOST
    after: Cursor | None = None


class ServerRoutes:
    """Serves servers."""

    def __init__(self, registered: RegisteredServers, views: Views) -> None:
        self._registered = registered
        self._views = views

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [*self._plain(), *self._edits(), *self._endings()]

    def _plain(self) -> list[AnyRoute]:
        return [
            Route(
                method="GET",
                path="/servers",
                permission=Permission.SERVERS_READ,
                summary="List servers by name, with how they do.",
                answer=self.list,
                gives=ServerPage,
                query=ServerQuery,
                body=Nothing,
                errors=("bad_cursor", "unfit"),
            ),
            Route(
                method="POST",
                path="/servers",
                permission=Permission.SERVERS_WRITE,
                summary="Register a server and list its tools. A command needs the role admin.",
                answer=self.add,
                gives=ServerAddedShape,
                status=201,
                query=Nothing,
                body=NewServerBody,
                errors=("taken", "forbidden"),
                etag=True,
            ),
            Route(
                method="GET",
                path="/servers/{ref}",
                permission=Permission.SERVERS_READ,
                summary="Show a server, by name or id.",
                answer=self.get,
                gives=ServerShape,
                query=Nothing,
                body=Nothing,
                etag=True,
            ),
        ]

    def _edits(self) -> list[AnyRoute]:
        return [
            Route(
                method="PATCH",
                path="/servers/{ref}",
                permission=Permission.SERVERS_WRITE,
                summary="Change how a server is reached, and its default. Calls under way end as they began.",
                answer=self.change,
                gives=ServerAddedShape,
                query=Nothing,
                body=ServerPatchBody,
                match=Match.REQUIRED,
                errors=("taken", "forbidden"),
                etag=True,
            ),
            Route(
                method="POST",
                path="/servers/{ref}/enable",
                permission=Permission.SERVERS_WRITE,
                summary="Give a disabled server back.",
                answer=self.enable,
                gives=ServerShape,
                query=Nothing,
                body=Empty,
                errors=("forbidden",),
                etag=True,
            ),
        ]

    def _endings(self) -> list[AnyRoute]:
        return [
            Route(
                method="POST",
                path="/servers/{ref}/disable",
                permission=Permission.SERVERS_WRITE,
                summary="Take a server away from all callers. Answers when its calls have ended.",
                answer=self.disable,
                gives=EndedShape,
                query=Nothing,
                body=Reason,
            ),
            Route(
                method="DELETE",
                path="/servers/{ref}",
                permission=Permission.SERVERS_WRITE,
                summary="Unregister a server that was registered here; its name is free again.",
                answer=self.end,
                gives=EndedShape,
                query=EndQuery,
                body=Nothing,
                errors=("unfit",),
            ),
        ]

    async def list(self, asking: Asking[ServerQuery, Nothing]) -> Reply:
        """Answer GET /servers."""
        query = asking.query
        page = await self._registered.list(
            ServerFilter(
                name=query.name,
                source=query.source,
                disabled=query.disabled,
                limit=query.limit,
                after=place_of("servers", query.after),
            )
        )
        standing = {view.server.id: view for view in await self._views.servers(probe=query.probe)}
        items = [server_shape(view, standing.get(view.id), asking.actor) for view in page.items]
        return Reply(ServerPage(items, cursor_of("servers", page.next)))

    async def add(self, asking: Asking[Nothing, NewServerBody]) -> Reply:
        """Answer POST /servers."""
        added = await self._registered.add(asking.actor, new_of(asking.body))
        return await self._added(asking.actor, added, 201)

    async def get(self, asking: Asking[Nothing, Nothing]) -> Reply:
        """Answer GET /servers/{ref}."""
        view = await self._registered.get(asking.names["ref"])
        return await self._told(asking.actor, view)

    async def change(self, asking: Asking[Nothing, ServerPatchBody]) -> Reply:
        """Answer PATCH /servers/{ref}."""
        ref = asking.names["ref"]
        before = await self._registered.get(ref)  # the edit is refused if that is not the version meant
        patch = patch_of(asking.body, before.upkeep)
        added = await self._registered.change(asking.actor, ref, patch, asking.version)
        return await self._added(asking.actor, added, 200)

    async def enable(self, asking: Asking[Nothing, Empty]) -> Reply:
        """Answer POST /servers/{ref}/enable."""
        view = await self._registered.enable(asking.actor, asking.names["ref"])
        return await self._told(asking.actor, view)

    async def disable(self, asking: Asking[Nothing, Reason]) -> Reply:
        """Answer POST /servers/{ref}/disable."""
        ref, because = asking.names["ref"], asking.body.because
        return ended_reply(await self._registered.disable(asking.actor, ref, because))

    async def end(self, asking: Asking[EndQuery, Nothing]) -> Reply:
        """Answer DELETE /servers/{ref}."""
        ref, because = asking.names["ref"], asking.query.because
        return ended_reply(await self._registered.end(asking.actor, ref, because))

    async def _told(self, actor: Actor, view: RegisteredView) -> Reply:
        return Reply(server_shape(view, await self._standing(view), actor), version=view.version)

    async def _added(self, actor: Actor, added: ServerAdded, status: int) -> Reply:
        view = added.server
        location = f"/api/v1/servers/{view.id}" if status == 201 else None
        return Reply(added_shape(added, await self._standing(view), actor), status, view.version, location)

    async def _standing(self, view: RegisteredView) -> ServerView | None:
        """Return how a server does; None for one that is not in use."""
        for one in await self._views.servers(probe=False):
            if one.server.id == view.id:
                return one
        return None
