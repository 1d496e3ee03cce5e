"""Reading the ledger as a whole, page by page, for exports, bundles and questions of what was touched."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Protocol
from uuid import UUID

from coatcheck.model.chain import Checkpoint
from coatcheck.model.reading import Held, Radius, RadiusFilter, Stretch, Wanted
from coatcheck.model.record import RecordFilter


class Reading(Protocol):
    """The ledger in order, from the first entry to the last. Raises `LedgerUnavailable` where unreadable."""

    async def stretch(self, wanted: RecordFilter) -> Stretch:
        """Return the part of the chain that the times of a filter stand for."""
        ...

    async def links(
        self,
        after: int,
        through: int,
        wanted: RecordFilter | None,
        about: Set[str] = frozenset(),
        *,
        judged: bool = False,
    ) -> tuple[Sequence[Wanted], int]:
        """Return the next entries after a number, and the number that they go to.

        Entries that a filter leaves out come too, as such; with None, all of them are. Changes are asked for
        if the filter names their object, or if `about` has its name or id. What is asked for is found by what
        the entries say themselves; with `judged`, or a filter by more than times, columns that say otherwise
        are told of.
        """
        ...

    async def held(self, wanted: RecordFilter, after: int, most: int) -> Sequence[Held]:
        """Return the next calls that match after a position, oldest first."""
        ...

    async def find(self, id: UUID) -> int | None:
        """Return the position of the call of this id, if it is one of the newest."""
        ...

    async def checkpoints(self, after: int, most: int) -> Sequence[Checkpoint]:
        """Return the next checkpoints of entries after a number."""
        ...

    async def radius(self, of: RadiusFilter) -> Radius:
        """Return all that something touched."""
        ...
