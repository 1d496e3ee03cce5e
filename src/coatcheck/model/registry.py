"""What the store holds of what operators made, and one edit of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.credential import Credential
from coatcheck.model.grant import IssuedGrant
from coatcheck.model.operator import Operator
from coatcheck.model.pin import Pin
from coatcheck.model.server import StoredServer
from coatcheck.model.stored_policy import PolicyUse, PolicyVersion, StoredPolicy, UseKey
from coatcheck.model.subject import Subject

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class Verdict(StrEnum):
    """What an operator said of an object that the file declares."""

    DISABLED = "disabled"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Override:
    """An operator's word on an object of the file; it outlives every edit until it is lifted.

    `id` is the grant's id, the server's UUID or the subject's name.
    """

    kind: ObjectKind
    id: str
    verdict: Verdict
    because: str
    at: datetime
    by: str
    version: int = 0
    lifted: bool = False


Object = (
    IssuedGrant
    | Subject
    | StoredServer
    | Operator
    | Override
    | Credential
    | StoredPolicy
    | PolicyUse
    | PolicyVersion
    | Pin
)
"""What the registry keeps. Each has a `version`, which grows by one with each change of it."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything that operators made, as of one moment. Ended objects stay, so that they can be told apart.

    `damaged` names the rows whose MAC does not fit, such as `grant alice-laptop`; nothing of them is used.
    `uncertain`: what is missing may be a revocation, or a subject's being disabled, so nobody can be let in.
    """

    grants: Mapping[str, IssuedGrant] = field(default_factory=lambda: _NOTHING)
    """By id."""
    subjects: Mapping[str, Subject] = field(default_factory=lambda: _NOTHING)
    """By name."""
    servers: Mapping[UUID, StoredServer] = field(default_factory=lambda: _NOTHING)
    operators: Mapping[str, Operator] = field(default_factory=lambda: _NOTHING)
    """By name."""
    overrides: Mapping[tuple[ObjectKind, str], Override] = field(default_factory=lambda: _NOTHING)
    credentials: Mapping[UUID, Credential] = field(default_factory=lambda: _NOTHING)
    policies: Mapping[str, StoredPolicy] = field(default_factory=lambda: _NOTHING)
    """By name."""
    policy_uses: Mapping[UseKey, PolicyUse] = field(default_factory=lambda: _NOTHING)
    policy_versions: Mapping[tuple[str, int], PolicyVersion] = field(default_factory=lambda: _NOTHING)
    """By the name of the policy and the number of the version."""
    pins: Mapping[tuple[UUID, str], Pin] = field(default_factory=lambda: _NOTHING)
    """By server and tool."""
    damaged: tuple[str, ...] = ()
    uncertain: bool = False

    def live_uses(self) -> Iterator[PolicyUse]:
        """Yield what policies are used on now, in no order."""
        return (use for use in self.policy_uses.values() if use.ended_at is None)


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of the registry: all of it is durable, or none.

    `puts` are objects as they shall be, each with a `version` one above the stored one (1: it must be new).
    `changes` go to the admin log in the same transaction.
    """

    puts: tuple[Object, ...]
    changes: tuple[Change, ...]
