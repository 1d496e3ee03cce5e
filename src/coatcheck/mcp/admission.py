"""Letting a request in: who is calling, and which server the path means. What is turned away is recorded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from coatcheck.core.access.decide import SCOPE_RULE
from coatcheck.core.wire import eras, ladder, messages
from coatcheck.core.wire.framing import Arrival, Headers
from coatcheck.errors import LedgerUnavailable
from coatcheck.mcp import refusing
from coatcheck.mcp.refusing import Reject
from coatcheck.mcp.routes import Route, find_route
from coatcheck.model.call import Call, Caller, Fault
from coatcheck.model.era import Era
from coatcheck.model.grant import Principal
from coatcheck.model.record import Verdict
from coatcheck.model.server import Server
from coatcheck.operations.directory import Directory, Snapshot
from coatcheck.operations.records import Asked, Matter, Slip
from coatcheck.operations.refusals import Refusals
from coatcheck.operations.tally import Tally
from coatcheck.ports import Presented, Refused

REQUEST_RULE: Final = "(request)"
"""The rule on records of requests that are none: unreadable, of no known method, of no session."""


UNCERTAIN: Final = Refused(
    "uncertain", "This gateway cannot tell which grants were revoked. Tell whoever runs it."
)
"""What everyone is told while rows that restrict somebody are missing from the registry."""


_THROTTLED: Final = Refused("throttled", "")


class Visit(msgspec.Struct, frozen=True):
    """A request whose caller is known. `server` None: the aggregated route, or nothing in reach (`lost`)."""

    arrival: Arrival
    route: Route
    principal: Principal
    snapshot: Snapshot
    server: Server | None
    record_route: str

    def asked(self, caller: Caller, call: Call | None, headers: Headers | None = None) -> Asked:
        """Return who asks; `call` is the request, where it could be read."""
        return Asked(
            self.principal,
            caller,
            self.record_route,
            self.arrival.address,
            headers,
            call.id if call is not None else b"",
            self.snapshot.policy,
            Slip(),
        )

    @property
    def lost(self) -> bool:
        """Whether the route names a server that the caller does not reach, existing or not."""
        return self.server is None and self.route.server is not None


class Admission:
    """Admits callers, and records those that are not admitted or then ask for nothing that can be judged."""

    def __init__(
        self,
        directory: Directory,
        refusals: Refusals,
        tally: Tally,
        spend_guess: Callable[[str], bool],
    ) -> None:
        self._directory = directory
        self._refusals = refusals
        self._tally = tally
        self._spend_guess = spend_guess

    async def identify(self, presented: Presented) -> tuple[Snapshot, Principal | Refused]:
        """Return the snapshot in force, any edit of the file taken up, and who is calling by it."""
        if self._directory.stale():
            await self._directory.refresh()
        snapshot = self._directory.snapshot
        if snapshot.registry.uncertain:
            return snapshot, UNCERTAIN
        return snapshot, snapshot.identify(presented)

    async def admit(self, arrival: Arrival) -> Visit:
        """Return who is calling and where to.

        Raises:
            Reject: 404 for a path that is no route, 401 or 429 for a caller that nobody vouches for.
        """
        route = find_route(arrival.path)
        if route is None:
            raise refusing.nothing_here()
        snapshot, who = await self.identify(Presented(arrival.headers, arrival.peer, arrival.address))
        if who is UNCERTAIN:
            self._tally.refused(UNCERTAIN.reason)
            raise refusing.uncertain(UNCERTAIN)
        if isinstance(who, Refused):
            raise await self._refuse(who, route, arrival.address)
        server = snapshot.find_server(route.server) if route.server is not None else None
        if server is not None and not who.may_reach(server.id):
            server = None
        shown = f"/mcp/{server.name}" if server else route.path
        return Visit(arrival, route, who, snapshot, server, shown)

    async def again(self, visit: Visit) -> Visit:
        """Return the visit as it is by now: a grant may have ended while the body was read.

        Raises:
            Reject: as `admit`.
        """
        return visit if visit.snapshot is self._directory.snapshot else await self.admit(visit.arrival)

    async def _refuse(self, refused: Refused, route: Route, address: str) -> Reject:
        if refused.guess and not self._spend_guess(address):
            await self.note_refused(_THROTTLED, route.path, address)
            return refusing.too_many_guesses()
        await self.note_refused(refused, route.path, address)
        return refusing.unauthorized(refused)

    async def note_refused(self, refused: Refused, route: str, address: str) -> None:
        """Put on record that a caller was not let in."""
        with suppress(LedgerUnavailable):  # refused all the same, and readiness tells of the ledger
            await self._refusals.note(refused, route, address)

    async def note_at_door(self, reason: str, path: str, address: str) -> None:
        """Put on record that a request came to a Host, or from an Origin, that is not ours."""
        route = find_route(path)
        with suppress(LedgerUnavailable):  # as above
            await self._refusals.note_at_door(reason, route.path if route is not None else "", address)

    async def note(self, visit: Visit, reject: Reject) -> None:
        """Put on record that a known caller sent something that is refused before any policy sees it."""
        if not reject.recorded:
            return
        asked = visit.asked(caller_of(reject.call), reject.call)
        server = visit.server.name if visit.server else ""
        verdict, rule = (Verdict.HIDDEN, SCOPE_RULE) if visit.lost else (Verdict.DENIED, REQUEST_RULE)
        await self._note(asked, matter_of(reject.call, server), verdict, rule, reject.sentence)

    async def note_fault(self, asked: Asked, call: Call | None, fault: Fault) -> None:
        """Put the same on record where there is no HTTP."""
        sentence = f"{fault.code}: {fault.message}"
        await self._note(asked, matter_of(call, ""), Verdict.DENIED, REQUEST_RULE, sentence)

    async def _note(self, asked: Asked, matter: Matter, verdict: Verdict, rule: str, because: str) -> None:
        with suppress(LedgerUnavailable):  # as above
            await self._refusals.note_asked(asked, matter, verdict, rule, because)


def matter_of(call: Call | None, server: str) -> Matter:
    """Return what a refused request was about, as far as it could be read."""
    if call is None:
        return Matter("", server)
    return Matter(call.method, server, messages.text_of(call.params.get("name")) or "")


def caller_of(call: Call | None) -> Caller:
    """Return what a modern request says of its client, as far as it could be read."""
    return ladder.caller_of(Era.MODERN, "", call.meta.get(eras.META_CLIENT_INFO) if call else None)
