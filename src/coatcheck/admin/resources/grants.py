"""Grants over the API: issue, list, change, rotate, revoke, restore."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coatcheck.admin.api.paging import cursor_of, place_of
from coatcheck.admin.api.routes import AnyRoute, Asking, Match, Nothing, Reply, Route
from coatcheck.admin.resources.grant_shapes import (
    EndedShape,
    GrantPage,
    GrantPatchBody,
    GrantQuery,
    GrantShape,
    IssuedList,
    IssuedShape,
    NewGrantBody,
    NewGrantsBody,
    RevokeBody,
    RotateBody,
    ended_reply,
    grant_shape,
    new_of,
    patch_of,
)
from coatcheck.admin.resources.values import Empty, Reason
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.granting.grants import Grants
from coatcheck.operations.registry.patches import GrantFilter
from coatcheck.operations.registry.views import GrantView, Issued


class GrantRoutes:
    """Serves grants. `origin` returns the URL that clients reach us by, without a path."""

    def __init__(self, grants: Grants, origin: Callable[[], str]) -> None:
        self._grants = grants
        self._origin = origin

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes, static paths first."""
        return [*self._of_many(), *self._of_one()]

    def _of_many(self) -> list[AnyRoute]:
        return [
            Route(
                method="GET",
                path="/grants",
                permission=Permission.GRANTS_READ,
                summary="List grants by label.",
                answer=self.list,
                gives=GrantPage,
                query=GrantQuery,
                body=Nothing,
                errors=("bad_cursor", "unfit", "not_found"),
            ),
            Route(
                method="POST",
                path="/grants",
                permission=Permission.GRANTS_WRITE,
                summary="Issue a grant. Its subject is made if it is new; the token is told once.",
                answer=self.issue,
                gives=IssuedShape,
                status=201,
                query=Nothing,
                body=NewGrantBody,
                errors=("taken", "not_found"),
                etag=True,
            ),
            Route(
                method="POST",
                path="/grants/batch",
                permission=Permission.GRANTS_WRITE,
                summary="Issue up to 1,000 grants, all or none.",
                answer=self.issue_many,
                gives=IssuedList,
                status=201,
                query=Nothing,
                body=NewGrantsBody,
                errors=("taken", "not_found"),
            ),
            Route(
                method="POST",
                path="/grants/revoke",
                permission=Permission.GRANTS_WRITE,
                summary="Revoke grants, all or none. Answers when their calls and streams have ended.",
                answer=self.revoke_many,
                gives=EndedShape,
                query=Nothing,
                body=RevokeBody,
                errors=("not_found",),
            ),
        ]

    def _of_one(self) -> list[AnyRoute]:
        return [
            Route(
                method="GET",
                path="/grants/{ref}",
                permission=Permission.GRANTS_READ,
                summary="Show a grant, by label (a live one first) or id.",
                answer=self.get,
                gives=GrantShape,
                query=Nothing,
                body=Nothing,
                etag=True,
            ),
            Route(
                method="PATCH",
                path="/grants/{ref}",
                permission=Permission.GRANTS_WRITE,
                summary="Change what a grant is called, reaches and how long it lasts.",
                answer=self.change,
                gives=GrantShape,
                query=Nothing,
                body=GrantPatchBody,
                match=Match.REQUIRED,
                errors=("taken",),
                etag=True,
            ),
            Route(
                method="POST",
                path="/grants/{ref}/rotate",
                permission=Permission.GRANTS_WRITE,
                summary="Give a grant a new token; the old one may stay good for up to a day.",
                answer=self.rotate,
                gives=IssuedShape,
                query=Nothing,
                body=RotateBody,
                match=Match.OPTIONAL,
                etag=True,
            ),
            Route(
                method="POST",
                path="/grants/{ref}/revoke",
                permission=Permission.GRANTS_WRITE,
                summary="Revoke a grant. Answers when its calls and streams have ended.",
                answer=self.revoke,
                gives=EndedShape,
                query=Nothing,
                body=Reason,
            ),
            Route(
                method="POST",
                path="/grants/{ref}/restore",
                permission=Permission.GRANTS_WRITE,
                summary="Lift the revocation of a grant of the file.",
                answer=self.restore,
                gives=GrantShape,
                query=Nothing,
                body=Empty,
                errors=("taken",),
                etag=True,
            ),
        ]

    async def list(self, asking: Asking[GrantQuery, Nothing]) -> Reply:
        """Answer GET /grants."""
        query = asking.query
        page = await self._grants.list(
            GrantFilter(
                subject=query.subject,
                server=query.server,
                state=query.state,
                source=query.source,
                label=query.label,
                limit=query.limit,
                after=place_of("grants", query.after),
            )
        )
        return Reply(GrantPage([grant_shape(view) for view in page.items], cursor_of("grants", page.next)))

    async def issue(self, asking: Asking[Nothing, NewGrantBody]) -> Reply:
        """Answer POST /grants."""
        issued = await self._grants.issue(asking.actor, new_of(asking.body))
        return self._issued(issued, status=201)

    async def issue_many(self, asking: Asking[Nothing, NewGrantsBody]) -> Reply:
        """Answer POST /grants/batch."""
        many = await self._grants.issue_many(asking.actor, [new_of(one) for one in asking.body.grants])
        return Reply(IssuedList([self._shape(issued) for issued in many]), status=201)

    async def revoke_many(self, asking: Asking[Nothing, RevokeBody]) -> Reply:
        """Answer POST /grants/revoke."""
        body = asking.body
        return ended_reply(await self._grants.revoke(asking.actor, body.grants, body.because))

    async def get(self, asking: Asking[Nothing, Nothing]) -> Reply:
        """Answer GET /grants/{ref}."""
        return _told(await self._grants.get(asking.names["ref"]))

    async def change(self, asking: Asking[Nothing, GrantPatchBody]) -> Reply:
        """Answer PATCH /grants/{ref}."""
        patch = patch_of(asking.body)
        return _told(await self._grants.change(asking.actor, asking.names["ref"], patch, asking.version))

    async def rotate(self, asking: Asking[Nothing, RotateBody]) -> Reply:
        """Answer POST /grants/{ref}/rotate."""
        overlap = asking.body.overlap_seconds
        return self._issued(
            await self._grants.rotate(asking.actor, asking.names["ref"], overlap, asking.version)
        )

    async def revoke(self, asking: Asking[Nothing, Reason]) -> Reply:
        """Answer POST /grants/{ref}/revoke."""
        return ended_reply(
            await self._grants.revoke(asking.actor, [asking.names["ref"]], asking.body.because)
        )

    async def restore(self, asking: Asking[Nothing, Empty]) -> Reply:
        """Answer POST /grants/{ref}/restore."""
        return _told(await self._grants.restore(asking.actor, asking.names["ref"]))

    def _issued(self, issued: Issued, status: int = 200) -> Reply:
        location = f"/api/v1/grants/{issued.grant.id}" if status == 201 else None
        return Reply(self._shape(issued), status, issued.grant.version, location)

    def _shape(self, issued: Issued) -> IssuedShape:
        code = issued.claim_code.reveal() if issued.claim_code else None
        return IssuedShape(
            grant=grant_shape(issued.grant),
            token=issued.token.reveal() if issued.token else None,
            claim_code=code,
            claim_url=f"{self._origin()}/claim/{code}" if code else None,
        )


def _told(view: GrantView) -> Reply:
    return Reply(grant_shape(view), version=view.version)
