"""The directory: one immutable snapshot of who may call what, published anew with every good edit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Final
from uuid import UUID

from coatcheck.errors import ConfigError, Unavailable
from coatcheck.model.access import Access
from coatcheck.model.declaration import AuditRules, Declaration, IdentityRules, Problem
from coatcheck.model.grant import Grant, Principal
from coatcheck.model.server import Server
from coatcheck.ports import Declarations, Presented, Refused, ServerIds

log = logging.getLogger(__name__)

MAX_ENDED: Final = 10_000
"""How many ended grants are remembered, so that their holders are told so. The oldest are forgotten first."""

Identify = Callable[[Presented], Principal | Refused]
MakeIdentify = Callable[[IdentityRules, Mapping[str, Grant]], Identify]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a call is judged by. A call sees exactly one snapshot; `epoch` grows with each."""

    epoch: int
    servers: Mapping[str, Server]
    by_id: Mapping[UUID, Server]
    identify: Identify
    access: Access
    audit: AuditRules
    live: Mapping[str, Grant]
    ended: Mapping[str, Grant]

    def reachable(self, principal: Principal) -> list[Server]:
        """Return the servers in the principal's scope, in the order of the file."""
        return [server for server in self.servers.values() if principal.may_reach(server.id)]

    def find_server(self, key: str) -> Server | None:
        """Return the server that a route names, by name or by UUID in its canonical spelling."""
        found = self.servers.get(key)
        if found is not None or len(key) != 36:
            return found
        try:
            return self.by_id.get(UUID(key)) if str(UUID(key)) == key else None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Edit:
    """How the last reading of the file went: `error` is empty after a good one."""

    error: str = ""
    problems: tuple[Problem, ...] = ()
    notices: tuple[Problem, ...] = ()


Listener = Callable[[Snapshot, frozenset[str]], None]
"""Told of a new snapshot and of the ids of the grants that ended with it."""


class Directory:
    """Publishes snapshots. Reads the file when it changed, keeps the old snapshot when an edit is bad."""

    def __init__(
        self,
        declarations: Declarations,
        server_ids: ServerIds,
        make_identify: MakeIdentify,
        check: Callable[[Declaration], None],
    ) -> None:
        self._declarations = declarations
        self._server_ids = server_ids
        self._make_identify = make_identify
        self._check = check
        self._listeners: list[Listener] = []
        self._reading = asyncio.Lock()
        self._owed = False
        self._snapshot: Snapshot | None = None
        self._declaration: Declaration | None = None
        self.edit = Edit()

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot in force."""
        assert self._snapshot is not None, "the directory was not opened"  # noqa: S101
        return self._snapshot

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with every later snapshot, before any call is judged by it."""
        self._listeners.append(listener)

    async def open(self) -> None:
        """Publish the first snapshot.

        Raises:
            ConfigError: there is a file and it does not load.
        """
        await self._publish(self._declarations.read())

    def stale(self) -> bool:
        """Tell whether an edit waits to be read, or was read and is not in force yet."""
        return self._owed or self._declarations.changed()

    async def refresh(self) -> None:
        """Read a waiting edit. A good one is in force when this returns; a bad one changes nothing."""
        async with self._reading:
            if not self.stale():
                return  # another caller read it while this one waited
            self._owed = True  # the reading may be broken off, and the file then looks unchanged
            try:
                await self._publish(self._declarations.read())
            except ConfigError as error:
                problems = tuple(getattr(error, "problems", ()))
                self.edit = Edit(error.message, problems, self.edit.notices)
                log.error("the edit of the configuration is not used, the old one stays: %s", error.message)
            except Unavailable as error:
                self.edit = Edit(error.message, (), self.edit.notices)
                log.error("the edit of the configuration is put off to the next call: %s", error.message)
                return
            self._owed = False

    async def reread(self) -> None:
        """Read the file whether it looks changed or not, for those who know better than `stat`."""
        self._owed = True
        await self.refresh()

    async def _publish(self, declaration: Declaration) -> None:
        if declaration == self._declaration:
            self.edit = Edit(notices=declaration.notices)
            return  # saved anew, or a bad edit taken back
        self._check(declaration)
        ids = await self._server_ids.assign([server.name for server in declaration.servers])
        old = self._snapshot
        live = {grant.digest: grant for grant in declaration.identity.grants}
        ended = _ended(old, live)
        servers = {
            declared.name: Server(
                ids[declared.name], declared.name, declared.reach, declared.idle, declared.marks
            )
            for declared in declaration.servers
        }
        self._snapshot = snapshot = Snapshot(
            epoch=old.epoch + 1 if old else 1,
            servers=MappingProxyType(servers),
            by_id=MappingProxyType({server.id: server for server in servers.values()}),
            identify=self._make_identify(declaration.identity, ended),
            access=declaration.access,
            audit=declaration.audit,
            live=MappingProxyType(live),
            ended=ended,
        )
        self._declaration = declaration
        self.edit = Edit(notices=declaration.notices)
        gone = (
            frozenset(old.live[digest].id for digest in old.live.keys() - live.keys()) if old else frozenset()
        )
        for listener in self._listeners:
            listener(snapshot, gone)
        if old:
            log.info("configuration %d in force: %d servers", snapshot.epoch, len(servers))


def _ended(old: Snapshot | None, live: Mapping[str, Grant]) -> Mapping[str, Grant]:
    if old is None:
        return MappingProxyType({})
    ended = {**old.ended, **old.live}
    for digest in live:
        ended.pop(digest, None)
    excess = max(0, len(ended) - MAX_ENDED)
    return MappingProxyType(dict(islice(ended.items(), excess, None)))
