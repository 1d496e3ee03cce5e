"""What a caller may see: the lists of one or of all servers, filtered by the same decision as calls."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coatcheck.core import names
from coatcheck.core.decide import may_see
from coatcheck.core.wire import messages
from coatcheck.errors import LedgerUnavailable, UpstreamError
from coatcheck.model.call import Fault, Kind, Reply, Result, Target
from coatcheck.model.catalogue import Catalogue, Entry
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.server import Server
from coatcheck.operations.call import UNSETTLED, our_fault
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.records import Asked, Matter, Records
from coatcheck.operations.servers import Served, Servers

MAX_CACHED: Final = 1_000
_LISTED: Final = "the caller's own view"
_PREFIXED: Final = frozenset({Kind.TOOL, Kind.PROMPT})


@dataclass(frozen=True, slots=True)
class ListKind:
    """One kind of list: its method, the member of the result, and what its entries are to policy."""

    method: str
    member: str
    kind: Kind

    def entries(self, catalogue: Catalogue) -> Mapping[str, Entry]:
        """Return the entries of this kind."""
        found: Mapping[str, Entry] = getattr(catalogue, _ATTRIBUTE[self.method])
        return found


_ATTRIBUTE: Final = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "templates",
}
KINDS: Final = {
    "tools/list": ListKind("tools/list", "tools", Kind.TOOL),
    "prompts/list": ListKind("prompts/list", "prompts", Kind.PROMPT),
    "resources/list": ListKind("resources/list", "resources", Kind.RESOURCE),
    "resources/templates/list": ListKind("resources/templates/list", "resourceTemplates", Kind.RESOURCE),
}


class Lists:
    """Answers list requests. Joins raw entries and keeps the answer per view and catalogue version."""

    def __init__(self, servers: Servers, records: Records, wait: float) -> None:
        self._servers = servers
        self._records = records
        self._wait = wait
        self._cache: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    async def list(self, asked: Asked, snapshot: Snapshot, server: Server | None, wanted: ListKind) -> Reply:
        """Return the list that the caller sees: of one server, or of all that it may reach.

        Raises:
            LedgerUnavailable: the record could not be made durable.
        """
        matter = Matter(wanted.method, server.name if server else "")
        opened = await self._records.open(asked, matter, "(list)", _LISTED)
        try:
            reply, outcome = await self._gather(asked, snapshot, server, wanted)
        except BaseException as end:
            await self._records.abandon(opened, end)
            raise
        try:
            await self._records.settle(opened, outcome)
        except LedgerUnavailable:
            return our_fault(UNSETTLED)
        return reply

    async def refuse_cursor(self, asked: Asked, server: Server | None, wanted: ListKind) -> Fault:
        """Answer a cursor: lists come whole, so there is none that we gave out."""
        matter = Matter(wanted.method, server.name if server else "")
        because = "a cursor that was never given out"
        await self._records.close(asked, matter, Verdict.DENIED, "(cursor)", because, Outcome.DENIED)
        return Fault(messages.INVALID_PARAMS, "Invalid cursor: this list comes in one page.")

    async def _gather(
        self, asked: Asked, snapshot: Snapshot, server: Server | None, wanted: ListKind
    ) -> tuple[Reply, Outcome]:
        if server is not None:
            try:
                await self._servers.of(server).fresh()
            except UpstreamError as error:
                return our_fault(error.message), Outcome.UPSTREAM_ERROR
            return self._render(asked, snapshot, [server], wanted, prefixed=False), Outcome.OK
        reachable = snapshot.reachable(asked.principal)
        failed = await self.bring_up(reachable)
        if reachable and len(failed) == len(reachable):
            return our_fault(f"No server answered: {failed[0]}"), Outcome.UPSTREAM_ERROR
        return self._render(asked, snapshot, reachable, wanted, prefixed=True), Outcome.OK

    async def bring_up(self, servers: Sequence[Server]) -> Sequence[str]:
        """Bring all lists up to date side by side. Returns one sentence for each server with no list at all.

        A server never heard from is waited for a bounded time: one that hangs must not hold up the rest.
        """
        stale = []
        for server in servers:
            served = self._find(server)
            if served is not None and not served.is_fresh():
                stale.append(asyncio.ensure_future(served.fresh()))
        if stale:
            _, pending = await asyncio.wait(stale, timeout=self._wait)
            for waiting in pending:
                waiting.cancel()  # ends the waiting only: the asking goes on for the next list
            await asyncio.gather(*stale, return_exceptions=True)
        return [
            (found.last_error if found else "") or f"{server.name} has not answered yet"
            for server in servers
            if (found := self._find(server)) is None or found.catalogue is None
        ]

    def _find(self, server: Server) -> Served | None:
        try:
            return self._servers.of(server)
        except UpstreamError:
            return None  # an edit took it away meanwhile

    def _render(
        self, asked: Asked, snapshot: Snapshot, servers: Sequence[Server], wanted: ListKind, *, prefixed: bool
    ) -> Result:
        shown = [
            (server, served.catalogue)
            for server in servers
            if (served := self._find(server)) is not None and served.catalogue is not None
        ]
        principal = asked.principal
        key = (
            snapshot.epoch,
            wanted.method,
            prefixed,
            (principal.subject, principal.roles, principal.servers, principal.voucher),
            tuple((server.id, catalogue.version) for server, catalogue in shown),
        )
        raw = self._cache.get(key)
        if raw is None:
            items = [
                entry
                for server, catalogue in shown
                for entry in _visible(asked, snapshot, server, wanted, catalogue, prefixed)
            ]
            raw = b'{"%b":[%b]}' % (wanted.member.encode(), b",".join(items))
            self._cache[key] = raw
            if len(self._cache) > MAX_CACHED:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(key)
        return Result(raw)


def _visible(
    asked: Asked, snapshot: Snapshot, server: Server, wanted: ListKind, catalogue: Catalogue, prefixed: bool
) -> list[bytes]:
    items = []
    for own, entry in wanted.entries(catalogue).items():
        if not may_see(Target(wanted.kind, own), asked.principal, server, snapshot.access):
            continue
        members = entry.members
        if prefixed and wanted.kind in _PREFIXED:
            members = {**members, "name": messages.raw_of(names.exposed(server.name, own))}
        items.append(messages.object_of(members))
    return items
