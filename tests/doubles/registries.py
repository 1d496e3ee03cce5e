"""A registry in memory, and the use cases over it as the product wires them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from msgspec.structs import replace

from coatcheck.core.sealing.keys import Keys
from coatcheck.declared.registering import parted_of
from coatcheck.errors import Stale, Taken, Unavailable
from coatcheck.identity.chain import chain_for
from coatcheck.model.change import Change, ChangeEntry, ChangeFilter
from coatcheck.model.declaration import Declaration, DeclaredServer, IdentityRules, Provider
from coatcheck.model.grant import Principal, Seen
from coatcheck.model.known import Known
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.model.registry import Edit, Object, Registry
from coatcheck.model.server import StdioReach
from coatcheck.operations.calling.severing import Severing
from coatcheck.operations.cutting import Cutting, Gone
from coatcheck.operations.directory import Directory, Identify, Snapshot
from coatcheck.operations.inflight import Inflight
from coatcheck.operations.merging import PLACES, with_puts
from coatcheck.operations.reaching.served import ListTimes
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.registry.access import AccessViews
from coatcheck.operations.registry.book import Book
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.expiring import Expiring
from coatcheck.operations.registry.granting.grants import Grants
from coatcheck.operations.registry.granting.seen import SeenBook
from coatcheck.operations.registry.operators import Operators
from coatcheck.operations.registry.recalling import Recalling
from coatcheck.operations.registry.serving.servers import RegisteredServers
from coatcheck.operations.registry.subjects import Subjects
from coatcheck.operations.views import Views
from coatcheck.ports import Upstreams
from doubles.callers import GRANTS, PEPPER, request
from doubles.clock import HandClock
from doubles.declarations import EditedFile, MemoryServerIds
from doubles.entropy import CountingEntropy
from doubles.upstreams import ScriptedUpstreams

ROOT = Actor("root", OperatorRole.ADMIN, "192.0.2.9")
PRINT_KEY = bytes(range(32))
KEEPER = Actor("keeper", OperatorRole.POLICY_MANAGER, "192.0.2.10")


class MemoryRegistryStore:
    """Implements `ports.RegistryStore`.

    Set `failing` to have nothing written, `breaking` to have the next commit happen and the word of it lost,
    `unreadable` to have nothing read.
    """

    def __init__(self) -> None:
        self.registry = Registry()
        self.changes: list[Change] = []
        self.seen: dict[tuple[str, str], Seen] = {}
        self.failing: Unavailable | None = None
        self.breaking: Unavailable | None = None
        self.unreadable: Unavailable | None = None
        self.commits = 0
        self.key_id = "0" * 8

    async def load(self) -> Registry:
        await asyncio.sleep(0)
        if self.unreadable is not None:
            raise self.unreadable
        return self.registry

    async def commit(self, edit: Edit) -> None:
        await asyncio.sleep(0)
        if self.failing is not None:
            raise self.failing
        for put in edit.puts:
            if put.version != self._version_of(put) + 1:
                raise Stale(f"{put} is not the next version")
        after = with_puts(self.registry, edit.puts)
        labels = [grant.label for grant in after.grants.values() if grant.revoked_at is None]
        names = [one.name.casefold() for one in after.servers.values() if one.ended_at is None]
        held = [one.name for one in after.credentials.values() if one.ended_at is None]
        if any(len(set(some)) < len(some) for some in (labels, names, held)):
            raise Taken("a label or name is in use")
        self.registry = after
        self.changes += edit.changes
        self.commits += 1
        if self.breaking is not None:
            broken, self.breaking = self.breaking, None
            raise broken

    async def rekey(self, keys: Keys, change: Change) -> None:
        await asyncio.sleep(0)
        if self.failing is not None:
            raise self.failing
        self.key_id = keys.id
        self.changes.append(change)

    def _version_of(self, put: Object) -> int:
        place, key_of = PLACES[type(put)]
        kept = getattr(self.registry, place).get(key_of(put))
        return kept.version if kept is not None else 0

    async def list_changes(self, wanted: ChangeFilter) -> Sequence[ChangeEntry]:
        found = [ChangeEntry(number, change) for number, change in enumerate(self.changes, 1)]
        return [one for one in reversed(found) if wanted.kind in {None, one.change.kind}][: wanted.limit]

    async def note_seen(self, seen: Sequence[Seen]) -> None:
        if self.failing is not None:
            raise self.failing
        self.seen |= {(one.grant_id, one.client): one for one in seen}

    async def list_seen(self, grant_ids: Sequence[str]) -> Sequence[Seen]:
        return [one for one in self.seen.values() if one.grant_id in grant_ids]

    async def last_uses(self) -> Mapping[str, datetime]:
        newest = sorted(self.seen.values(), key=lambda one: one.at)
        return {one.grant_id: one.at for one in newest}


class NoSessions:
    """Implements `cutting.SessionEnds`; remembers what was to end."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def count_of(self, grant_ids: frozenset[str]) -> int:
        return 0

    def end_grants(self, grant_ids: frozenset[str]) -> list[asyncio.Task[None]]:
        self.ended += sorted(grant_ids)
        return []

    def end_routes(self, server_ids: frozenset[object]) -> list[asyncio.Task[None]]:
        self.ended += sorted(map(str, server_ids))
        return []


