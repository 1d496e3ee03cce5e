"""All rules in force: those of the file, and the policies that operators made, ready to judge by.

Made once for each publication; a policy that did not change stays as ready as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import msgspec

from coatcheck.core.policy.builtin import BUILT_IN
from coatcheck.core.policy.defaults import default_of, ready_default
from coatcheck.core.policy.judging import NO_POLICY, ReadyPolicy, Standing
from coatcheck.model.access import OPEN, Access, Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.decision import Basis
from coatcheck.model.grant import Principal
from coatcheck.model.policy import Default, Policy, Section
from coatcheck.model.server import Server
from coatcheck.model.stored_policy import PolicyUse, StoredPolicy, UseKind
from coatcheck.model.verdict import Judgement

BUILT_IN_VERSION: Final = "built-in"
_REMEMBERED: Final = 4_096
_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})
_NOTHING_ALLOWED: Final = BUILT_IN[Default.DENY_ALL.value]


class Applied(msgspec.Struct, frozen=True):
    """The policies on what one caller does at one server; the last says what is allowed.

    `asks_nature` tells that one of them looks at what a tool does.
    """

    policies: tuple[ReadyPolicy, ...] = ()
    asks_nature: bool = False


NONE_APPLIED: Final = Applied()
ALLOWED: Final = Standing(Judgement.ALLOWED, NO_POLICY.rule, NO_POLICY.because)
"""What holds of everything where no policy applies."""
_Key = tuple[str, frozenset[str], UUID, Default, tuple[str, ...] | None]


class Policies:
    """The policies in use, by what they are used on.

    `everything` and `roles` only take away. `grants` are by the id of the grant, and by the server or
    None for all servers; `servers` are the defaults. `versions` are those of the stored policies, by name.
    """

    __slots__ = ("_applied", "_everything", "_grants", "_is_bare", "_roles", "_servers", "_versions")

    def __init__(
        self,
        everything: tuple[ReadyPolicy, ...] = (),
        roles: Mapping[str, tuple[ReadyPolicy, ...]] = _NOTHING,
        grants: Mapping[tuple[str, UUID | None], ReadyPolicy] = _NOTHING,
        servers: Mapping[UUID, ReadyPolicy] = _NOTHING,
        versions: Mapping[str, int] = _NOTHING,
    ) -> None:
        self._everything = everything
        self._roles = roles
        self._grants = grants
        self._servers = servers
        self._versions = versions
        self._is_bare = not (everything or roles or grants or servers)
        self._applied: dict[_Key, Applied] = {}

    @property
    def by_grant(self) -> bool:
        """Whether what is listed can differ by grant."""
        return bool(self._grants)

    def on(self, principal: Principal, server: Server) -> Applied:
        """Return what applies to a caller at a server."""
        if self._is_bare and server.default is Default.ALLOW_ALL and server.approved is None:
            return NONE_APPLIED
        key = (principal.grant_id, principal.roles, server.id, server.default, server.approved)
        found = self._applied.get(key)
        if found is None:
            found = self._find(principal, server)
            if len(self._applied) >= _REMEMBERED:
                self._applied.clear()
            self._applied[key] = found
        return found

    def basis(self, rule: str) -> Basis:
        """Return name and version of the policy that a pointer is of."""
        name = rule.partition(":")[0]
        version = self._versions.get(name)
        return Basis(name, BUILT_IN_VERSION if version is None else str(version))

    def _find(self, principal: Principal, server: Server) -> Applied:
        found = list(self._everything)
        for role in sorted(principal.roles & self._roles.keys()):
            found += self._roles[role]
        allowing = (
            self._grants.get((principal.grant_id, server.id))
            or self._grants.get((principal.grant_id, None))
            or self.default_of(server)
        )
        if allowing is not None:
            found.append(allowing)
        return Applied(tuple(found), any(_asks_nature(one.policy) for one in found))

    def default_of(self, server: Server) -> ReadyPolicy | None:
        """Return the policy used on the server, or else its own default; None if neither restricts."""
        return self._servers.get(server.id) or default_of(server.default, server.approved)

    def by_default(self, server: Server, tool: str, nature: Nature) -> Standing:
        """Say what holds of a tool for a grant that has no policy of its own, wherever else it is denied."""
        allowing = self.default_of(server)
        return ALLOWED if allowing is None else allowing.standing(Target(Kind.TOOL, tool), nature)


NO_POLICIES: Final = Policies()


class Rules(msgspec.Struct, frozen=True):
    """What calls and lists are judged by: the access rules of the file, and the policies."""

    access: Access = OPEN
    policies: Policies = NO_POLICIES


def policies_of(
    stored: Mapping[str, StoredPolicy], uses: Iterable[PolicyUse], before: Mapping[str, ReadyPolicy]
) -> tuple[Policies, Mapping[str, ReadyPolicy]]:
    """Return the policies in use, and each ready one by name; `before` are those that were ready already.

    A use holds for as long as it has not ended, whatever became of the policy: of one that is not there, or
    cannot be read, nothing is known but that it restricts, so nothing is allowed.
    """
    ready: dict[str, ReadyPolicy] = {}
    found: dict[UseKind, dict[Any, list[ReadyPolicy]]] = {kind: {} for kind in UseKind}
    for use in sorted(uses, key=lambda use: use.policy):
        if use.ended_at is not None:
            continue
        policy = ready.get(use.policy) or _ready(use.policy, stored.get(use.policy), before)
        ready[use.policy] = policy
        found[use.kind].setdefault((use.of, use.server), []).append(policy)
    everything = tuple(one for these in found[UseKind.EVERYTHING].values() for one in these)
    policies = Policies(
        everything,
        {of: tuple(these) for (of, _), these in found[UseKind.ROLE].items()},
        {key: these[-1] for key, these in found[UseKind.GRANT].items()},
        {UUID(of): these[-1] for (of, _), these in found[UseKind.SERVER].items()},
        {name: one.version for name, one in stored.items()},
    )
    return policies, ready


def _ready(name: str, stored: StoredPolicy | None, before: Mapping[str, ReadyPolicy]) -> ReadyPolicy:
    built_in = ready_default(name)
    if built_in is not None:
        return built_in
    policy = replace(_NOTHING_ALLOWED, name=name) if stored is None else stored.policy
    old = before.get(name)
    return old if old is not None and old.policy == policy else ReadyPolicy(policy)


def _asks_nature(policy: Policy) -> bool:
    by_access = any(entry.section is Section.ACCESS for entry in policy.entries)
    return by_access or policy.default is Default.READ_ONLY
