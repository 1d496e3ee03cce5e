"""Rotations over the API: each step by itself, or all in one; and the link that connects a credential."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.admin.resources.credentials.oauth_shapes import ConnectionShape, connection_shape
from coatcheck.admin.resources.credentials.rotation_shapes import (
    ActivateBody,
    ActivatedShape,
    RollbackBody,
    RotationBody,
    StageBody,
    VerdictsShape,
    activated_shape,
    verdicts_shape,
)
from coatcheck.admin.resources.credentials.shapes import CredentialShape, credential_shape
from coatcheck.admin.resources.values import Empty
from coatcheck.operations.credentials.views import Activated, CredentialView
from coatcheck.operations.oauth.connecting import Connecting
from coatcheck.operations.permissions import Permission
from coatcheck.operations.rotation.rotating import Rotations


class RotationRoutes:
    """Serves rotations. `hasty` are the same ones, which wait for no call with the former version.

    `origin` returns the URL that browsers reach us by, without a path.
    """

    def __init__(
        self, rotations: Rotations, hasty: Rotations, connecting: Connecting, origin: Callable[[], str]
    ) -> None:
        self._rotations = rotations
        self._hasty = hasty
        self._connecting = connecting
        self._origin = origin

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [*self._steps(), *self._switches()]

    def _steps(self) -> list[AnyRoute]:
        """Return the routes of steps that switch nothing."""
        return [
            Route(
                method="POST",
                path="/credentials/{ref}/stage",
                permission=Permission.CREDENTIALS_WRITE,
                summary="Keep a new version beside the one in use; nobody uses it yet.",
                answer=self.stage,
                gives=CredentialShape,
                query=Nothing,
                body=StageBody,
                errors=("taken",),
                etag=True,
            ),
            Route(
                method="POST",
                path="/credentials/{ref}/discard",
                permission=Permission.CREDENTIALS_WRITE,
                summary="Forget the staged version.",
                answer=self.discard,
                gives=CredentialShape,
                query=Nothing,
                body=Empty,
                etag=True,
            ),
            Route(
                method="POST",
                path="/credentials/{ref}/verify",
                permission=Permission.CREDENTIALS_WRITE,
                summary="Try the staged version, or else the active one, at every server that uses it.",
                answer=self.verify,
                gives=VerdictsShape,
                query=Nothing,
                body=Empty,
                errors=("stale",),
            ),
            Route(
                method="POST",
                path="/credentials/{ref}/retire",
                permission=Permission.CREDENTIALS_WRITE,
                summary="Forget the material of the previous version.",
                answer=self.retire,
                gives=CredentialShape,
                query=Nothing,
                body=Empty,
                etag=True,
            ),
            Route(
                method="POST",
                path="/credentials/{ref}/connect",
                permission=Permission.CREDENTIALS_WRITE,
                summary="Give the link by which a person connects an OAuth credential, if one is needed.",
                answer=self.connect,
                gives=ConnectionShape,
                query=Nothing,
                body=Empty,
                errors=("upstream", "upstream_timeout"),
            ),
        ]

    def _switches(self) -> list[AnyRoute]:
        """Return the routes that make another version the one in use."""
        refusals = ("taken", "not_verified", "unproven", "stale")
        return [
            Route(
                method="POST",
                path="/credentials/{ref}/rotate",
                permission=Permission.CREDENTIALS_WRITE,
                summary="Stage, verify and activate a version; answers when the former one is out of use.",
                answer=self.rotate,
                gives=ActivatedShape,
                query=Nothing,
                body=RotationBody,
                errors=refusals,
                etag=True,
            ),
            Route(
                method="POST",
                path="/credentials/{ref}/activate",
                permission=Permission.CREDENTIALS_WRITE,
                summary="Use the staged version from the next call on; it is verified first if it was not.",
                answer=self.activate,
                gives=ActivatedShape,
                query=Nothing,
                body=ActivateBody,
                errors=refusals,
                etag=True,
            ),
            Route(
                method="POST",
                path="/credentials/{ref}/rollback",
                permission=Permission.CREDENTIALS_WRITE,
                summary="Use the previous version again, from the next call on.",
                answer=self.roll_back,
                gives=ActivatedShape,
                query=Nothing,
                body=RollbackBody,
                etag=True,
            ),
        ]

    async def stage(self, asking: Asking[Nothing, StageBody]) -> Reply:
        """Answer POST /credentials/{ref}/stage."""
        ref, body = asking.names["ref"], asking.body
        return _told(await self._rotations.stage(asking.actor, ref, body.material, body.expires_at))

    async def discard(self, asking: Asking[Nothing, Empty]) -> Reply:
        """Answer POST /credentials/{ref}/discard."""
        return _told(await self._rotations.discard(asking.actor, asking.names["ref"]))

    async def verify(self, asking: Asking[Nothing, Empty]) -> Reply:
        """Answer POST /credentials/{ref}/verify: 200 with `ok` false where a server refused."""
        return Reply(verdicts_shape(await self._rotations.verify(asking.actor, asking.names["ref"])))

    async def retire(self, asking: Asking[Nothing, Empty]) -> Reply:
        """Answer POST /credentials/{ref}/retire."""
        return _told(await self._rotations.retire(asking.actor, asking.names["ref"]))

    async def connect(self, asking: Asking[Nothing, Empty]) -> Reply:
        """Answer POST /credentials/{ref}/connect."""
        begun = await self._connecting.begin(asking.actor, asking.names["ref"], self._origin())
        return Reply(connection_shape(begun))

    async def rotate(self, asking: Asking[Nothing, RotationBody]) -> Reply:
        """Answer POST /credentials/{ref}/rotate."""
        body = asking.body
        made = await self._rotating(body.wait).rotate(
            asking.actor,
            asking.names["ref"],
            body.material,
            verify=body.verify,
            accept_unproven=body.accept_unproven,
            expires_at=body.expires_at,
            because=body.because,
        )
        return _switched(made)

    async def activate(self, asking: Asking[Nothing, ActivateBody]) -> Reply:
        """Answer POST /credentials/{ref}/activate."""
        body = asking.body
        made = await self._rotating(body.wait).activate(
            asking.actor,
            asking.names["ref"],
            accept_unproven=body.accept_unproven,
            unverified=body.unverified,
            because=body.because,
        )
        return _switched(made)

    async def roll_back(self, asking: Asking[Nothing, RollbackBody]) -> Reply:
        """Answer POST /credentials/{ref}/rollback."""
        ref, body = asking.names["ref"], asking.body
        return _switched(await self._rotating(body.wait).roll_back(asking.actor, ref, body.because))

    def _rotating(self, wait: bool) -> Rotations:
        return self._rotations if wait else self._hasty


def _told(view: CredentialView) -> Reply:
    return Reply(credential_shape(view), version=view.version)


def _switched(made: Activated) -> Reply:
    return Reply(activated_shape(made), version=made.credential.version)
