"""Checkpoints of the record over the API: make one now; and take a record that something else moved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.model.chain import Checkpoint
from coatcheck.operations.accepting import Accepting
from coatcheck.operations.permissions import Permission


class CheckpointShape(Struct, kw_only=True):
    """A signed checkpoint. `note` is what was signed, with its signature (C2SP signed-note)."""

    log: str
    seq: int
    hash: str
    time: str
    note: str


class Acceptance(Struct, forbid_unknown_fields=True, kw_only=True):
    """Why the record is taken as it is; it goes on record."""

    because: Annotated[str, Meta(min_length=1, max_length=1_000)]


class Accepted(Struct):
    """What does not fit any more, now that calls go on: a sentence each."""

    alarms: list[str]


class CheckpointRoutes:
    """Serves checkpoints. `make` signs where the chain stands now."""

    def __init__(self, make: Callable[[], Awaitable[Checkpoint]], accepting: Accepting) -> None:
        self._make = make
        self._accepting = accepting

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
            ),
            Route(
                method="POST",
                path="/checkpoints/accept",
                permission=Permission.ACCEPT,
                summary="Go on from a record that something else wrote to while the gateway ran.",
                answer=self.accept,
                gives=Accepted,
                query=Nothing,
                body=Acceptance,
            ),
        ]

    async def make(self, asking: Asking[Nothing, Nothing]) -> Reply:  # noqa: ARG002 - the shape of an answer
        """Answer POST /checkpoints."""
        made = await self._make()
        return Reply(
            CheckpointShape(
                log=made.log, seq=made.seq, hash=made.hash.hex(), time=rfc3339(made.at), note=made.note
            )
        )

    async def accept(self, asking: Asking[Nothing, Acceptance]) -> Reply:
        """Answer POST /checkpoints/accept."""
        return Reply(Accepted(list(await self._accepting.accept(asking.body.because, asking.actor))))
