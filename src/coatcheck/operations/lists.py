"""What a caller may see: the lists of one or of all servers, filtered by the same decision as calls."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coatcheck.core import names
from coatcheck.core.access.decide import may_see
from coatcheck.core.wire import messages
from coatcheck.errors import Busy, LedgerUnavailable, UpstreamError
from coatcheck.model.call import Fault, Kind, Reply, Result, Target
from coatcheck.model.catalogue import Catalogue, Entry
from coatcheck.model.grant import Principal
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.server import Server
from coatcheck.operations.calling.call import UNSETTLED, our_fault
from coatcheck.operations.calling.natures import nature_of
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.reaching.conversation import Conversation
from coatcheck.operations.reaching.served import Served
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.records import Asked, Matter, Records

MAX_CACHED: Final = 1_000
MAX_CACHED_BYTES: Final = 32 * 1024 * 1024
"""Most that joined lists may take: a server may give another list each time it is asked."""
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


@dataclass(frozen=True, slots=True)
class View:
    """Where a caller looks from: the snapshot, one server or all (None), its conversation if it has one."""

    snapshot: Snapshot
    server: Server | None
    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A list as one caller is shown it: the raw result, and what tells it from every other."""

    raw: bytes
    digest: bytes


class Lists:
    """Answers list requests. Joins raw entries and keeps the answer per view and catalogue version."""

    def __init__(self, servers: Servers, records: Records, wait: float) -> None:
        self._servers = servers
        self._records = records
        self._wait = wait
        self._cache: OrderedDict[tuple[object, ...], Shown] = OrderedDict()
        self._cached_bytes = 0
        self.joined = 0
        """How many lists were joined since the start, and not found ready."""

    async def list(
        self,
        asked: Asked,
        snapshot: Snapshot,
        server: Server | None,
        wanted: ListKind,
        conversation: Conversation | None = None,
    ) -> Reply:
        """Return the list that the caller sees: of one server, or of all that it may reach.

        Raises:
            LedgerUnavailable: the record could not be made durable.
        """
        matter, view = (
            Matter(wanted.method, server.name if server else ""),
            View(snapshot, server, conversation),
        )
        opened = await self._records.open(asked, matter, "(list)", _LISTED)
        try:
            found, outcome = await self._gather(asked.principal, view, wanted)
        except BaseException as end:
            await self._records.abandon(opened, end)
            raise
        if conversation is not None:
            shown = found if isinstance(found, Shown) else self.shown(asked.principal, view, wanted)
            conversation.seen[wanted.method] = shown.digest
        reply = Result(found.raw) if isinstance(found, Shown) else found
        try:
            await self._records.settle(opened, outcome)
        except LedgerUnavailable:
            return our_fault(UNSETTLED)
        return reply

    async def refuse_cursor(self, asked: Asked, server: Server | None, wanted: ListKind) -> Fault:
        """Answer a cursor: lists come whole, so there is none that we gave out."""
        matter = Matter(wanted.method, server.name if server else "")
        because = "a cursor that was never given out"
        told = "Invalid cursor: this list comes in one page."
        await self._records.close(
            asked, matter, Verdict.DENIED, "(cursor)", because, Outcome.DENIED, told=told
        )
        return Fault(messages.INVALID_PARAMS, told)

    async def _gather(
        self, principal: Principal, view: View, wanted: ListKind
    ) -> tuple[Shown | Fault, Outcome]:
        if view.server is not None:
            try:
                await self._of(view.server, view.conversation).fresh()
            except UpstreamError as error:
                return our_fault(error.message), Outcome.UPSTREAM_ERROR
            except Busy as busy:
                return our_fault(f"{busy.message} {busy.fix}."), Outcome.DENIED
            return self.shown(principal, view, wanted), Outcome.OK
        reachable = view.snapshot.reachable(principal)
        failed = await self.bring_up(reachable, view.conversation)
        if reachable and len(failed) == len(reachable):
            return our_fault(f"No server answered: {failed[0]}"), Outcome.UPSTREAM_ERROR
        return self.shown(principal, view, wanted), Outcome.OK

    async def bring_up(
        self, servers: Sequence[Server], conversation: Conversation | None = None
    ) -> Sequence[str]:
        """Bring all lists up to date side by side. Returns one sentence for each server with no list at all.

        A server never heard from is waited for a bounded time: one that hangs must not hold up the rest.
        """
        stale = []
        for server in servers:
            served = self.find(server, conversation)
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
            if (found := self.find(server, conversation)) is None or found.catalogue is None
        ]

    def _of(self, server: Server, conversation: Conversation | None) -> Served:
        return conversation.listed(server) if conversation else self._servers.of(server)

    def find(self, server: Server, conversation: Conversation | None) -> Served | None:
        """Return the server as a client is shown it; None where it went away, or no child of its own fits."""
        try:
            return self._of(server, conversation)
        except (UpstreamError, Busy):
            return None  # an edit took it away meanwhile, or there is no place for a child of its own

    def served(self, principal: Principal, view: View) -> Sequence[Served]:
        """Return the servers that a view shows, as they are in use for it."""
        servers = view.snapshot.reachable(principal) if view.server is None else [view.server]
        return [found for one in servers if (found := self.find(one, view.conversation)) is not None]

    def shown(self, principal: Principal, view: View, wanted: ListKind) -> Shown:
        """Return the result of a list request by what is known now, without asking any server."""
        snapshot, prefixed = view.snapshot, view.server is None
        known = [
            (served, catalogue)
            for served in self.served(principal, view)
            if (catalogue := served.catalogue) is not None
        ]
        key = (
            snapshot.sight,
            wanted.method,
            prefixed,
            (principal.subject, principal.roles, principal.servers, principal.tools, principal.voucher),
            principal.grant_id if snapshot.rules.policies.by_grant else "",
            tuple((served.serial, catalogue.version) for served, catalogue in known),
        )
        found = self._cache.get(key)
        if found is None:
            items = [
                entry
                for served, catalogue in known
                for entry in _visible(principal, snapshot, served.server, wanted, catalogue, prefixed)
            ]
            raw = b'{"%b":[%b]}' % (wanted.member.encode(), b",".join(items))
            found = Shown(raw, hashlib.blake2b(raw, digest_size=16).digest())
            self._keep(key, found)
        else:
            self._cache.move_to_end(key)
        return found

    def _keep(self, key: tuple[object, ...], shown: Shown) -> None:
        self.joined += 1
        self._cache[key] = shown
        self._cached_bytes += len(shown.raw)
        while len(self._cache) > MAX_CACHED or self._cached_bytes > MAX_CACHED_BYTES:
            self._cached_bytes -= len(self._cache.popitem(last=False)[1].raw)


def _visible(
    principal: Principal,
    snapshot: Snapshot,
    server: Server,
    wanted: ListKind,
    catalogue: Catalogue,
    prefixed: bool,
) -> list[bytes]:
    items = []
    server = snapshot.by_id.get(server.id, server)  # of a client's own it is as it was when that was opened
    for own, entry in wanted.entries(catalogue).items():
        target = Target(wanted.kind, own)
        nature = nature_of(target, server, catalogue)
        if not may_see(target, principal, server, snapshot.rules, nature):
            continue
        members = entry.members
        if prefixed and wanted.kind in _PREFIXED:
            members = {**members, "name": messages.raw_of(names.exposed(server.name, own))}
        items.append(messages.object_of(members))
    return items
