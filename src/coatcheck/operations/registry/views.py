"""What is shown of objects of the registry and of the file; never a secret, nor what proves a token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar
from uuid import UUID

from coatcheck.model.credential import Upkeep
from coatcheck.model.grant import Seen
from coatcheck.model.operator import OperatorRole
from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret
from coatcheck.model.server import Source, Transport
from coatcheck.model.subject import SubjectKind

Item = TypeVar("Item")


class GrantState(StrEnum):
    """How a grant stands. `disabled`: its subject is; `unclaimed`: its token was not fetched yet."""

    LIVE = "live"
    UNCLAIMED = "unclaimed"
    DISABLED = "disabled"
    EXPIRED = "expired"
    REVOKED = "revoked"

    @property
    def is_over(self) -> bool:
        """Whether it ended for good: whoever wants in needs another one."""
        return self in {GrantState.EXPIRED, GrantState.REVOKED}


@dataclass(frozen=True, slots=True)
class GrantView:
    """One grant. `servers` are names, None: every server; `tools` are globs, None: every tool.

    `servers` names a server that is gone or disabled by its name all the same, or by its UUID if nobody
    knows that any more. A grant of the file has no times but those of its revocation here.
    """

    id: str
    label: str
    subject: str
    servers: tuple[str, ...] | None
    tools: tuple[str, ...] | None
    source: Source
    state: GrantState
    issued_at: datetime | None = None
    issued_by: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str = ""
    because: str = ""
    """Why it was revoked."""
    note: str = ""
    claim_until: datetime | None = None
    """Until when the link can be used by which the token is fetched; None: there is none."""
    overlap_until: datetime | None = None
    """Until when the token before the last rotation is good; None: no longer."""
    last_used: Seen | None = None
    clients: tuple[Seen, ...] = ()
    """The last use by each client, newest first."""
    version: int = 0


@dataclass(frozen=True, slots=True)
class SubjectView:
    """One owner of grants. `grants` counts those that are live; `version` 0: nothing of it is stored."""

    name: str
    kind: SubjectKind
    roles: frozenset[str]
    disabled: bool
    because: str
    note: str
    source: Source
    created_at: datetime | None
    grants: int
    version: int


@dataclass(frozen=True, slots=True)
class RegisteredView:
    """One server as it is registered; how it does is told by `operations.views`.

    `reach` is the URL as it may be shown, or the command. `plain` are the values of headers or variables that
    may be shown; `sealed` names those that may not. `args` counts the arguments, which are secret.
    `credentials` are pairs of place and name, as in `Use`. The last three are as in `Server`.
    """

    id: UUID
    name: str
    source: Source
    transport: Transport
    reach: str
    plain: tuple[tuple[str, str], ...]
    sealed: tuple[str, ...]
    args: int
    cwd: str | None
    disabled: bool
    because: str
    """Why it was disabled or ended."""
    created_at: datetime | None
    created_by: str
    ended_at: datetime | None
    note: str
    version: int
    upkeep: Upkeep = Upkeep()
    credentials: tuple[tuple[str, str], ...] = ()
    default: Default = Default.ALLOW_ALL
    approved: tuple[str, ...] | None = None
    trusted: bool = False


class OperatorState(StrEnum):
    """How an operator stands. `invited`: the login code was not used yet."""

    ACTIVE = "active"
    INVITED = "invited"
    EXPIRED = "expired"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class OperatorView:
    """One operator. `vouched` is who an identity provider says that may sign in as it, or empty."""

    name: str
    role: OperatorRole
    state: OperatorState
    created_at: datetime | None
    expires_at: datetime | None
    code_until: datetime | None
    ended_at: datetime | None
    version: int
    has_token: bool = False
    has_password: bool = False
    vouched: str = ""


@dataclass(frozen=True, slots=True)
class Issued:
    """A grant just made, rotated or claimed. `token`, or the code of its claim link, is shown once."""

    grant: GrantView
    token: Secret | None = None
    claim_code: Secret | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """What an ending ended. `calls` were cancelled, `streams` closed, `sessions` of clients ended.

    `grants` are all that it was about; `revoked` holds the ids of those that it revoked: others were before.
    `seconds` is how long all of it took. `left` counts calls and streams that were cut off, but had not said
    so when the wait was over: nothing of them reaches a caller or a server any more.
    """

    grants: Sequence[GrantView] = ()
    revoked: frozenset[str] = frozenset()
    calls: int = 0
    streams: int = 0
    sessions: int = 0
    seconds: float = 0.0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list, and the cursor of the next one; None: it was the last.

    `previous` is the cursor that the page before it ends at; None: it was the first. `found` counts the items
    of all pages; None: nobody counted them.
    """

    items: Sequence[Item]
    next: str | None = None
    previous: str | None = None
    found: int | None = None
