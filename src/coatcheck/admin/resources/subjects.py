"""Subjects over the API: add, list, change, disable, enable, offboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from coatcheck.admin.api.paging import USUAL, Cursor, Limit, cursor_of, place_of
from coatcheck.admin.api.routes import AnyRoute, Asking, Match, Nothing, Reply, Route
from coatcheck.admin.resources.grant_shapes import EndedShape, ended_shape
from coatcheck.admin.resources.values import Empty, Glob, Moment, Name, Note, Reason, said
from coatcheck.model.server import Source
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.people.offboarding import Offboarding, SeenOff
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.patches import UNSAID, NewSubject, SubjectFilter, SubjectPatch
from coatcheck.operations.registry.subjects import Subjects
from coatcheck.operations.registry.views import SubjectView

Roles = Annotated[list[Name], Meta(max_length=100)]


class SubjectShape(Struct, kw_only=True):
    """One owner of grants. `grants` counts those that are live; `version` 0: nothing of it is stored."""

    name: str
    kind: SubjectKind
    roles: list[str]
    disabled: bool
    because: str
    note: str
    source: Source
    created_at: Moment | None
    grants: int
    version: int


class SubjectPage(Struct):
    """A page of subjects."""

    items: list[SubjectShape]
    next: str | None


class SeenOffShape(EndedShape, kw_only=True):
    """What ended with a subject. `browsers` is at how many browsers it was signed out of its own page."""

    browsers: int


class SubjectQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which subjects to list; `name` is a glob."""

    name: Glob | None = None
    kind: SubjectKind | None = None
    disabled: bool | None = None
    limit: Limit = USUAL
    after: Cursor | None = None


class NewSubjectBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A subject to add."""

    name: Name
    kind: SubjectKind = SubjectKind.PERSON
    roles: Roles = []
    note: Note = ""


class SubjectPatchBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Changes of a subject; what is left out stays."""

    kind: SubjectKind | UnsetType = UNSET
    roles: Roles | UnsetType = UNSET
    note: Note | UnsetType = UNSET


def subject_shape(view: SubjectView) -> SubjectShape:
    """Return a subject as it is told."""
    return SubjectShape(
        name=view.name,
        kind=view.kind,
        roles=sorted(view.roles),
        disabled=view.disabled,
        because=view.because,
        note=view.note,
        source=view.source,
        created_at=view.created_at,
        grants=view.grants,
        version=view.version,
    )


class SubjectRoutes:
    """Serves subjects."""

    def __init__(self, subjects: Subjects, offboarding: Offboarding) -> None:
        self._subjects = subjects
        self._offboarding = offboarding

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [*self._plain(), *self._endings()]

    def _plain(self) -> list[AnyRoute]:
        return [
            Route(
                method="GET",
                path="/subjects",
                permission=Permission.SUBJECTS_READ,
                summary="List subjects by name.",
                answer=self.list,
                gives=SubjectPage,
                query=SubjectQuery,
                body=Nothing,
                errors=("bad_cursor", "unfit"),
            ),
            Route(
                method="POST",
                path="/subjects",
                permission=Permission.SUBJECTS_WRITE,
                summary="Add a subject.",
                answer=self.add,
                gives=SubjectShape,
                status=201,
                query=Nothing,
                body=NewSubjectBody,
                errors=("taken",),
                etag=True,
            ),
            Route(
                method="GET",
                path="/subjects/{name}",
                permission=Permission.SUBJECTS_READ,
                summary="Show a subject.",
                answer=self.get,
                gives=SubjectShape,
                query=Nothing,
                body=Nothing,
                etag=True,
            ),
            Route(
                method="PATCH",
                path="/subjects/{name}",
                permission=Permission.SUBJECTS_WRITE,
                summary="Change kind, roles or note of a subject.",
                answer=self.change,
                gives=SubjectShape,
                query=Nothing,
                body=SubjectPatchBody,
                match=Match.REQUIRED,
                errors=("taken",),
                etag=True,
            ),
        ]

    def _endings(self) -> list[AnyRoute]:
        return [
            Route(
                method="POST",
                path="/subjects/{name}/disable",
                permission=Permission.SUBJECTS_WRITE,
                summary="Refuse a subject however it comes. Answers when its calls and streams have ended.",
                answer=self.disable,
                gives=SeenOffShape,
                query=Nothing,
                body=Reason,
            ),
            Route(
                method="POST",
                path="/subjects/{name}/enable",
                permission=Permission.SUBJECTS_WRITE,
                summary="Let a disabled subject in again; its revoked grants stay revoked.",
                answer=self.enable,
                gives=SubjectShape,
                query=Nothing,
                body=Empty,
                etag=True,
            ),
            Route(
                method="POST",
                path="/subjects/{name}/offboard",
                permission=Permission.SUBJECTS_WRITE,
                summary="Disable a subject and revoke all its grants, in one change.",
                answer=self.offboard,
                gives=SeenOffShape,
                query=Nothing,
                body=Reason,
            ),
        ]

    async def list(self, asking: Asking[SubjectQuery, Nothing]) -> Reply:
        """Answer GET /subjects."""
        query = asking.query
        page = await self._subjects.list(
            SubjectFilter(
                name=query.name,
                kind=query.kind,
                disabled=query.disabled,
                limit=query.limit,
                after=place_of("subjects", query.after),
            )
        )
        items = [subject_shape(view) for view in page.items]
        return Reply(SubjectPage(items, cursor_of("subjects", page.next)))

    async def add(self, asking: Asking[Nothing, NewSubjectBody]) -> Reply:
        """Answer POST /subjects."""
        body = asking.body
        new = NewSubject(body.name, body.kind, frozenset(body.roles), body.note)
        view = await self._subjects.add(asking.actor, new)
        return Reply(subject_shape(view), 201, view.version)

    async def get(self, asking: Asking[Nothing, Nothing]) -> Reply:
        """Answer GET /subjects/{name}."""
        return _told(await self._subjects.get(asking.names["name"]))

    async def change(self, asking: Asking[Nothing, SubjectPatchBody]) -> Reply:
        """Answer PATCH /subjects/{name}."""
        body = asking.body
        patch = SubjectPatch(
            said(body.kind),
            UNSAID if isinstance(body.roles, UnsetType) else frozenset(body.roles),
            said(body.note),
        )
        return _told(await self._subjects.change(asking.actor, asking.names["name"], patch, asking.version))

    async def disable(self, asking: Asking[Nothing, Reason]) -> Reply:
        """Answer POST /subjects/{name}/disable."""
        name, because = asking.names["name"], asking.body.because
        return _seen_off(await self._offboarding.disable(asking.actor, name, because))

    async def enable(self, asking: Asking[Nothing, Empty]) -> Reply:
        """Answer POST /subjects/{name}/enable."""
        return _told(await self._subjects.enable(asking.actor, asking.names["name"]))

    async def offboard(self, asking: Asking[Nothing, Reason]) -> Reply:
        """Answer POST /subjects/{name}/offboard."""
        name, because = asking.names["name"], asking.body.because
        return _seen_off(await self._offboarding.offboard(asking.actor, name, because))


def _seen_off(seen_off: SeenOff) -> Reply:
    told = ended_shape(seen_off.ended)
    fields = {name: getattr(told, name) for name in told.__struct_fields__}
    return Reply(SeenOffShape(**fields, browsers=seen_off.browsers))


def _told(view: SubjectView) -> Reply:
    return Reply(subject_shape(view), version=view.version)
