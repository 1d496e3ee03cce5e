"""What the store holds of policies: each as it is, every version that it had, and where it is used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from coatcheck.model.policy import Policy


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy as it is now. Its `name`, which is also that of the document, never changes.

    `at`, `by` and `because` tell of the last change. One that has ended keeps its name, its versions and its
    history, and can be put again.
    """

    name: str
    policy: Policy
    at: datetime
    by: str
    because: str = ""
    ended_at: datetime | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """The document that a policy had from one of its versions on. It never changes: its `version` is 1."""

    name: str
    number: int
    """The version of the policy that it came with."""
    policy: Policy
    at: datetime
    by: str
    because: str = ""
    version: int = 1


class UseKind(StrEnum):
    """What a policy is used on. `everything` and `role` only take away; a grant or a server has one."""

    EVERYTHING = "everything"
    ROLE = "role"
    GRANT = "grant"
    SERVER = "server"


UseKey = tuple[UseKind, str, UUID | None, str]
"""What a use is known by: kind, of what, on which server, and the name of the policy."""


@dataclass(frozen=True, slots=True)
class PolicyUse:
    """That a policy is used on something; it stays when that has ended, so that it can be told.

    `of` is the name of a role, the id of a grant or the UUID of a server; empty for everything. `server`
    narrows the use on a grant to one server: the grant's policy there, before that for all of its servers.
    `policy` names a stored policy, or one of `core.policy.builtin`.
    """

    policy: str
    kind: UseKind
    of: str
    at: datetime
    by: str
    server: UUID | None = None
    because: str = ""
    ended_at: datetime | None = None
    version: int = 1

    @property
    def key(self) -> UseKey:
        """What it is known by."""
        return (self.kind, self.of, self.server, self.policy)
