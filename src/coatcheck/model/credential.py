"""A credential: what we present to a server. Named, with an owner, and in versions of which one is active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from coatcheck.model.secret import Secret

USUAL_INTERVAL = 90
"""Days after which a credential is due for rotation where nobody says otherwise."""


class Custody(StrEnum):
    """Where the material of a credential is kept."""

    STORE = "store"
    """Sealed in the store."""
    ENV = "env"
    """In the environment that the gateway was started with; the servers file names the variable."""
    FILE = "file"
    """In a file of its own, which is watched; the servers file names it."""
    LITERAL = "literal"
    """Written out in the servers file."""


class CredentialKind(StrEnum):
    """What the material is: a value that is presented as it is, or tokens that an OAuth server gives."""

    VALUE = "value"
    OAUTH = "oauth"


class Stage(StrEnum):
    """Where a version stands. One is active at most, one staged at most, one previous at most."""

    STAGED = "staged"
    ACTIVE = "active"
    PREVIOUS = "previous"
    """The one before the active one: kept, so that one command can bring it back."""
    RETIRED = "retired"
    """Its material is gone."""


class Assurance(StrEnum):
    """What is known of a version from presenting it to its servers."""

    NEVER = "never"
    """It was never verified."""
    PROVEN = "proven"
    """The servers took it, and refused a wrong one for the same requests."""
    UNPROVEN = "unproven"
    """The servers took it, and a wrong one as well; an operator accepted that."""
    SKIPPED = "skipped"
    """An operator had it activated without asking any server."""


class OnRefusal(StrEnum):
    """What happens when a server refuses a version that was just activated."""

    FLAG = "flag"
    ROLL_BACK = "roll-back"


@dataclass(frozen=True, slots=True)
class CredentialVersion:
    """One version. `material` is None where it is not ours to keep, or gone.

    `print` is a keyed fingerprint of the material, 16 hexadecimal digits: equal for equal material, and
    telling nothing of it without the key.
    `refused_at` and `refused_by`: a server answered 401 or 403 to it since.
    """

    number: int
    stage: Stage
    print: str
    made_at: datetime
    made_by: str
    material: Secret | None = None
    assurance: Assurance = Assurance.NEVER
    verified_at: datetime | None = None
    activated_at: datetime | None = None
    ended_at: datetime | None = None
    """When it ceased to be active."""
    expires_at: datetime | None = None
    refused_at: datetime | None = None
    refused_by: str = ""


@dataclass(frozen=True, slots=True)
class OauthTerms:
    """How tokens are had from an OAuth server (RFC 6749, RFC 8414), and for which server they are meant.

    `grant_type`: `authorization_code` or `client_credentials`. `auth_method`: how the client authenticates at
    the token endpoint (`none`, `client_secret_basic`, `client_secret_post`, `private_key_jwt`).
    `registered`: the client was registered by us at `issuer`, and is good there alone (RFC 7591), with
    `redirect` as the address that its users come back to.
    """

    grant_type: str
    resource: str
    """The server's URL, as it is named to the authorization server (RFC 8707)."""
    issuer: str = ""
    client_id: str = ""
    client_secret: Secret | None = None
    auth_method: str = ""
    registered: bool = False
    redirect: str = ""
    scopes: tuple[str, ...] = ()
    reconnect: str = ""
    """Why a person must connect it anew; empty while it works, or was never connected."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential. `versions` are newest first, at most `MAX_VERSIONS`. Times are UTC.

    `interval` are days from an activation until the next rotation is due; None: never. `used_by` is not kept
    here: servers name their credentials. `version` counts the changes of the record, from 1.
    """

    id: UUID
    name: str
    custody: Custody
    versions: tuple[CredentialVersion, ...]
    created_at: datetime
    created_by: str
    kind: CredentialKind = CredentialKind.VALUE
    owner: str = ""
    interval: int | None = USUAL_INTERVAL
    on_refusal: OnRefusal = OnRefusal.FLAG
    oauth: OauthTerms | None = None
    note: str = ""
    ended_at: datetime | None = None
    version: int = 1

    def at(self, stage: Stage) -> CredentialVersion | None:
        """Return the newest version at a stage, if there is one."""
        return next((one for one in self.versions if one.stage is stage), None)

    @property
    def active(self) -> CredentialVersion | None:
        """The version that new calls use."""
        return self.at(Stage.ACTIVE)


MAX_VERSIONS = 20
"""How many versions a record remembers; the oldest retired ones are forgotten first."""


@dataclass(frozen=True, slots=True)
class Use:
    """One place of a server where a credential goes, and the version that is there.

    `place` is `headers/NAME`, `env/NAME`, `args/NUMBER` or `url`.
    """

    place: str
    credential: UUID
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Blank:
    """A value with credentials in it: `texts[0] names[0] texts[1] names[1] ... texts[-1]`.

    The texts are secret as the whole value would be; the names are names of credentials.
    """

    texts: tuple[Secret, ...]
    names: tuple[str, ...]


NO_BLANKS: Mapping[str, Blank] = MappingProxyType({})
"""Blanks by place."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A tool call by which a server shows whether it takes a credential. `arguments` is a JSON object."""

    tool: str
    arguments: str = "{}"


class Replace(StrEnum):
    """What a server does when its credential changes: two run side by side, or the old one ends first."""

    OVERLAP = "overlap"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """How a server's credentials are looked after."""

    replace: Replace = Replace.OVERLAP
    probe: Probe | None = None
