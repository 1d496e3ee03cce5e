"""Which grants deserve a look: never used, not used for long, about to end, or waiting for their claim."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from coatcheck.model.grant import IssuedGrant
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.showing import (
    AnyGrant,
    all_grants,
    end_of,
    is_settled,
    state_of,
    view_of,
)
from coatcheck.operations.registry.views import GrantState, GrantView

SOON: Final = timedelta(days=14)
"""A grant that ends within this time is about to end."""
LONG: Final = timedelta(days=60)
"""A grant that was not used for so long is idle."""
MOST: Final = 50
"""How many of each are named."""
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
KEPT: Final = 60.0
"""Seconds for which what was found is told again."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Live grants by what is to be said of them: the first of each, and how many there are."""

    live: int
    any: bool
    """Whether there are grants at all, those that are over among them."""
    ending: Sequence[GrantView]
    ending_count: int
    never_used: Sequence[GrantView]
    never_used_count: int
    idle: Sequence[GrantView]
    idle_count: int
    unclaimed: Sequence[GrantView]
    unclaimed_count: int


class GrantsAttention:
    """Looks over all grants, once for all who look on: with many grants it is more than a page may take.

    What was found is told for `KEPT` seconds unless something was edited; uses change it by days.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._one = asyncio.Lock()
        self._found: tuple[Snapshot, float, Attention] | None = None

    def has_grants(self) -> bool:
        """Tell whether there are grants at all, those that are over among them."""
        return next(all_grants(self._desk.snapshot), None) is not None

    async def look(self) -> Attention:
        """Return which grants deserve a look.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        async with self._one:
            snapshot, now = self._desk.snapshot, self._desk.clock.monotonic()
            if self._found is not None and self._found[0] is snapshot and now - self._found[1] < KEPT:
                return self._found[2]
            last = await self._desk.seen.last_uses()
            # Beside the event loop: it goes through every grant.
            found = await asyncio.to_thread(_attention, snapshot, last, self._desk.now())
            self._found = snapshot, now, found
            return found


def _attention(snapshot: Snapshot, last: Mapping[str, datetime], now: datetime) -> Attention:
    standing = [(grant, state_of(snapshot, grant, now)) for grant in all_grants(snapshot)]
    live = [grant for grant, state in standing if state is GrantState.LIVE]
    ending = [grant for grant in live if (end_of(grant) or _NEVER) <= now + SOON]
    settled = [one for one in live if isinstance(one, IssuedGrant) and is_settled(one, now)]
    never = [grant for grant in settled if grant.id not in last]
    idle = [grant for grant in settled if grant.id in last and last[grant.id] < now - LONG]
    unclaimed = [grant for grant, state in standing if state is GrantState.UNCLAIMED]

    def told(grants: Sequence[AnyGrant]) -> Sequence[GrantView]:
        return [view_of(snapshot, grant, now) for grant in grants[:MOST]]

    return Attention(
        live=len(live),
        any=bool(standing),
        ending=told(sorted(ending, key=lambda one: end_of(one) or _NEVER)),
        ending_count=len(ending),
        never_used=told(never),
        never_used_count=len(never),
        idle=told(idle),
        idle_count=len(idle),
        unclaimed=told(unclaimed),
        unclaimed_count=len(unclaimed),
    )
