"""Sessions of legacy clients: opened by `initialize`, bound to a grant and a route, bounded."""

from __future__ import annotations

import base64
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from coatcheck.model.call import Caller
from coatcheck.operations.inflight import Cut, Entry
from coatcheck.ports import Clock, Entropy

_ID_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Sessions per grant, in all, and seconds without a request after which one ends."""

    per_grant: int = 64
    total: int = 10_000
    idle: float = 1800.0


@dataclass(eq=False, slots=True)
class Session:
    """One legacy client's session. `under_way` maps request ids as sent to requests being answered."""

    id: str
    grant_id: str
    route: str
    caller: Caller
    used: float
    under_way: dict[bytes, Entry] = field(default_factory=dict)

    def cancel(self, request_id: bytes) -> None:
        """Cancel a request of this session; one that ended or never was is ignored, as the protocol says."""
        entry = self.under_way.get(request_id)
        if entry is not None:
            entry.cancel(Cut.CANCELLED)


class Sessions:
    """All sessions, least recently used first."""

    def __init__(self, clock: Clock, entropy: Entropy, limits: SessionLimits) -> None:
        self._clock = clock
        self._entropy = entropy
        self._limits = limits
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._per_grant: dict[str, OrderedDict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, grant_id: str, route: str, caller: Caller) -> Session:
        """Open a session. Over a limit, the least recently used one of the grant, or of all, is ended."""
        self._end_idle()
        id = base64.urlsafe_b64encode(self._entropy.token(_ID_BYTES)).decode("ascii")
        session = Session(id, grant_id, route, caller, self._clock.monotonic())
        of_grant = self._per_grant.setdefault(grant_id, OrderedDict())
        if len(of_grant) >= self._limits.per_grant:
            self._end(next(iter(of_grant)))
        elif len(self._sessions) >= self._limits.total:
            self._end(next(iter(self._sessions)))
        self._sessions[id] = session
        self._per_grant.setdefault(grant_id, of_grant)[id] = None
        return session

    def find(self, id: str, grant_id: str, route: str) -> Session | None:
        """Return the session, if it lives and belongs to this grant and route."""
        session = self._sessions.get(id)
        if session is None or session.grant_id != grant_id or session.route != route:
            return None
        now = self._clock.monotonic()
        if now - session.used > self._limits.idle and not session.under_way:
            self._end(id)
            return None
        session.used = now
        self._sessions.move_to_end(id)
        self._per_grant[grant_id].move_to_end(id)
        return session

    def end(self, id: str, grant_id: str, route: str) -> None:
        """End a session of this grant; another's or an unknown one is left alone."""
        if self.find(id, grant_id, route) is not None:
            self._end(id)

    def end_grants(self, grant_ids: frozenset[str]) -> None:
        """End every session of grants that ended."""
        for grant_id in grant_ids:
            for id in list(self._per_grant.get(grant_id, ())):
                self._end(id)

    def _end_idle(self) -> None:
        """End what was idle too long. Those used last stand last, so the search is short."""
        oldest = self._clock.monotonic() - self._limits.idle
        while self._sessions:
            session = next(iter(self._sessions.values()))
            if session.used >= oldest:
                return
            self._end(session.id)

    def _end(self, id: str) -> None:
        session = self._sessions.pop(id)
        of_grant = self._per_grant[session.grant_id]
        del of_grant[id]
        if not of_grant:
            del self._per_grant[session.grant_id]
        for entry in list(session.under_way.values()):
            entry.cancel(Cut.CANCELLED)
