"""The shapes of rotations: what a body says of one step or of all, and how it went; material goes in only."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from coatcheck.admin.api.problems import VerdictShape, verdict_shape
from coatcheck.admin.resources.credentials.shapes import CredentialShape, credential_shape
from coatcheck.admin.resources.values import Because, Moment
from coatcheck.model.credential import Assurance
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.views import Activated, Verdicts

Wait = Annotated[bool, Meta(description="Answer when nothing uses the former version, or after 30 s.")]


class VerdictsShape(Struct, kw_only=True):
    """What the servers said to a version; `ok` false: one of them refused it."""

    credential: CredentialShape
    number: int
    assurance: Assurance
    ok: bool
    verdicts: list[VerdictShape]


class ActivatedShape(Struct, kw_only=True):
    """A switch that was made: `number` is in use from now on, `former` was before.

    `effect_seconds`: until every new call used it. `left` calls, sessions and children still used the former
    one when this was answered, `drain_seconds` later; `drained`: none.
    """

    credential: CredentialShape
    number: int
    former: int | None
    assurance: Assurance
    verdicts: list[VerdictShape]
    effect_seconds: float
    drained: bool
    left: int
    drain_seconds: float
    warnings: list[str]


class StageBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A version to keep beside the one in use."""

    material: Secret
    expires_at: Moment | None = None


class ActivateBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """How the staged version is activated. `unverified`: no server is asked.

    With `unverified` or `accept_unproven`, `because` says why.
    """

    accept_unproven: bool = False
    unverified: bool = False
    because: Because = ""
    wait: Wait = True


class RotationBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A version to stage, verify and activate. Without `verify` no server is asked.

    Without `verify`, or with `accept_unproven`, `because` says why.
    """

    material: Secret
    verify: bool = True
    accept_unproven: bool = False
    because: Because = ""
    expires_at: Moment | None = None
    wait: Wait = True


class RollbackBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Why the previous version is to be used again."""

    because: Because = ""
    wait: Wait = True


def verdicts_shape(told: Verdicts) -> VerdictsShape:
    """Return what the servers said to a version."""
    return VerdictsShape(
        credential=credential_shape(told.credential),
        number=told.number,
        assurance=told.assurance,
        ok=told.ok,
        verdicts=[verdict_shape(one) for one in told.verdicts],
    )


def activated_shape(made: Activated) -> ActivatedShape:
    """Return a switch that was made."""
    return ActivatedShape(
        credential=credential_shape(made.credential),
        number=made.number,
        former=made.former,
        assurance=made.assurance,
        verdicts=[verdict_shape(one) for one in made.verdicts],
        effect_seconds=round(made.seconds_to_effect, 6),
        drained=made.drained,
        left=made.left,
        drain_seconds=round(made.seconds_to_drain, 6),
        warnings=list(made.warnings),
    )
