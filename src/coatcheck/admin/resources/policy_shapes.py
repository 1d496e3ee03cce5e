"""The shapes of policies over the API: as they are told, and as bodies and queries ask."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from coatcheck.admin.api.paging import USUAL, Cursor, Limit
from coatcheck.admin.resources.values import Because, Glob, Moment
from coatcheck.core.policy.conditions.values import write_exact
from coatcheck.core.policy.differences import Difference
from coatcheck.core.policy.writing import write_json
from coatcheck.model.policy import Default, Policy
from coatcheck.model.stored_policy import UseKind
from coatcheck.operations.policies.views import DiffView, PolicyView, UseView, VersionView

Number = Annotated[int, Meta(ge=1, le=2**31 - 1, description="A version of the policy.")]
Of = Annotated[
    str, Meta(max_length=256, description="A role, a grant's label or id, a server's name or UUID.")
]
OnServer = Annotated[str, Meta(max_length=256, description="One server, for a grant: its name or UUID.")]


class UseShape(Struct, kw_only=True):
    """One thing that a policy is used on. `of` is its id, `shown` what people call it.

    `server` is the one that a use on a grant is narrowed to; `instead_of` the policy that was used there
    until now. Both may be empty.
    """

    policy: str
    kind: UseKind
    of: str
    shown: str
    server: str
    at: Moment
    by: str
    because: str
    instead_of: str


class PolicyShape(Struct, kw_only=True):
    """One policy; of `version` 0 it needs no document. `at`, `by` and `because` are of the last change."""

    name: str
    version: int
    default: Default
    description: str
    entries: int
    uses: list[UseShape]
    at: Moment | None
    by: str
    because: str
    ended_at: Moment | None


class PolicyPage(Struct):
    """A page of policies."""

    items: list[PolicyShape]
    next: str | None


class WholePolicy(Struct, kw_only=True):
    """One policy with its document, in the canonical form: numbers as they were written."""

    policy: PolicyShape
    document: Raw


class VersionShape(Struct, kw_only=True):
    """One version that a policy had, and who made it."""

    name: str
    number: int
    at: Moment
    by: str
    because: str


class VersionPage(Struct):
    """A page of versions, newest first."""

    items: list[VersionShape]
    next: str | None


class WholeVersion(Struct, kw_only=True):
    """One version with its document."""

    version: VersionShape
    document: Raw


class DifferenceShape(Struct, kw_only=True):
    """What is other at one place, a JSON Pointer. `before` or `after` is missing where nothing was, or is."""

    where: str
    before: Raw | msgspec.UnsetType = msgspec.UNSET
    after: Raw | msgspec.UnsetType = msgspec.UNSET


class DiffShape(Struct, kw_only=True):
    """What is other in the version `after` than in the version `before`."""

    name: str
    before: int
    after: int
    differences: list[DifferenceShape]


class PolicyQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which policies to list; `name` is a glob. With `ended`, those that were removed as well."""

    name: Glob | None = None
    ended: bool = False
    limit: Limit = USUAL
    after: Cursor | None = None


class VersionsQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """How many versions to list."""

    limit: Limit = USUAL
    after: Cursor | None = None


class VersionQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which version; the newest where it is left out."""

    number: Number | None = None


class DiffQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Two versions; where they are left out, the newest and the one before it."""

    before: Number | None = None
    after: Number | None = None


class PolicyBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A policy to put. The document is read as docs/reference/policies.md says."""

    document: Raw
    because: Because = ""


class RevertBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """The version whose document is to hold again: a whole number, which JSON may write as `2.0`."""

    number: Annotated[float, Meta(ge=1, le=2**31 - 1, multiple_of=1)]
    because: Because = ""


class UseBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a policy is to be used on, or to be taken off."""

    kind: UseKind
    of: Of = ""
    server: OnServer = ""
    because: Because = ""


def use_shape(view: UseView) -> UseShape:
    """Return a use as it is told."""
    return UseShape(
        policy=view.policy,
        kind=view.kind,
        of=view.of,
        shown=view.shown,
        server=view.server,
        at=view.at,
        by=view.by,
        because=view.because,
        instead_of=view.instead_of,
    )


def policy_shape(view: PolicyView) -> PolicyShape:
    """Return a policy as it is told in lists."""
    return PolicyShape(
        name=view.name,
        version=view.version,
        default=view.policy.default,
        description=view.policy.description,
        entries=len(view.policy.entries),
        uses=[use_shape(use) for use in view.uses],
        at=view.at,
        by=view.by,
        because=view.because,
        ended_at=view.ended_at,
    )


def whole_policy(view: PolicyView) -> WholePolicy:
    """Return a policy with its document."""
    return WholePolicy(policy=policy_shape(view), document=document_of(view.policy))


def version_shape(view: VersionView) -> VersionShape:
    """Return a version as it is told in lists."""
    return VersionShape(name=view.name, number=view.number, at=view.at, by=view.by, because=view.because)


def whole_version(view: VersionView) -> WholeVersion:
    """Return a version with its document."""
    return WholeVersion(version=version_shape(view), document=document_of(view.policy))


def diff_shape(view: DiffView) -> DiffShape:
    """Return what is other as it is told."""
    found = [_difference(one) for one in view.differences]
    return DiffShape(name=view.name, before=view.before, after=view.after, differences=found)


def document_of(policy: Policy) -> Raw:
    """Return the canonical document."""
    return Raw(write_json(policy).rstrip(b"\n"))


def _difference(one: Difference) -> DifferenceShape:
    return DifferenceShape(
        where=one.where,
        before=msgspec.UNSET if one.added else _raw(one.before),
        after=msgspec.UNSET if one.removed else _raw(one.after),
    )


def _raw(value: Any) -> Raw:
    return Raw(write_exact(value))
