"""The key of the store over the API: which one it is, and changing it; the key itself is never told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.rekeying import Rekeying

Path = Annotated[
    str,
    Meta(
        pattern="^/[^\\x00]*$",
        max_length=4_096,
        description="A file with the new key, on the gateway's machine; null: one is made.",
    ),
]


class KeyShape(Struct):
    """The key in use. `origin`: what gives it, from outside; empty for the file in the data directory."""

    id: str
    origin: str


class KeyRotationBody(Struct, forbid_unknown_fields=True):
    """Where the new key is."""

    path: Path | None = None


class KeyRotatedShape(Struct, kw_only=True):
    """A change of keys: `rows` were sealed anew. `advice` is what is left to an operator.

    `former_path` is the file that keeps the former key, where we keep it.
    """

    old_id: str
    new_id: str
    rows: int
    seconds: float
    former_path: str | None
    advice: str


class KeyRoutes:
    """Serves the key."""

    def __init__(self, key: Rekeying) -> None:
        self._key = key

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/key",
                permission=Permission.KEY_READ,
                summary="Tell which key the store is sealed with; never the key.",
                answer=self.get,
                gives=KeyShape,
                query=Nothing,
                body=Nothing,
            ),
            Route(
                method="POST",
                path="/key/rotate",
                permission=Permission.KEY_ROTATE,
                summary="Seal everything with a new key, while calls go on.",
                answer=self.rotate,
                gives=KeyRotatedShape,
                query=Nothing,
                body=KeyRotationBody,
                errors=("damaged", "config"),
            ),
        ]

    async def get(self, asking: Asking[Nothing, Nothing]) -> Reply:  # noqa: ARG002 - the shape of an answer
        """Answer GET /key."""
        view = self._key.view()
        return Reply(KeyShape(view.id, view.origin))

    async def rotate(self, asking: Asking[Nothing, KeyRotationBody]) -> Reply:
        """Answer POST /key/rotate."""
        made = await self._key.rotate(asking.actor, asking.body.path)
        return Reply(
            KeyRotatedShape(
                old_id=made.old_id,
                new_id=made.new_id,
                rows=made.rows,
                seconds=round(made.seconds, 6),
                former_path=made.former_path,
                advice=made.advice,
            )
        )
