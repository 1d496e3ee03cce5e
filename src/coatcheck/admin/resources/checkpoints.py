"""Checkpoints of the record over the API: make one now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from coatcheck.admin.api.permissions import Permission
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.model.chain import Checkpoint


class CheckpointShape(Struct, kw_only=True):
    """A signed checkpoint. `note` is what was signed, with its signature (C2SP signed-note)."""

    log: str
    seq: int
    hash: str
    time: str
    note: str


class CheckpointRoutes:
    """Serves checkpoints. `make` signs where the chain stands now."""

    def __init__(self, make: Callable[[], Awaitable[Checkpoint]]) -> None:
        self._make = make

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="POST",
                path="/checkpoints",
                permission=Permission.CHECKPOINT,
                summary="Sign where the record stands now; what was signed last, if nothing is new.",
                answer=self.make,
                gives=CheckpointShape,
                query=Nothing,
                body=Nothing,
            )
        ]

    async def make(self, asking: Asking[Nothing, Nothing]) -> Reply:  # noqa: ARG002 - the shape of an answer
        """Answer POST /checkpoints."""
        made = await self._make()
        return Reply(
            CheckpointShape(
                log=made.log, seq=made.seq, hash=made.hash.hex(), time=rfc3339(made.at), note=made.note
            )
        )
