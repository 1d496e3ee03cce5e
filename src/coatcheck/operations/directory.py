"""The directory: one immutable snapshot of who may call what, published anew with every good edit.

It joins two sources: the file that people write, and the registry of what operators made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from types import MappingProxyType
from typing import Final
from uuid import UUID

from coatcheck.core.access.rules import Policies, Rules, policies_of
from coatcheck.core.access.versions import version_of
from coatcheck.core.policy.judging import ReadyPolicy
from coatcheck.errors import ConfigError, Unavailable
from coatcheck.model.access import Access
from coatcheck.model.credential import Credential
from coatcheck.model.declaration import AuditRules, Declaration, Problem
from coatcheck.model.grant import Grant, IssuedGrant, Principal
from coatcheck.model.known import Known
from coatcheck.model.pin import Pin
from coatcheck.model.registry import Object, Registry
from coatcheck.model.server import Server
from coatcheck.operations import merging
from coatcheck.operations.cutting import Gone
from coatcheck.operations.merging import Declared
from coatcheck.ports import Declarations, Presented, Refused, ServerIds

log = logging.getLogger(__name__)

MAX_ENDED: Final = 10_000
"""How many ended grants are remembered, so that their holders are told so. The oldest are forgotten first."""
FORWARDED: Final = "forwarded:"
"""What the grant id of a principal begins with whom a proxy vouches for; the subject follows."""
_BY_CALLER_OR_LIST: Final = frozenset({"grants", "subjects", "operators", "pins"})
_SEEN_BY_ALL: Final = frozenset(one.name for one in fields(Registry)) - _BY_CALLER_OR_LIST
"""Parts of the registry that may change what is visible, beside who is calling and the lists at hand."""
_NO_ISSUED: Final[Mapping[str, IssuedGrant]] = MappingProxyType({})

Identify = Callable[[Presented], Principal | Refused]
MakeIdentify = Callable[[Known], Identify]
Recall = Callable[[Declaration | None, Declared, Registry], Awaitable[Mapping[UUID, Credential]]]
"""Makes it durable that the file says something else than before, before that is in force.

