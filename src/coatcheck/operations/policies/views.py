"""What is shown of policies, of their versions, and of what they are used on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.core.policy.differences import Difference
from coatcheck.model.policy import Policy
from coatcheck.model.stored_policy import UseKind


@dataclass(frozen=True, slots=True)
class UseView:
    """One thing that a policy is used on. `of` is its id, `shown` what people call it.

    `server` is the name of the server that a use on a grant is narrowed to; empty for all of its servers.
    `instead_of` names the policy that this one took the place of, where that has just happened.
    """

    policy: str
    kind: UseKind
    of: str
    shown: str
    server: str
    at: datetime
    by: str
    because: str
    instead_of: str = ""


@dataclass(frozen=True, slots=True)
class PolicyView:
    """One policy as it is now. `version` 0: it is one of those that need no document, and never changes."""

    name: str
    policy: Policy
    uses: Sequence[UseView]
    at: datetime | None = None
    by: str = ""
    because: str = ""
    ended_at: datetime | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class VersionView:
    """One document that a policy had, from `at` on."""

    name: str
    number: int
    policy: Policy
    at: datetime
    by: str
    because: str


@dataclass(frozen=True, slots=True)
class DiffView:
    """What is other in one version of a policy than in another."""

    name: str
    before: int
    after: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class PolicyFilter:
    """Which policies to list; `name` is a glob. Those that have ended only where `ended`."""

    name: str | None = None
    ended: bool = False
    limit: int = 100
    after: str | None = None
