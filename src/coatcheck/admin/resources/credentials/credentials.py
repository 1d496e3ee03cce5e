"""Credentials over the API: added, listed, changed, ended, and what is to be done about them."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.admin.api.paging import cursor_of, place_of
from coatcheck.admin.api.routes import AnyRoute, Asking, Match, Nothing, Reply, Route
from coatcheck.admin.resources.credentials.shapes import (
    CredentialPage,
    CredentialPatchBody,
    CredentialQuery,
    CredentialShape,
    NewCredentialBody,
    PlanShape,
    credential_shape,
    due_shape,
    new_of,
    patch_of,
)
from coatcheck.admin.resources.values import EndQuery
from coatcheck.operations.credentials.credentials import Credentials
from coatcheck.operations.credentials.patches import CredentialFilter
from coatcheck.operations.credentials.views import CredentialView
from coatcheck.operations.permissions import Permission


class CredentialRoutes:
    """Serves credentials."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes, static paths first."""
        return [*self._of_many(), *self._of_one()]

    def _of_many(self) -> list[AnyRoute]:
        return [
            Route(
                method="GET",
                path="/credentials",
                permission=Permission.CREDENTIALS_READ,
                summary="List credentials by name; never their material.",
                answer=self.list,
                gives=CredentialPage,
                query=CredentialQuery,
                body=Nothing,
                errors=("bad_cursor", "unfit"),
            ),
            Route(
                method="POST",
                path="/credentials",
                permission=Permission.CREDENTIALS_WRITE,
                summary="Keep a credential, whose material is never told again.",
                answer=self.add,
                gives=CredentialShape,
                status=201,
                query=Nothing,
                body=NewCredentialBody,
                errors=("taken",),
                etag=True,
            ),
            Route(
                method="GET",
                path="/credentials/plan",
                permission=Permission.CREDENTIALS_READ,
                summary="Tell what is to be done about credentials, the gravest first.",
                answer=self.plan,
                gives=PlanShape,
                query=Nothing,
                body=Nothing,
            ),
        ]

    def _of_one(self) -> list[AnyRoute]:
        return [
            Route(
                method="GET",
                path="/credentials/{ref}",
                permission=Permission.CREDENTIALS_READ,
                summary="Show a credential with its versions, by name or id.",
                answer=self.get,
                gives=CredentialShape,
                query=Nothing,
                body=Nothing,
                etag=True,
            ),
            Route(
                method="PATCH",
                path="/credentials/{ref}",
                permission=Permission.CREDENTIALS_WRITE,
                summary="Change owner, interval and the like of a credential; not its material.",
                answer=self.change,
                gives=CredentialShape,
                query=Nothing,
                body=CredentialPatchBody,
                match=Match.REQUIRED,
                etag=True,
            ),
            Route(
                method="DELETE",
                path="/credentials/{ref}",
                permission=Permission.CREDENTIALS_END,
                summary="Forget a credential that no server uses, with all of its material.",
                answer=self.end,
                gives=CredentialShape,
                query=EndQuery,
                body=Nothing,
                errors=("unfit",),
            ),
        ]

    async def list(self, asking: Asking[CredentialQuery, Nothing]) -> Reply:
        """Answer GET /credentials."""
        query = asking.query
        page = await self._credentials.list(
            CredentialFilter(
                name=query.name,
                state=query.state,
                custody=query.custody,
                server=query.server,
                owner=query.owner,
                limit=query.limit,
                after=place_of("credentials", query.after),
            )
        )
        items = [credential_shape(view) for view in page.items]
        return Reply(CredentialPage(items, cursor_of("credentials", page.next)))

    async def add(self, asking: Asking[Nothing, NewCredentialBody]) -> Reply:
        """Answer POST /credentials."""
        view = await self._credentials.add(asking.actor, new_of(asking.body))
        return Reply(credential_shape(view), 201, view.version, f"/api/v1/credentials/{view.id}")

    async def plan(self, asking: Asking[Nothing, Nothing]) -> Reply:  # noqa: ARG002 - the shape of an answer
        """Answer GET /credentials/plan."""
        return Reply(PlanShape([due_shape(due) for due in await self._credentials.plan()]))

    async def get(self, asking: Asking[Nothing, Nothing]) -> Reply:
        """Answer GET /credentials/{ref}."""
        return _told(await self._credentials.get(asking.names["ref"]))

    async def change(self, asking: Asking[Nothing, CredentialPatchBody]) -> Reply:
        """Answer PATCH /credentials/{ref}."""
        patch = patch_of(asking.body)
        ref = asking.names["ref"]
        return _told(await self._credentials.change(asking.actor, ref, patch, asking.version))

    async def end(self, asking: Asking[EndQuery, Nothing]) -> Reply:
        """Answer DELETE /credentials/{ref}."""
        ended = await self._credentials.end(asking.actor, asking.names["ref"], asking.query.because)
        return Reply(credential_shape(ended))


def _told(view: CredentialView) -> Reply:
    return Reply(credential_shape(view), version=view.version)
