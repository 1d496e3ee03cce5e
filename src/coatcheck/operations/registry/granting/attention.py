"""Which grants deserve a look: never used, not used for long, about to end, or waiting for their claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from coatcheck.model.grant import IssuedGrant
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.showing import AnyGrant, all_grants, state_of, view_of
from coatcheck.operations.registry.views import GrantState, GrantView

SOON: Final = timedelta(days=14)
"""A grant that ends within this time is about to end."""
SETTLED: Final = timedelta(days=7)
"""Only a grant that is older is told as never used."""
LONG: Final = timedelta(days=60)
"""A grant that was not used for so long is idle."""
MOST: Final = 50
"""How many of each are named."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Live grants by what is to be said of them: the first of each, and how many there are."""

    live: int
    any: bool
    """Whether there are grants at all, those that are over among them."""
    ending: Sequence[GrantView]
    endings: int
    never_used: Sequence[GrantView]
    never_used_count: int
    idle: Sequence[GrantView]
    idle_count: int
    unclaimed: Sequence[GrantView]
    unclaimed_count: int


class GrantsAttention:
    """Looks over all grants; one look at the store, whatever their number."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def look(self) -> Attention:
        """Return which grants deserve a look.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        snapshot, now = self._desk.snapshot, self._desk.now()
        standing = [(grant, state_of(snapshot, grant, now)) for grant in all_grants(snapshot)]
        live = [grant for grant, state in standing if state is GrantState.LIVE]
        last = await self._desk.seen.last_uses()
        ending = [grant for grant in live if _ends_within(grant, now + SOON)]
        settled = [one for one in live if isinstance(one, IssuedGrant) and one.issued_at < now - SETTLED]
        never = [grant for grant in settled if grant.id not in last]
        idle = [grant for grant in settled if grant.id in last and last[grant.id] < now - LONG]
        unclaimed = [grant for grant, state in standing if state is GrantState.UNCLAIMED]

        def told(grants: Sequence[AnyGrant]) -> Sequence[GrantView]:
            return [view_of(snapshot, grant, now) for grant in grants[:MOST]]

        return Attention(
            live=len(live),
            any=bool(standing),
            ending=told(sorted(ending, key=lambda one: str(getattr(one, "expires_at", "")))),
            endings=len(ending),
            never_used=told(never),
            never_used_count=len(never),
            idle=told(idle),
            idle_count=len(idle),
            unclaimed=told(unclaimed),
            unclaimed_count=len(unclaimed),
        )


def _ends_within(grant: AnyGrant, until: datetime) -> bool:
    end = grant.expires_at if isinstance(grant, IssuedGrant) else None
    return end is not None and end <= until
