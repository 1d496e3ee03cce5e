"""Ends what is under way of grants and tokens when they expire; new calls are refused by the clock."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from coatcheck.model.grant import IssuedGrant
from coatcheck.operations.cutting import Cutting, Ending, Gone
from coatcheck.operations.directory import Directory, Snapshot
from coatcheck.operations.inflight import Cut
from coatcheck.ports import Clock

LONGEST_SLEEP: Final = 30.0
"""Seconds: the wall clock may be set while we sleep."""
SHORTEST_SLEEP: Final = 0.005


class Expiring:
    """Looks at the end of each grant and, after a rotation, of its former token."""

    def __init__(self, directory: Directory, cutting: Cutting, clock: Clock) -> None:
        self._directory = directory
        self._cutting = cutting
        self._clock = clock
        self._woken = asyncio.Event()
        self._since = clock.now()
        directory.subscribe(self._note)

    def end_due(self) -> Ending | None:
        """Cut off what expired since the last look, and return what that was; None for nothing."""
        now, since = self._clock.now(), self._since
        self._since = now
        over: set[str] = set()
        altered: set[str] = set()
        for grant in self._directory.snapshot.registry.grants.values():
            for moment, ends_all in _ends(grant):
                if since < moment <= now:
                    (over if ends_all else altered).add(grant.id)
        if not over and not altered:
            return None
        snapshot = self._directory.snapshot
        self._directory.apply(snapshot.registry, ())  # so that requests that are being read are judged anew
        return self._cutting.begin(Gone(frozenset(over), frozenset(altered - over)), Cut.EXPIRED)

    def next_in(self) -> float:
        """Return the seconds until the next look is due."""
        now = self._clock.now()
        snapshot = self._directory.snapshot
        left = [
            (moment - now).total_seconds()
            for grant in snapshot.registry.grants.values()
            for moment, _ in _ends(grant)
            if moment > now
        ]
        return max(SHORTEST_SLEEP, min(left, default=LONGEST_SLEEP))

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
