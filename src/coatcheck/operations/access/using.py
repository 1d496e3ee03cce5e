"""Which servers people, or grants, really used of late: for as many as can be told in a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from coatcheck.operations.activity import Activity
from coatcheck.ports import Clock

PATIENCE: Final = 0.6
"""Seconds that all of them together are waited for; what is being counted is there the next time."""

Whose = tuple[str, str]
"""A subject, and the id of a grant of it or the empty text for all of them."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The servers that each used; `complete`: this is known of all that were asked for."""

    servers: Mapping[Whose, frozenset[str]]
    complete: bool


async def used_of_late(activity: Activity, clock: Clock, whose: Iterable[Whose], days: int) -> Usage:
    """Return who used what in the last days.

    Raises:
        LedgerUnavailable: the record cannot be read.
    """
    since = clock.now() - timedelta(days=days)
    found: dict[Whose, frozenset[str]] = {}
    wanted = list(dict.fromkeys(whose))
    try:
        async with asyncio.timeout(PATIENCE):
            for one in wanted:
                ranking = await activity.servers(since, subject=one[0] or None, grant=one[1] or None)
                if ranking.complete or ranking.sealed:
                    through = (item for item in ranking.items if item.counts.calls > item.counts.refused)
                    found[one] = frozenset(item.name for item in through)
    except TimeoutError:
        pass
    return Usage(found, len(found) == len(wanted))
