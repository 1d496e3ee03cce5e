"""What is shown of credentials, their rotations and what is to be done about them; never any material."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from coatcheck.model.credential import Assurance, CredentialKind, Custody, OnRefusal, Stage


class CredentialState(StrEnum):
    """How a credential stands; the gravest that is true."""

    OK = "ok"
    DUE = "due"
    """Its interval has passed, or it expires soon."""
    OVERDUE = "overdue"
    """It was due two weeks ago, or has expired."""
    FAILING = "failing"
    """A server refused the active version."""
    LACKING = "lacking"
    """No version is active, so servers that need it cannot be used."""
    RECONNECT = "reconnect"
    """A person must connect it to its OAuth server anew."""


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version. `print` is a keyed fingerprint; `kept` says whether its material is still in the store.

    `in_use` counts the calls, sessions and children that still use it right now.
    """

    number: int
    stage: Stage
    print: str
    made_at: datetime
    made_by: str
    assurance: Assurance
    kept: bool
    verified_at: datetime | None = None
    activated_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    refused_at: datetime | None = None
    refused_by: str = ""
    in_use: int = 0


@dataclass(frozen=True, slots=True)
class OauthView:
    """What is shown of OAuth terms. `reconnect` says why a person must connect it anew; empty: no need."""

    grant_type: str
    resource: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    registered: bool
    reconnect: str


@dataclass(frozen=True, slots=True)
class CredentialView:
    """One credential. `versions` are newest first; `used_by` are pairs of server and place.

    `due_at` None: never. `expires_at` is that of the active version. `warnings` are sentences.
    """

    id: UUID
    name: str
    custody: Custody
    kind: CredentialKind
    owner: str
    versions: tuple[VersionView, ...]
    interval: int | None
    due_at: datetime | None
    state: CredentialState
    used_by: tuple[tuple[str, str], ...]
    on_refusal: OnRefusal
    note: str
    expires_at: datetime | None
    created_at: datetime
    created_by: str
    oauth: OauthView | None = None
    warnings: tuple[str, ...] = ()
    ended_at: datetime | None = None
    version: int = 1

    def at(self, stage: Stage) -> VersionView | None:
        """Return the newest version at a stage, if there is one."""
        return next((one for one in self.versions if one.stage is stage), None)


class Control(StrEnum):
    """What came of presenting an obviously wrong secret."""

    REFUSED = "refused"
    ACCEPTED = "accepted"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one server said to a candidate. `sentence` gives its reason, free of secrets.

    `tools`: how many it listed, None if it did not come to that. `probe`: the server's probe call was made.
    `expires_at`: when the candidate ends, by what the server said of it.
    """

    server: str
    ok: bool
    sentence: str
    tools: int | None = None
    control: Control = Control.NOT_ASKED
    probe: bool = False
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What all servers said. `assurance`: `never` if one refused, or none was there to be asked."""

    credential: CredentialView
    number: int
    assurance: Assurance
    verdicts: tuple[Verdict, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no server refused the candidate."""
        return all(one.ok for one in self.verdicts)


@dataclass(frozen=True, slots=True)
class Activated:
    """A switch that was made. `number` is the version in use from now on, `former` the one before.

    `seconds_to_effect`: from the request until every new call used it. `drained`: nothing uses the former
    version any more, after `seconds_to_drain`; else `left` calls, sessions and children still do.
    """

    credential: CredentialView
    number: int
    former: int | None
    assurance: Assurance
    verdicts: tuple[Verdict, ...] = ()
    seconds_to_effect: float = 0.0
    drained: bool = True
    left: int = 0
    seconds_to_drain: float = 0.0
    warnings: tuple[str, ...] = ()


class Reason(StrEnum):
    """Why a credential is in the rotation plan, the gravest first."""

    FAILING = "failing"
    LACKING = "lacking"
    RECONNECT = "reconnect"
    EXPIRED = "expired"
    OVERDUE = "overdue"
    EXPIRING = "expiring"
    DUE = "due"
    STAGED = "staged"
    """A version was staged, and neither activated nor discarded."""
    NEVER_VERIFIED = "never verified"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class Due:
    """One line of the rotation plan. `reasons` are the gravest first; `since` is when the first began."""

    credential: CredentialView
    reasons: tuple[Reason, ...]
    since: datetime | None = None
