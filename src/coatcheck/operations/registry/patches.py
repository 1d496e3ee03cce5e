"""What operators ask to be made or changed, as it is before anything of it was judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from coatcheck.model.credential import Upkeep
from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret
from coatcheck.model.server import NO_SECRETS, Transport
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.registry.views import GrantState


class Unsaid(Enum):
    """Stands for a value that was not given, where None means something."""

    UNSAID = "unsaid"


UNSAID: Final = Unsaid.UNSAID
_HARMLESS: Final = frozenset({"note", "default", "approved", "trusted"})
USUAL_LIFE: Final = timedelta(days=90)
"""How long a grant is good where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class NewGrant:
    """A grant to issue. `servers` are names or UUIDs, None for every server; `tools` globs, None for all.

    `expires_at` None: never; not said: after `USUAL_LIFE`. `by_claim`: no token is made now, but a code that
    fetches it once. `policy` is used on the grant from its first call on; empty for none of its own.
    """

    label: str
    subject: str
    servers: frozenset[str] | None
    tools: tuple[str, ...] | None = None
    expires_at: datetime | Unsaid | None = UNSAID
    note: str = ""
    by_claim: bool = False
    policy: str = ""


@dataclass(frozen=True, slots=True)
class GrantPatch:
    """Changes of a grant; what is not said stays. The subject of a grant never changes."""

    label: str | Unsaid = UNSAID
    servers: frozenset[str] | Unsaid | None = UNSAID
    tools: tuple[str, ...] | Unsaid | None = UNSAID
    expires_at: datetime | Unsaid | None = UNSAID
    note: str | Unsaid = UNSAID


@dataclass(frozen=True, slots=True)
class GrantFilter:
    """Which grants to list. None does not restrict; `label` is a glob in which only `*` is special.

    `server` is a name or UUID: grants that reach it, those of every server among them. `after` is the `next`
    of the page before, `before` the `previous` of the page after. Grants are listed by label, then by id.

    `text` are words that label, owner, id or note have, in whatever case. `everywhere` False: those of chosen
    servers. `policy` is used on the grant itself. `unused_since` means those that were never used as well.
    `over` is whether they ended for good.
    """

    subject: str | None = None
    server: str | None = None
    state: GrantState | None = None
    source: str | None = None
    label: str | None = None
    limit: int = 100
    after: str | None = None
    before: str | None = None
    text: str = ""
    everywhere: bool | None = None
    policy: str | None = None
    endless: bool | None = None
    ends_before: datetime | None = None
    never_used: bool | None = None
    used_since: datetime | None = None
    unused_since: datetime | None = None
    over: bool | None = None

    @property
    def asks_for_uses(self) -> bool:
        """Whether it asks when grants were last used."""
        return (self.never_used, self.used_since, self.unused_since) != (None, None, None)


@dataclass(frozen=True, slots=True)
class NewSubject:
    """A subject to add."""

    name: str
    kind: SubjectKind = SubjectKind.PERSON
    roles: frozenset[str] = frozenset()
    note: str = ""


@dataclass(frozen=True, slots=True)
class SubjectPatch:
    """Changes of a subject; what is not said stays. The name of a subject never changes."""

    kind: SubjectKind | Unsaid = UNSAID
    roles: frozenset[str] | Unsaid = UNSAID
    note: str | Unsaid = UNSAID


@dataclass(frozen=True, slots=True)
class SubjectFilter:
    """Which subjects to list, by name. None does not restrict; `name` is a glob."""

    name: str | None = None
    kind: SubjectKind | None = None
    disabled: bool | None = None
    limit: int = 100
    after: str | None = None


@dataclass(frozen=True, slots=True)
class OauthWanted:
    """How the tokens for a server with a URL are to be had; its credential becomes `SERVER-oauth`.

    `grant_type` and what else is not given is as in `OauthTerms`; without an `issuer` the server is asked for
    it, without a `client_id` a client is registered there.
    """

    grant_type: str = "authorization_code"
    scopes: tuple[str, ...] = ()
    issuer: str = ""
    client_id: str = ""
    client_secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class NewServer:
    """A server to register: either `url` with `headers`, or `command` with `args`, `env` and `cwd`.

    `plain` names headers or variables whose values may be shown; each other value becomes a credential. Those
    that are plain, `args` and `url` may name credentials, `${credential:NAME}`; `$${credential:` stands for
    `${credential:` itself, and no other `${...}` is expanded. `default`, `approved` and `trusted` are as in
    `model.server.Server`. `credentials` are kept along with it, by the names that its values name them by.
    """

    name: str
    url: Secret | None = None
    transport: Transport | None = None
    headers: Mapping[str, Secret] = field(default_factory=lambda: NO_SECRETS)
    command: str | None = None
    args: tuple[Secret, ...] = ()
    env: Mapping[str, Secret] = field(default_factory=lambda: NO_SECRETS)
    cwd: str | None = None
    plain: frozenset[str] = frozenset()
    note: str = ""
    upkeep: Upkeep = Upkeep()
    oauth: OauthWanted | None = None
    default: Default = Default.READ_ONLY
    approved: tuple[str, ...] | None = None
    trusted: bool = False
    credentials: Mapping[str, Secret] = field(default_factory=lambda: NO_SECRETS)


@dataclass(frozen=True, slots=True)
class ServerPatch:
    """Changes of a stored server; what is not said stays. Its name never changes.

    `headers` and `env` are merged into those it has; a value of None takes one away. A new secret becomes a
    new version of the credential that was made for the old one, in use at once and not verified.
    """

    url: Secret | Unsaid = UNSAID
    transport: Transport | Unsaid | None = UNSAID
    headers: Mapping[str, Secret | None] | Unsaid = UNSAID
    command: str | Unsaid = UNSAID
    args: tuple[Secret, ...] | Unsaid = UNSAID
    env: Mapping[str, Secret | None] | Unsaid = UNSAID
    cwd: str | Unsaid | None = UNSAID
    plain: frozenset[str] | Unsaid = UNSAID
    note: str | Unsaid = UNSAID
    upkeep: Upkeep | Unsaid = UNSAID
    default: Default | Unsaid = UNSAID
    approved: tuple[str, ...] | Unsaid | None = UNSAID
    trusted: bool | Unsaid = UNSAID

    @property
    def runs(self) -> bool:
        """Whether it says anything of what a server is and is given: all but words and what it allows."""
        return any(getattr(self, one.name) is not UNSAID for one in fields(self) if one.name not in _HARMLESS)


@dataclass(frozen=True, slots=True)
class ServerFilter:
    """Which servers to list, by name. None does not restrict; `name` is a glob. Ended ones are left out."""

    name: str | None = None
    source: str | None = None
    disabled: bool | None = None
    limit: int = 100
    after: str | None = None
