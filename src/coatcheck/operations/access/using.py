"""What was really used of late, as far as it is known: what nobody knows is never called unused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from coatcheck.core.activity import Through, Uses
from coatcheck.operations.activity import Activity
from coatcheck.operations.hours import MOST_FILLING
from coatcheck.ports import Clock

PATIENCE: Final = 0.1
"""Seconds that all of them together are waited for; what is being counted is there the next time."""

Whose = tuple[str, str]
"""A subject, and the id of a grant of it or the empty text for all of them."""
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Usage:
    """What got through to servers, or to tools, by name, from `since` on.

    With `counting`, what was used before is still being counted; with `sealed` it is in files, and counted no
    more. `whole`: there were not more names than are told.
    """

    names: Mapping[str, Through]
    since: datetime
    counting: bool = False
    sealed: bool = False
    whole: bool = True

    @property
    def complete(self) -> bool:
        """Whether what is not among the names was not used from `since` on."""
        return self.whole and not self.counting

    def is_unused(self, name: str) -> bool:
        """Tell whether something was not used from `since` on: only where that is known."""
        return self.complete and name not in self.names


@dataclass(frozen=True, slots=True)
class Usages:
    """What each used, of all that were asked for."""

    by: Mapping[Whose, Usage]

    @property
    def counting(self) -> bool:
        """Whether some of it is still being counted."""
        return any(one.counting for one in self.by.values())

    @property
    def sealed_since(self) -> datetime | None:
        """The time before which it is not known of all of them, since that is in files; None: it is."""
        return max((one.since for one in self.by.values() if one.sealed), default=None)


def usage_of(uses: Uses, since: datetime) -> Usage:
    """Return what got through since a time, as it was counted: the one place that says what is known."""
    names = {name: through for name, through in uses.names.items() if name}
    if uses.complete:
        return Usage(names, since, whole=uses.whole)
    return Usage(names, uses.back_to, not uses.sealed, uses.sealed, uses.whole)


async def servers_of_late(
    activity: Activity, clock: Clock, whose: Iterable[Whose], days: int, *, soon: bool = False
) -> Usages:
    """Return which servers each used in the last days; `soon`: as of half a minute ago is good enough.

    Raises:
        LedgerUnavailable: the record cannot be read.
    """
    since = clock.now() - timedelta(days=days)

    async def look(one: Whose, patience: float) -> Uses:
        subject, grant = one
        return await activity.used(
            since, subject=subject or None, grant=grant or None, patience=patience, soon=soon
        )

    found = await _together(whose, look)
    return Usages({one: usage_of(uses, since) for one, uses in found.items()})


async def tools_of_late(
    activity: Activity, clock: Clock, servers: Iterable[str], whose: Whose, days: int
) -> Mapping[str, Usage]:
    """Return which tools of some servers were used in the last days, by server.

    Raises:
        LedgerUnavailable: the record cannot be read.
    """
    since = clock.now() - timedelta(days=days)

    async def look(server: str, patience: float) -> Uses:
        subject, grant = whose
        return await activity.used(
            since, server=server, subject=subject or None, grant=grant or None, patience=patience
        )

    found = await _together(servers, look)
    return {server: usage_of(uses, since) for server, uses in found.items()}


async def _together(
    keys: Iterable[_Key], look: Callable[[_Key, float], Awaitable[Uses]]
) -> Mapping[_Key, Uses]:
    """Look at all within one time for all of them: whatever is not at hand then is counted meanwhile."""
    end = asyncio.get_running_loop().time() + PATIENCE
    wanted = list(dict.fromkeys(keys))
    found: dict[_Key, Uses] = {}
    left = iter(wanted)

    async def work() -> None:
        for key in left:
            found[key] = await look(key, max(0.0, end - asyncio.get_running_loop().time()))

    workers = [asyncio.ensure_future(work()) for _ in range(min(MOST_FILLING, len(wanted)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for one in workers:
            one.cancel()
    return {key: found[key] for key in wanted}