Returns the credentials as they are then, those that the file itself gives among them.
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a call is judged by. A call sees exactly one snapshot; `epoch` grows with each.

    `live` and `ended` are grants of the file by the digest of their token; `issued` are grants that operators
    issued by the public ids of their tokens, those that are over among them. `declared` and `registry` are
    the two sources; `servers` holds of both those that are in use.
    """

    epoch: int
    servers: Mapping[str, Server]
    by_id: Mapping[UUID, Server]
    identify: Identify
    rules: Rules
    audit: AuditRules
    live: Mapping[str, Grant]
    ended: Mapping[str, Grant]
    issued: Mapping[str, IssuedGrant] = field(default_factory=lambda: _NO_ISSUED)
    declared: Declared = field(default_factory=Declared)
    registry: Registry = field(default_factory=Registry)
    policy: str = ""
    """The version of `access`."""
    sight: int = 0
    """The epoch since when everybody may see what they may see now; grants and subjects come and go."""

    @property
    def access(self) -> Access:
        """The access rules of the file."""
        return self.rules.access

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


Listener = Callable[[Snapshot, Gone], None]
"""Told of a new snapshot and of what ended with it, before any call is judged by it."""


class Directory:
    """Publishes snapshots. Reads the file when it changed, keeps the old snapshot when an edit is bad.

    `lock` is held while anything is judged that is then published: by a reading of the file, and by whoever
    edits the registry. `check` refuses what the file may not declare here; `anonymous` says whether callers
    without a token are served where the file names no provider and operators issued no grant.
    """

    def __init__(
        self,
        declarations: Declarations,
        server_ids: ServerIds,
        make_identify: MakeIdentify,
        check: Callable[[Declaration, Registry], None],
        recall: Recall | None = None,
        *,
        anonymous: bool = True,
    ) -> None:
        self._declarations = declarations
        self._server_ids = server_ids
        self._make_identify = make_identify
        self._check = check
        self._recall = recall
        self._anonymous = anonymous
        self._listeners: list[Listener] = []
        self.lock = asyncio.Lock()
        self._owed = False
        self._snapshot: Snapshot | None = None
        self._ready: Mapping[str, ReadyPolicy] = MappingProxyType({})
        self.edit = Edit()

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot in force."""
        assert self._snapshot is not None, "the directory was not opened"  # noqa: S101
        return self._snapshot

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with every later snapshot, before any call is judged by it."""
        self._listeners.append(listener)

    async def open(self, registry: Registry | None = None) -> None:
        """Publish the first snapshot.

        Raises:
            ConfigError: there is a file and it does not load, or it collides with the registry.
            StoreUnavailable: the UUIDs of new servers could not be kept.
        """
        async with self.lock:
            await self._take(self._declarations.read(), registry or Registry())

    # --- the file ----------------------------------------------------------------------------------------

    def stale(self) -> bool:
        """Tell whether an edit waits to be read, or was read and is not in force yet."""
        return self._owed or self._declarations.changed()

    async def refresh(self) -> None:
        """Read a waiting edit. A good one is in force when this returns; a bad one changes nothing."""
        async with self.lock:
            if not self.stale():
                return  # another caller read it while this one waited
            self._owed = True  # the reading may be broken off, and the file then looks unchanged
            try:
                await self._take(self._declarations.read(), self.snapshot.registry)
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

    async def _take(self, declaration: Declaration, registry: Registry) -> None:
        """Take up what the file says. One that says nothing new was saved anew, or a bad edit taken back."""
        old = self._snapshot
        before = old.declared.declaration if old is not None else None
        if declaration != before:
            self._check(declaration, registry)
            merging.check_collisions(declaration, registry)
            if old is not None:
                merging.check_credentials(declaration, registry)
            ids = await self._server_ids.assign([server.name for server in declaration.servers])
            declared = merging.declared_of(declaration, ids)
            if self._recall is not None:
                registry = replace(registry, credentials=await self._recall(before, declared, registry))
            self._publish_file(declared, registry)
        lacking = merging.unknown_credentials(declaration, registry)
        if old is None:
            for problem in lacking:  # the gateway must run, so that they can be added
                log.warning("line %d %s: %s (%s)", problem.line, problem.where, problem.message, problem.fix)
        self.edit = Edit(notices=declaration.notices + lacking)

    def _publish_file(self, declared: Declared, registry: Registry) -> None:
        old = self._snapshot
        declaration = declared.declaration
        live = merging.live_of(declared, registry)
        ended = _ended(old, declared.grants, live)
        servers = merging.servers_of(declared, registry)
        issued = (
            old.issued if old is not None else MappingProxyType(merging.tokens_of(registry.grants.values()))
        )
        gone = (
            frozenset(old.live[digest].id for digest in old.live.keys() - live.keys()) if old else frozenset()
        )
        snapshot = Snapshot(
            epoch=old.epoch + 1 if old else 1,
            servers=servers,
            by_id=MappingProxyType({server.id: server for server in servers.values()}),
            identify=_not_yet,
            rules=Rules(declaration.access),
            policy=version_of(declaration.access),
            audit=declaration.audit,
            live=live,
            ended=ended,
            issued=issued,
            declared=declared,
            registry=registry,
        )
        self._publish(snapshot, Gone(gone))
        if old:
            log.info("configuration %d in force: %d servers", snapshot.epoch, len(servers))

    # --- the registry ------------------------------------------------------------------------------------

    def apply(self, registry: Registry, puts: Sequence[Object]) -> None:
        """Publish the registry as it is after an edit that put these objects.

        To be called under `lock`. What the edit did not touch is taken over from the snapshot before.
        """
        old = self.snapshot
        kinds = merging.touched(puts)
        pins_only = bool(puts) and all(isinstance(put, Pin) for put in puts)
        # The lists at hand say what is held back by pins, and lists have versions of their own.
        snapshot = replace(old, epoch=old.epoch + (not pins_only), registry=registry)
        if kinds.servers:
            servers = merging.servers_of(old.declared, registry)
            by_id = MappingProxyType({server.id: server for server in servers.values()})
            snapshot = replace(snapshot, servers=servers, by_id=by_id)
        if kinds.file_grants:
            live = merging.live_of(old.declared, registry)
            snapshot = replace(snapshot, live=live, ended=_ended(old, old.declared.grants, live))
        if kinds.grants:
            snapshot = replace(snapshot, issued=merging.with_tokens(old.issued, old.registry, kinds.grants))
        if kinds.servers and self.edit.error:
            self._owed = True  # the file may have been waiting for just this
        self._publish(snapshot, _gone(snapshot, merging.ends_with(old.registry, puts)))

    def renew(self, registry: Registry) -> None:
        """Publish the registry as the store was read again, whatever is different; nothing if nothing is.

        To be called under `lock`.
        """
        old = self.snapshot
        if registry == old.registry:
            return
        servers = merging.servers_of(old.declared, registry)
        live = merging.live_of(old.declared, registry)
        snapshot = replace(
            old,
            epoch=old.epoch + 1,
            registry=registry,
            servers=servers,
            by_id=MappingProxyType({server.id: server for server in servers.values()}),
            live=live,
            ended=_ended(old, old.declared.grants, live),
            issued=MappingProxyType(merging.tokens_of(registry.grants.values())),
        )
        self._publish(snapshot, _gone(snapshot, merging.ends_between(old.registry, registry)))

    def _publish(self, snapshot: Snapshot, gone: Gone) -> None:
        known = Known(
            snapshot.declared.declaration.identity,
            snapshot.live,
            snapshot.ended,
            snapshot.issued,
            snapshot.registry.subjects,
            anonymous=self._anonymous and not snapshot.registry.grants,
        )
        rules = Rules(snapshot.rules.access, self._policies_of(snapshot.registry))
        identify, sight = self._make_identify(known), _sight(self._snapshot, snapshot, rules)
        self._snapshot = snapshot = replace(snapshot, identify=identify, rules=rules, sight=sight)
        for listener in self._listeners:
            listener(snapshot, gone)

    def _policies_of(self, registry: Registry) -> Policies:
        """Return the policies in use; the same as before where nothing of them changed."""
        old = self._snapshot
        if (
            old is not None
            and old.registry.policies is registry.policies
            and old.registry.policy_uses is registry.policy_uses
        ):
            return old.rules.policies
        policies, self._ready = policies_of(registry.policies, registry.policy_uses.values(), self._ready)
        return policies


def _sight(old: Snapshot | None, new: Snapshot, rules: Rules) -> int:
    """Return since which epoch the same is visible: grants and subjects count only by who is calling."""
    if old is None:
        return new.epoch
    same = (
        old.servers is new.servers
        and old.rules.access is rules.access
        and old.rules.policies is rules.policies
        and all(getattr(old.registry, part) is getattr(new.registry, part) for part in _SEEN_BY_ALL)
    )
    return old.sight if same else new.epoch


def _gone(snapshot: Snapshot, ends: merging.Ends) -> Gone:
    for subject in ends.subjects:
        ends.grants.update(_grants_of(snapshot, subject))
    for subject in ends.altered_subjects:
        ends.altered.update(_grants_of(snapshot, subject))
    return Gone(frozenset(ends.grants), frozenset(ends.altered - ends.grants), frozenset(ends.servers))


def _grants_of(snapshot: Snapshot, subject: str) -> set[str]:
    """Return the ids of all principals that a subject can be."""
    found = {grant.id for grant in snapshot.declared.grants.values() if grant.subject == subject}
    found.update(grant.id for grant in snapshot.registry.grants.values() if grant.subject == subject)
    return found | {FORWARDED + subject}


def _ended(
    old: Snapshot | None, declared: Mapping[str, Grant], live: Mapping[str, Grant]
) -> Mapping[str, Grant]:
    """Return the grants of the file that were good once: removed from it, or revoked by an operator."""
    before = {**old.ended, **old.live} if old is not None else {}
    ended = {**before, **{digest: grant for digest, grant in declared.items() if digest not in live}}
    for digest in live:
        ended.pop(digest, None)
    excess = max(0, len(ended) - MAX_ENDED)
    return MappingProxyType(dict(islice(ended.items(), excess, None)))


def _not_yet(presented: Presented) -> Principal | Refused:
    """Stand in until the snapshot is published."""
    raise AssertionError(f"nobody is identified by a snapshot that is not in force: {presented.peer}")