def a_file(*names: str, **more: Any) -> Declaration:
    servers = tuple(DeclaredServer(name, StdioReach(name)) for name in names or ("git", "time"))
    fields: dict[str, Any] = {"identity": IdentityRules((Provider.BEARER,), GRANTS), **more}
    return Declaration(servers, **fields)


class Office:
    """The use cases over a file and a registry in memory. Use it inside a running loop, opened."""

    def __init__(
        self,
        declaration: Declaration | None = None,
        store: MemoryRegistryStore | None = None,
        upstreams: Upstreams | None = None,
    ) -> None:
        self.clock, entropy = HandClock(), CountingEntropy()
        self.store = store or MemoryRegistryStore()
        self.file = EditedFile(declaration or a_file())
        self.ids = MemoryServerIds()
        scribe = Scribe(self.clock, entropy)
        self.directory = Directory(
            self.file,
            self.ids,
            self._identify_by,
            lambda *_: None,
            Recalling(self.store, scribe, self.clock, PRINT_KEY),
        )
        self.inflight, self.severing, self.sessions = Inflight(), Severing(), NoSessions()
        self.upstreams = ScriptedUpstreams()
        self.servers = Servers(upstreams or self.upstreams, self.clock, ListTimes(5.0, 5.0, 30.0))
        self.cutting = Cutting(self.inflight, self.severing, self.servers, self.sessions, self.clock)
        self.seen = SeenBook(self.store, self.clock)
        self.book = Book(self.store, self.directory, self.cutting)
        self.desk = desk = Desk(self.book, scribe, self.clock, entropy, PEPPER, self.seen, PRINT_KEY)
        views = Views(self.servers, 1.0)
        self.grants, self.subjects, self.operators = Grants(desk), Subjects(desk), Operators(desk)
        self.registered = RegisteredServers(desk, parted_of, views, allow_commands=True)
        self.access = AccessViews(desk, views)
        self.expiring = Expiring(self.directory, self.cutting, self.clock)
        self.directory.subscribe(self._follow)

    def _identify_by(self, known: Known) -> Identify:
        return chain_for(known, PEPPER, self.clock).identify

    def _follow(self, snapshot: Snapshot, gone: Gone) -> None:
        self.servers.apply(snapshot.servers)
        self.cutting.begin(gone)

    async def open(self) -> Self:
        await self.directory.open(await self.store.load())
        self.servers.apply(self.directory.snapshot.servers)
        return self

    async def edit(self, declaration: Declaration) -> None:
        self.file.edit(declaration)
        await self.directory.refresh()

    def who(self, token: str) -> str:
        found = self.directory.snapshot.identify(request(f"Bearer {token}"))
        return found.subject if isinstance(found, Principal) else f"<{found.reason}>"

    def principal(self, token: str) -> Principal:
        found = self.directory.snapshot.identify(request(f"Bearer {token}"))
        assert isinstance(found, Principal), found
        return replace(found)
