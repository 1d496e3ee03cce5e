"""Policies over the API: put, show, compare, revert, remove, and use on somebody or something."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.admin.api.paging import cursor_of, place_of
from coatcheck.admin.api.routes import AnyRoute, Asking, Match, Nothing, Reply, Route
from coatcheck.admin.resources.policy_shapes import (
    DiffQuery,
    DiffShape,
    PolicyBody,
    PolicyPage,
    PolicyQuery,
    PolicyShape,
    RevertBody,
    UseBody,
    UseShape,
    VersionPage,
    VersionQuery,
    VersionsQuery,
    WholePolicy,
    WholeVersion,
    diff_shape,
    policy_shape,
    use_shape,
    version_shape,
    whole_policy,
    whole_version,
)
from coatcheck.admin.resources.values import EndQuery
from coatcheck.core.policy.conditions.values import read_exact
from coatcheck.operations.permissions import Permission
from coatcheck.operations.policies.policies import Policies
from coatcheck.operations.policies.using import Place, PolicyUses
from coatcheck.operations.policies.views import PolicyFilter, PolicyView


class PolicyRoutes:
    """Serves policies."""

    def __init__(self, policies: Policies, uses: PolicyUses) -> None:
        self._policies = policies
        self._uses = uses

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [*self._plain(), *self._history(), *self._using()]

    def _plain(self) -> list[AnyRoute]:
        return [
            Route(
                method="GET",
                path="/policies",
                permission=Permission.POLICIES_READ,
                summary="List policies by name.",
                answer=self.list,
                gives=PolicyPage,
                query=PolicyQuery,
                body=Nothing,
                errors=("bad_cursor", "unfit"),
            ),
            Route(
                method="GET",
                path="/policies/{name}",
                permission=Permission.POLICIES_READ,
                summary="Show a policy with its document.",
                answer=self.get,
                gives=WholePolicy,
                query=Nothing,
                body=Nothing,
                etag=True,
            ),
            Route(
                method="PUT",
                path="/policies/{name}",
                permission=Permission.POLICIES_WRITE,
                summary="Put a policy: without `If-Match` a new one. In force for the next request.",
                answer=self.put,
                gives=WholePolicy,
                query=Nothing,
                body=PolicyBody,
                match=Match.OPTIONAL,
                errors=("taken", "bad_policy"),
                etag=True,
            ),
            Route(
                method="DELETE",
                path="/policies/{name}",
                permission=Permission.POLICIES_WRITE,
                summary="Remove a policy that is used on nothing; its versions stay.",
                answer=self.end,
                gives=PolicyShape,
                query=EndQuery,
                body=Nothing,
                match=Match.OPTIONAL,
                errors=("unfit",),
                etag=True,
            ),
        ]

    def _history(self) -> list[AnyRoute]:
        return [
            Route(
                method="GET",
                path="/policies/{name}/versions",
                permission=Permission.POLICIES_READ,
                summary="List the versions of a policy, newest first; also of one that was removed.",
                answer=self.versions,
                gives=VersionPage,
                query=VersionsQuery,
                body=Nothing,
                errors=("bad_cursor", "unfit"),
            ),
            Route(
                method="GET",
                path="/policies/{name}/version",
                permission=Permission.POLICIES_READ,
                summary="Show one version of a policy with its document.",
                answer=self.version,
                gives=WholeVersion,
                query=VersionQuery,
                body=Nothing,
            ),
            Route(
                method="GET",
                path="/policies/{name}/diff",
                permission=Permission.POLICIES_READ,
                summary="Compare two versions of a policy.",
                answer=self.diff,
                gives=DiffShape,
                query=DiffQuery,
                body=Nothing,
            ),
            Route(
                method="POST",
                path="/policies/{name}/revert",
                permission=Permission.POLICIES_WRITE,
                summary="Make a new version with the document of an old one.",
                answer=self.revert,
                gives=WholePolicy,
                query=Nothing,
                body=RevertBody,
                match=Match.OPTIONAL,
                etag=True,
            ),
        ]

    def _using(self) -> list[AnyRoute]:
        return [
            Route(
                method="POST",
                path="/policies/{name}/use",
                permission=Permission.POLICIES_WRITE,
                summary="Use a policy on everything, a role, a grant or a server.",
                answer=self.use,
                gives=UseShape,
                query=Nothing,
                body=UseBody,
            ),
            Route(
                method="POST",
                path="/policies/{name}/unuse",
                permission=Permission.POLICIES_WRITE,
                summary="Take a policy off what it is used on.",
                answer=self.unuse,
                gives=UseShape,
                query=Nothing,
                body=UseBody,
            ),
        ]

    async def list(self, asking: Asking[PolicyQuery, Nothing]) -> Reply:
        """Answer GET /policies."""
        query = asking.query
        wanted = PolicyFilter(query.name, query.ended, query.limit, place_of("policies", query.after))
        page = await self._policies.list(wanted)
        items = [policy_shape(view) for view in page.items]
        return Reply(PolicyPage(items, cursor_of("policies", page.next)))

    async def get(self, asking: Asking[Nothing, Nothing]) -> Reply:
        """Answer GET /policies/{name}."""
        return _told(await self._policies.get(asking.names["name"]))

    async def put(self, asking: Asking[Nothing, PolicyBody]) -> Reply:
        """Answer PUT /policies/{name}."""
        name, body = asking.names["name"], asking.body
        document = read_exact(bytes(body.document))
        return _told(await self._policies.put(asking.actor, name, document, asking.version, body.because))

    async def end(self, asking: Asking[EndQuery, Nothing]) -> Reply:
        """Answer DELETE /policies/{name}."""
        because = asking.query.because
        view = await self._policies.end(asking.actor, asking.names["name"], asking.version, because)
        return Reply(policy_shape(view), version=view.version)

    async def versions(self, asking: Asking[VersionsQuery, Nothing]) -> Reply:
        """Answer GET /policies/{name}/versions."""
        name, query = asking.names["name"], asking.query
        page = await self._policies.versions(name, query.limit, place_of("versions", query.after))
        return Reply(
            VersionPage([version_shape(view) for view in page.items], cursor_of("versions", page.next))
        )

    async def version(self, asking: Asking[VersionQuery, Nothing]) -> Reply:
        """Answer GET /policies/{name}/version."""
        return Reply(whole_version(await self._policies.version(asking.names["name"], asking.query.number)))

    async def diff(self, asking: Asking[DiffQuery, Nothing]) -> Reply:
        """Answer GET /policies/{name}/diff."""
        query = asking.query
        return Reply(diff_shape(await self._policies.diff(asking.names["name"], query.before, query.after)))

    async def revert(self, asking: Asking[Nothing, RevertBody]) -> Reply:
        """Answer POST /policies/{name}/revert."""
        name, body = asking.names["name"], asking.body
        view = await self._policies.revert(asking.actor, name, int(body.number), asking.version, body.because)
        return _told(view)

    async def use(self, asking: Asking[Nothing, UseBody]) -> Reply:
        """Answer POST /policies/{name}/use."""
        name, body = asking.names["name"], asking.body
        return Reply(use_shape(await self._uses.use(asking.actor, name, _place(body), body.because)))

    async def unuse(self, asking: Asking[Nothing, UseBody]) -> Reply:
        """Answer POST /policies/{name}/unuse."""
        name, body = asking.names["name"], asking.body
        return Reply(use_shape(await self._uses.unuse(asking.actor, name, _place(body), body.because)))


def _place(body: UseBody) -> Place:
    return Place(body.kind, body.of, body.server)


def _told(view: PolicyView) -> Reply:
    return Reply(whole_policy(view), version=view.version)
