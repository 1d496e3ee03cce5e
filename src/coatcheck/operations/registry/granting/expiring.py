"""Ends what is under way of grants and tokens when they expire; new calls are refused by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from heapq import heappop, heappush
from types import MappingProxyType
from typing import Final

from coatcheck.model.grant import IssuedGrant
from coatcheck.operations.cutting import Cutting, Ending, Gone
from coatcheck.operations.directory import Directory, Snapshot
from coatcheck.operations.inflight import Cut
from coatcheck.ports import Clock

LONGEST_SLEEP: Final = 30.0
"""Seconds: the wall clock may be set while we sleep."""
SHORTEST_SLEEP: Final = 0.005
_SPARE: Final = 1_000
"""Ends of former versions of grants that may be kept beside those that hold."""
_NO_GRANTS: Final[Mapping[str, IssuedGrant]] = MappingProxyType({})


class Expiring:
    """Knows the end of each grant and, after a rotation, of its former token, the next one first.

    With many grants an edit must not read each of them: those that are what they were are passed over.
    """

    def __init__(self, directory: Directory, cutting: Cutting, clock: Clock) -> None:
        self._directory = directory
        self._cutting = cutting
        self._clock = clock
        self._woken = asyncio.Event()
        self._since = clock.now()
        self._grants = _NO_GRANTS
        self._ends: list[tuple[datetime, str, bool]] = []
        """A heap of moment, grant id and whether all of the grant ends; some may hold no more."""
        directory.subscribe(self._note)

    def end_due(self) -> Ending | None:
        """Cut off what expired since the last look, and return what that was; None for nothing."""
        now = self._clock.now()
        self._follow(now)
        self._since = now
        over: set[str] = set()
        altered: set[str] = set()
        while self._ends and self._ends[0][0] <= now:
            end = heappop(self._ends)
            if self._holds(end):
                (over if end[2] else altered).add(end[1])
        if not over and not altered:
            return None
        snapshot = self._directory.snapshot
        self._directory.apply(snapshot.registry, ())  # so that requests that are being read are judged anew
        return self._cutting.begin(Gone(frozenset(over), frozenset(altered - over)), Cut.EXPIRED)

    def next_in(self) -> float:
        """Return the seconds until the next look is due."""
        now = self._clock.now()
        self._follow(now)
        while self._ends and not self._holds(self._ends[0]):
            heappop(self._ends)
        if not self._ends:
            return LONGEST_SLEEP
        return max(SHORTEST_SLEEP, (self._ends[0][0] - now).total_seconds())

    async def run(self) -> None:
        """Look whenever something is due, until cancelled."""
        while True:
            self._woken.clear()
            self.end_due()
            try:
                async with asyncio.timeout(min(self.next_in(), LONGEST_SLEEP)):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def _follow(self, now: datetime) -> None:
        """Take up the ends, after the last look, of grants that were put since."""
        grants = self._directory.snapshot.registry.grants
        if now < self._since or len(self._ends) > 2 * len(grants) + _SPARE:
            self._since = min(now, self._since)  # a clock that was set back comes by the same ends again
            self._grants, self._ends = _NO_GRANTS, []
        if grants is self._grants:
            return
        before, self._grants = self._grants, grants
        for grant in grants.values():
            if before.get(grant.id) is not grant:
                for moment, ends_all in _ends(grant):
                    if moment > self._since:
                        heappush(self._ends, (moment, grant.id, ends_all))

    def _holds(self, end: tuple[datetime, str, bool]) -> bool:
        """Tell whether an end is still one of its grant."""
        moment, id, ends_all = end
        grant = self._grants.get(id)
        return grant is not None and (moment, ends_all) in _ends(grant)

    def _note(self, snapshot: Snapshot, gone: Gone) -> None:  # noqa: ARG002 - a listener
        """Look anew: an edit may have brought an end forward."""
        self._woken.set()


def _ends(grant: IssuedGrant) -> list[tuple[datetime, bool]]:
    """Return the moments at which a grant, or only a token of it, is over. None for one that was revoked."""
    if grant.revoked_at is not None:
        return []
    ends = [(proof.until, False) for proof in grant.proofs if proof.until is not None]
    if grant.expires_at is not None:
        ends.append((grant.expires_at, True))
    return ends
