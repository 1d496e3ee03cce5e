"""Taking the record as it is, after something else wrote to the store and an operator looked into it."""

from __future__ import annotations

from coatcheck.model.chain import Head, Strange
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.operator import Actor
from coatcheck.operations.checkpointing import Checkpointing
from coatcheck.operations.registry.changes import Outline, Scribe


class Accepting:
    """Lets calls go on over a chain that the gateway did not leave where it is."""

    def __init__(self, checkpointing: Checkpointing, scribe: Scribe) -> None:
        self._checkpointing = checkpointing
        self._scribe = scribe

    async def accept(self, because: str, by: Actor) -> tuple[str, ...]:
        """Go on from where the chain stands; that is its next entry. Return what does not fit any more.

        The same takes a file of checkpoints that lost something, and begins it anew.

        Raises:
            Unfit: there is nothing to accept, or nothing that could be.
            Unavailable: the store cannot be written, or was changed once more.
        """

        def made(strange: Strange) -> Change:
            what = (ObjectKind.RECORD, "chain", "chain")
            before, after = _outline(strange.known), _outline(strange.found)
            return self._scribe.changed(by, "record.accept", what, before, after, because)

        await self._checkpointing.accept(made)
        return self._checkpointing.alarms


def _outline(head: Head | None) -> Outline | None:
    return None if head is None else {"seq": head.seq, "hash": head.hash.hex()}
