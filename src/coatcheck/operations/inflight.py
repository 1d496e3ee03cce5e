"""Requests under way, by grant, so that ending a grant ends them too."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from coatcheck.operations.leaving import Leaving


class Cut(StrEnum):
    """Why a request under way was cancelled."""

    REVOKED = "the grant was revoked"
    EXPIRED = "the grant has expired"
    ALTERED = "the grant was changed"
    WITHDRAWN = "the server was taken away"
    CANCELLED = "the client cancelled the request"
    DISCONNECTED = "the client went away"
    STOPPING = "the gateway is stopping"


@dataclass(eq=False, slots=True)
class Entry:
    """One request under way. `cut` is set once, by whoever cancels it.

    `lasting`: it ends with its client and not by itself, as an open stream does. `server_id` is the server of
    its route; None on the route of all. `left` is set when a request that was cancelled has ended.
    """

    grant_id: str
    task: asyncio.Task[object]
    lasting: bool = False
    server_id: UUID | None = None
    cut: Cut | None = None
    left: Leaving = field(default_factory=Leaving)

    def cancel(self, cut: Cut) -> None:
        """Cancel the request, unless it was cancelled before."""
        if self.cut is None:
            self.cut = cut
            self.task.cancel()


class Inflight:
    """All requests under way; `count` leaves out those that last."""

    def __init__(self) -> None:
        self._by_grant: defaultdict[str, set[Entry]] = defaultdict(set)
        self._empty = asyncio.Event()
        self._empty.set()
        self.count = 0
        self.lasting = 0

    def enter(
        self,
        grant_id: str,
        task: asyncio.Task[object],
        *,
        lasting: bool = False,
        server_id: UUID | None = None,
    ) -> Entry:
        """Note a request; leave it when it ended."""
        entry = Entry(grant_id, task, lasting, server_id)
        self._by_grant[grant_id].add(entry)
        if lasting:
            self.lasting += 1
        else:
            self.count += 1
        self._empty.clear()
        return entry

    def leave(self, entry: Entry) -> None:
        """Forget a request that ended."""
        entry.left.set()
        entries = self._by_grant[entry.grant_id]
        entries.discard(entry)
        if not entries:
            del self._by_grant[entry.grant_id]
        if entry.lasting:
            self.lasting -= 1
        else:
            self.count -= 1
        if not self.count and not self.lasting:
            self._empty.set()

    def of(self, grant_ids: frozenset[str]) -> tuple[int, int]:
        """Return how many requests of these grants are under way: calls, and those that last."""
        entries = [entry for grant_id in grant_ids for entry in self._by_grant.get(grant_id, ())]
        lasting = sum(entry.lasting for entry in entries)
        return len(entries) - lasting, lasting

    def end(self, grant_ids: frozenset[str], cut: Cut = Cut.REVOKED) -> list[Entry]:
        """Cancel every request of these grants, only those that last if they altered; return them."""
        found = [entry for grant_id in grant_ids for entry in self._by_grant.get(grant_id, ())]
        return _cancel([entry for entry in found if entry.lasting or cut is not Cut.ALTERED], cut)

    def end_routes(self, server_ids: frozenset[UUID]) -> list[Entry]:
        """Cancel every request that lasts on the route of one of these servers, and return them."""
        lasting = [entry for entries in self._by_grant.values() for entry in entries if entry.lasting]
        return _cancel([entry for entry in lasting if entry.server_id in server_ids], Cut.WITHDRAWN)

    async def drain(self, seconds: float) -> int:
        """Wait for all to end; cancel those left after `seconds` and return how many that were.

        Those that last are cancelled at once.
        """
        for entry in [one for entries in self._by_grant.values() for one in entries if one.lasting]:
            entry.cancel(Cut.STOPPING)
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            left = [entry for entries in self._by_grant.values() for entry in entries]
            for entry in left:
                entry.cancel(Cut.STOPPING)
            return len(left)
        return 0


def _cancel(entries: list[Entry], cut: Cut) -> list[Entry]:
    for entry in entries:
        entry.cancel(cut)
    return entries
