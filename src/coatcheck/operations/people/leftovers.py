"""What does not end by itself when somebody goes: what they know, what they made, and other ways in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.model.credential import Credential, Stage
from coatcheck.model.grant import IssuedGrant
from coatcheck.model.operator import OperatorRole
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.access.judging import is_proxied
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.permissions import Permission, may
from coatcheck.operations.registry.operators import can_come_in


@dataclass(frozen=True, slots=True)
class KnownCredential:
    """A credential that somebody owns, or whose value in use they gave; `servers` are those that use it.

    `made_at` is since when it has the value that it has now; None: it has none.
    """

    name: str
    owns: bool
    gave: bool
    made_at: datetime | None
    servers: Sequence[str]


@dataclass(frozen=True, slots=True)
class IssuedByThem:
    """A live grant of somebody else whose token they may have seen, since they issued it."""

    id: str
    label: str
    subject: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is left of somebody, as far as whoever asks may know of it. Lists are by name.

    `operator` is the role of the operator of the same name who can still sign in, or None; it is None, too,
    for those who may not see operators. `automations` have notes that name them. `proxied`: a proxy vouches
    for people here, whose account there is not ours.
    """

    credentials: Sequence[KnownCredential]
    operator: OperatorRole | None
    issued: Sequence[IssuedByThem]
    servers: Sequence[str]
    policies: Sequence[str]
    automations: Sequence[str]
    proxied: bool

    @property
    def count(self) -> int:
        """How many things there are to see to."""
        lists = (self.credentials, self.issued, self.servers, self.policies, self.automations)
        return sum(map(len, lists)) + (self.operator is not None) + self.proxied


def leftovers_of(snapshot: Snapshot, name: str, now: datetime, reader: OperatorRole) -> Leftovers:
    """Return what is left of somebody, to a reader of this role.

    What operators did is theirs if they have the same name.
    """
    registry = snapshot.registry
    issued = [
        IssuedByThem(one.id, one.label, one.subject, one.issued_at)
        for one in registry.grants.values()
        if _is_theirs(one, name, now)
    ]
    return Leftovers(
        sorted(_credentials(snapshot, name), key=lambda one: one.name),
        _operator(snapshot, name, now) if may(reader, Permission.OPERATORS_READ) else None,
        sorted(issued, key=lambda one: one.label),
        sorted(one.name for one in registry.servers.values() if one.created_by == name and not one.ended_at),
        sorted(one.name for one in registry.policies.values() if one.by == name and not one.ended_at),
        _automations(snapshot, name),
        is_proxied(snapshot),
    )


def _operator(snapshot: Snapshot, name: str, now: datetime) -> OperatorRole | None:
    """Return the role of the operator of a name who can come in, now or by an invitation."""
    found = snapshot.registry.operators.get(name)
    return found.role if found is not None and can_come_in(found, now) else None


def _is_theirs(grant: IssuedGrant, name: str, now: datetime) -> bool:
    return grant.issued_by == name and grant.subject != name and not grant.is_over(now)


def _credentials(snapshot: Snapshot, name: str) -> Iterator[KnownCredential]:
    for one in snapshot.registry.credentials.values():
        if one.ended_at is not None:
            continue
        active = next((version for version in one.versions if version.stage is Stage.ACTIVE), None)
        owns = one.owner == name
        gave = active is not None and active.made_by == name
        if owns or gave:
            made_at = active.made_at if active is not None else None
            yield KnownCredential(one.name, owns, gave, made_at, _users(snapshot, one))


def _users(snapshot: Snapshot, credential: Credential) -> Sequence[str]:
    return sorted(
        server.name
        for server in snapshot.servers.values()
        if any(use.credential == credential.id for use in server.uses)
    )


def _automations(snapshot: Snapshot, name: str) -> Sequence[str]:
    """Return the automations whose notes name somebody, as a word of its own."""
    word = re.compile(rf"(?<![\w.@-]){re.escape(name)}(?![\w@-]|\.\w)", re.IGNORECASE)
    return sorted(
        one.name
        for one in snapshot.registry.subjects.values()
        if one.kind is SubjectKind.AUTOMATION
        and not one.disabled
        and one.name != name
        and word.search(one.note)
    )
