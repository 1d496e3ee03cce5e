"""The shapes of credentials: what is told of one, and what a body says of one; material goes in only."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from coatcheck.admin.api.paging import USUAL, Cursor, Limit
from coatcheck.admin.resources.credentials.oauth_shapes import NewOauthBody, OauthShape, oauth_shape, terms_of
from coatcheck.admin.resources.values import Glob, Moment, Name, Note, said
from coatcheck.model.credential import Assurance, CredentialKind, Custody, OnRefusal, Stage
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.credentials import MAX_INTERVAL
from coatcheck.operations.credentials.patches import CredentialPatch, NewCredential
from coatcheck.operations.credentials.views import (
    CredentialState,
    CredentialView,
    Due,
    Reason,
    VersionView,
)
from coatcheck.operations.registry.patches import Unsaid

Owner = Annotated[str, Meta(max_length=256)]
Days = Annotated[
    float,  # to JSON Schema 30.0 is an integer, to the decoder it is none
    Meta(ge=1, le=MAX_INTERVAL, multiple_of=1, description="Days between rotations; null: never due."),
]


class UseShape(Struct):
    """A place of a server where a credential goes: `headers/NAME`, `env/NAME`, `args/NUMBER` or `url`."""

    server: str
    place: str


class VersionShape(Struct, kw_only=True):
    """One version; never its material. `print` is a keyed fingerprint, `kept` tells whether we still have it.

    `in_use` counts the calls, sessions and children that use it right now.
    """

    number: int
    stage: Stage
    print: str
    made_at: Moment
    made_by: str
    assurance: Assurance
    kept: bool
    verified_at: Moment | None
    activated_at: Moment | None
    ended_at: Moment | None
    expires_at: Moment | None
    refused_at: Moment | None
    refused_by: str
    in_use: int


class CredentialShape(Struct, kw_only=True):
    """One credential. `versions` are newest first; `expires_at` is that of the active one."""

    id: UUID
    name: str
    custody: Custody
    kind: CredentialKind
    owner: str
    state: CredentialState
    interval_days: int | None
    due_at: Moment | None
    expires_at: Moment | None
    on_refusal: OnRefusal
    note: str
    version: int
    created_at: Moment
    created_by: str
    used_by: list[UseShape]
    versions: list[VersionShape]
    oauth: OauthShape | None
    warnings: list[str]


class CredentialPage(Struct):
    """A page of credentials."""

    items: list[CredentialShape]
    next: str | None


class DueShape(Struct):
    """One line of the rotation plan. `reasons` are the gravest first; `since` is when the first began."""

    credential: CredentialShape
    reasons: list[Reason]
    since: Moment | None


class PlanShape(Struct):
    """What is to be done about credentials, the gravest first."""

    items: list[DueShape]


class CredentialQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which credentials to list; `name` is a glob, `server` uses them."""

    name: Glob | None = None
    state: CredentialState | None = None
    custody: Custody | None = None
    server: Name | None = None
    owner: Name | None = None
    limit: Limit = USUAL
    after: Cursor | None = None


class NewCredentialBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A credential to keep. `material` is in use at once, and may come later; with `oauth` none is given.

    `interval_days` left out: 90. `expires_at` left out: what the material says of itself, if it does.
    """

    name: Name
    material: Secret | None = None
    owner: Owner = ""
    interval_days: Days | UnsetType | None = UNSET
    on_refusal: OnRefusal = OnRefusal.FLAG
    note: Note = ""
    expires_at: Moment | None = None
    oauth: NewOauthBody | None = None


class CredentialPatchBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Changes of a credential; what is left out stays. `expires_at` is of the active version."""

    owner: Owner | UnsetType = UNSET
    interval_days: Days | UnsetType | None = UNSET
    on_refusal: OnRefusal | UnsetType = UNSET
    note: Note | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET


def credential_shape(view: CredentialView) -> CredentialShape:
    """Return a credential as it is told."""
    return CredentialShape(
        id=view.id,
        name=view.name,
        custody=view.custody,
        kind=view.kind,
        owner=view.owner,
        state=view.state,
        interval_days=view.interval,
        due_at=view.due_at,
        expires_at=view.expires_at,
        on_refusal=view.on_refusal,
        note=view.note,
        version=view.version,
        created_at=view.created_at,
        created_by=view.created_by,
        used_by=[UseShape(server, place) for server, place in view.used_by],
        versions=[_version_shape(one) for one in view.versions],
        oauth=oauth_shape(view.oauth) if view.oauth is not None else None,
        warnings=list(view.warnings),
    )


def _version_shape(view: VersionView) -> VersionShape:
    return VersionShape(
        number=view.number,
        stage=view.stage,
        print=view.print,
        made_at=view.made_at,
        made_by=view.made_by,
        assurance=view.assurance,
        kept=view.kept,
        verified_at=view.verified_at,
        activated_at=view.activated_at,
        ended_at=view.ended_at,
        expires_at=view.expires_at,
        refused_at=view.refused_at,
        refused_by=view.refused_by,
        in_use=view.in_use,
    )


def due_shape(due: Due) -> DueShape:
    """Return one line of the rotation plan."""
    return DueShape(credential_shape(due.credential), list(due.reasons), due.since)


def new_of(body: NewCredentialBody) -> NewCredential:
    """Return the credential that a body describes, not yet judged."""
    return NewCredential(
        name=body.name,
        material=body.material,
        kind=CredentialKind.VALUE if body.oauth is None else CredentialKind.OAUTH,
        owner=body.owner,
        interval=_days(body.interval_days),
        on_refusal=body.on_refusal,
        note=body.note,
        expires_at=body.expires_at,
        oauth=terms_of(body.oauth) if body.oauth is not None else None,
    )


def patch_of(body: CredentialPatchBody) -> CredentialPatch:
    """Return the changes that a body describes."""
    return CredentialPatch(
        owner=said(body.owner),
        interval=_days(body.interval_days),
        on_refusal=said(body.on_refusal),
        note=said(body.note),
        expires_at=said(body.expires_at),
    )


def _days(given: float | UnsetType | None) -> int | Unsaid | None:
    days = said(given)
    return int(days) if isinstance(days, float | int) else days
