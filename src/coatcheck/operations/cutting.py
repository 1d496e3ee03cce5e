"""Ending all that is under way of grants and servers that ended, and knowing when it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from uuid import UUID

from coatcheck.operations.calling.severing import Severing, Strand
from coatcheck.operations.inflight import Cut, Entry, Inflight
from coatcheck.operations.reaching.servers import Servers
from coatcheck.ports import Clock

WAIT_SECONDS: Final = 5.0
"""How long an ending is waited for. All is cut off by then, whether it has said so or not."""
_NO_GRANTS: Final[frozenset[str]] = frozenset()
_NO_SERVERS: Final[frozenset[UUID]] = frozenset()


@dataclass(frozen=True, slots=True)
class Gone:
    """What ended with a publication: grants, by the ids that principals have, and servers.

    `altered` are grants that live on with another scope or token: their streams and sessions end, so that
    clients begin anew.
    """

    grants: frozenset[str] = _NO_GRANTS
    altered: frozenset[str] = _NO_GRANTS
    servers: frozenset[UUID] = _NO_SERVERS


@dataclass(frozen=True, slots=True)
class Open:
    """What is under way of grants: calls, streams, and sessions of clients."""

    calls: int
    streams: int
    sessions: int


class SessionEnds(Protocol):
    """Ends sessions of clients, at once; what is returned ends when each has let go of its servers."""

    def count_of(self, grant_ids: frozenset[str]) -> int:
        """Return how many sessions grants have."""
        ...

    def end_grants(self, grant_ids: frozenset[str]) -> Sequence[asyncio.Task[None]]:
        """End those of grants."""
        ...

    def end_routes(self, server_ids: frozenset[UUID]) -> Sequence[asyncio.Task[None]]:
        """End those with one server alone."""
        ...


@dataclass(slots=True)
class Ending:
    """What was cut off, and may not have said yet that it ended. Times are seconds."""

    entries: list[Entry] = field(default_factory=list)
    strands: list[Strand] = field(default_factory=list)
    sessions: list[asyncio.Task[None]] = field(default_factory=list)
    upstreams: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """How many calls were cancelled."""
        return sum(not entry.lasting for entry in self.entries) + len(self.strands)

    @property
    def streams(self) -> int:
        """How many streams were closed."""
        return sum(entry.lasting for entry in self.entries)

    async def wait(self, seconds: float = WAIT_SECONDS) -> int:
        """Wait until all has ended, for a bounded time, and return how much has not said so."""
        leaving = [one.left for one in self.entries] + [one.left for one in self.strands]
        own = [asyncio.ensure_future(left.wait()) for left in leaving]
        waiting: list[asyncio.Future[Any]] = [*self.sessions, *self.upstreams, *own]
        if not waiting:
            return 0
        try:
            _, pending = await asyncio.wait(waiting, timeout=seconds)
        finally:
            for one in own:
                one.cancel()
        return len(pending)


class Cutting:
    """Cuts off what ended. `last` is what was cut off last, so that whoever published it can wait for it."""

    def __init__(
        self, inflight: Inflight, severing: Severing, servers: Servers, sessions: SessionEnds, clock: Clock
    ) -> None:
        self.clock = clock
        self.last = Ending()
        self._inflight = inflight
        self._severing = severing
        self._servers = servers
        self._sessions = sessions

    def open_of(self, grant_ids: frozenset[str]) -> Open:
        """Return what is under way of these grants."""
        return Open(*self._inflight.of(grant_ids), self._sessions.count_of(grant_ids))

    def begin(self, gone: Gone, cut: Cut = Cut.REVOKED) -> Ending:
        """Cut off at once all that is under way of these grants and servers, and return what that was.

        To be called when the snapshot without them is in force and the upstreams follow it.
        """
        ending = self.last = Ending()
        ending.entries += self._inflight.end(gone.grants, cut)
        ending.entries += self._inflight.end(gone.altered, Cut.ALTERED)
        ending.sessions += self._sessions.end_grants(gone.grants | gone.altered)
        if gone.servers:
            ending.strands += self._severing.sever(gone.servers)
            ending.entries += self._inflight.end_routes(gone.servers)
            ending.sessions += self._sessions.end_routes(gone.servers)
            ending.upstreams += self._servers.withdrawn(gone.servers)
        return ending
