"""The shapes of grants: what is told of one, and what a body says of one. A token is told once, or never."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from coatcheck.admin.api.paging import USUAL, Cursor, Limit
from coatcheck.admin.api.routes import Reply
from coatcheck.admin.resources.values import (
    MAX_NAMES,
    Because,
    Glob,
    Label,
    Moment,
    Name,
    Note,
    names_of,
    said,
)
from coatcheck.model.grant import Seen
from coatcheck.model.server import Source
from coatcheck.operations.registry.patches import UNSAID, GrantPatch, NewGrant
from coatcheck.operations.registry.views import Ended, GrantState, GrantView

MAX_MANY = 1_000
MAX_OVERLAP = 86_400
MAX_TOOLS = 200

Servers = Annotated[
    list[Name], Meta(min_length=1, max_length=MAX_NAMES, description="Names or ids; null: every server.")
]
Tools = Annotated[
    list[Glob], Meta(min_length=1, max_length=MAX_TOOLS, description="Globs over `server__tool`; null: all.")
]


class SeenShape(Struct):
    """When and by what a grant was last used."""

    at: Moment
    address: str
    client: str


class GrantShape(Struct, kw_only=True):
    """One grant; never its token. `servers` null: every server; `tools` null: every tool."""

    id: str
    label: str
    subject: str
    servers: list[str] | None
    tools: list[str] | None
    source: Source
    state: GrantState
    issued_at: Moment | None
    issued_by: str
    expires_at: Moment | None
    revoked_at: Moment | None
    revoked_by: str
    because: str
    note: str
    claim_until: Moment | None
    overlap_until: Moment | None
    last_used: SeenShape | None
    clients: list[SeenShape]
    version: int


class GrantPage(Struct):
    """A page of grants."""

    items: list[GrantShape]
    next: str | None


class IssuedShape(Struct, kw_only=True):
    """A grant that was just made. `token`, or the link by which its owner fetches it, is shown once."""

    grant: GrantShape
    token: str | None
    claim_code: str | None
    claim_url: str | None


class IssuedList(Struct):
    """Grants that were just made, in the order in which they were asked for."""

    items: list[IssuedShape]


class EndedShape(Struct, kw_only=True):
    """What an ending ended, and how many seconds that took.

    `revoked` holds the ids of those of `grants` that it revoked; others were revoked before, or are not.
    """

    grants: list[GrantShape]
    revoked: list[str]
    calls: int
    streams: int
    sessions: int
    seconds: float
    left: int


class GrantQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which grants to list."""

    subject: Name | None = None
    server: Name | None = None
    state: GrantState | None = None
    source: Source | None = None
    label: Glob | None = None
    limit: Limit = USUAL
    after: Cursor | None = None


class NewGrantBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A grant to issue. `expires_at` null: never; left out: after 90 days.

    `policy` is used on it from its first call on, which needs the permission `policies.write` besides.
    """

    label: Label
    subject: Name
    servers: Servers | None
    tools: Tools | None = None
    expires_at: Moment | UnsetType | None = UNSET
    note: Note = ""
    by_claim: bool = False
    policy: Name | None = None


class NewGrantsBody(Struct, forbid_unknown_fields=True):
    """Grants to issue: all of them or none."""

    grants: Annotated[list[NewGrantBody], Meta(min_length=1, max_length=MAX_MANY)]


class GrantPatchBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Changes of a grant; what is left out stays."""

    label: Label | UnsetType = UNSET
    servers: Servers | UnsetType | None = UNSET
    tools: Tools | UnsetType | None = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    note: Note | UnsetType = UNSET


class RotateBody(Struct, forbid_unknown_fields=True):
    """How long the old token stays good."""

    overlap_seconds: Annotated[float, Meta(ge=0, le=MAX_OVERLAP)] = 0.0


class RevokeBody(Struct, forbid_unknown_fields=True):
    """Grants to revoke, by label or id: all of them or none."""

    grants: Annotated[list[Name], Meta(min_length=1, max_length=10_000)]
    because: Because = ""


def seen_shape(seen: Seen) -> SeenShape:
    """Return one last use."""
    return SeenShape(seen.at, seen.address, seen.client)


def grant_shape(view: GrantView) -> GrantShape:
    """Return a grant as it is told."""
    return GrantShape(
        id=view.id,
        label=view.label,
        subject=view.subject,
        servers=None if view.servers is None else list(view.servers),
        tools=None if view.tools is None else list(view.tools),
        source=view.source,
        state=view.state,
        issued_at=view.issued_at,
        issued_by=view.issued_by,
        expires_at=view.expires_at,
        revoked_at=view.revoked_at,
        revoked_by=view.revoked_by,
        because=view.because,
        note=view.note,
        claim_until=view.claim_until,
        overlap_until=view.overlap_until,
        last_used=seen_shape(view.last_used) if view.last_used else None,
        clients=[seen_shape(one) for one in view.clients],
        version=view.version,
    )


def ended_reply(ended: Ended) -> Reply:
    """Return the answer to an ending, given once all of it is over."""
    return Reply(ended_shape(ended))


def ended_shape(ended: Ended) -> EndedShape:
    """Return an ending as it is told."""
    return EndedShape(
        grants=[grant_shape(view) for view in ended.grants],
        revoked=sorted(ended.revoked),
        calls=ended.calls,
        streams=ended.streams,
        sessions=ended.sessions,
        seconds=round(ended.seconds, 6),
        left=ended.left,
    )


def new_of(body: NewGrantBody) -> NewGrant:
    """Return the grant that a body describes, not yet judged."""
    return NewGrant(
        label=body.label,
        subject=body.subject,
        servers=names_of(body.servers),
        tools=_tuple(body.tools),
        expires_at=said(body.expires_at),
        note=body.note,
        by_claim=body.by_claim,
        policy=body.policy or "",
    )


def patch_of(body: GrantPatchBody) -> GrantPatch:
    """Return the changes that a body describes."""
    return GrantPatch(
        label=said(body.label),
        servers=UNSAID if isinstance(body.servers, UnsetType) else names_of(body.servers),
        tools=UNSAID if isinstance(body.tools, UnsetType) else _tuple(body.tools),
        expires_at=said(body.expires_at),
        note=said(body.note),
    )


def _tuple(globs: list[str] | None) -> tuple[str, ...] | None:
    return None if globs is None else tuple(globs)
