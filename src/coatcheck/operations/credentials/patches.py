"""What operators ask to be made or changed of credentials, before anything of it was judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from coatcheck.model.credential import CredentialKind, Custody, OauthTerms, OnRefusal
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.views import CredentialState
from coatcheck.operations.registry.patches import UNSAID, Unsaid


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A credential to keep in the store. `material` becomes its first version, and active; it may come later.

    `interval` are days between rotations, None: never due; not said: `USUAL_INTERVAL`. `expires_at` is when
    the material ceases to be good, if that is known. `oauth` are the terms of the kind of that name.
    """

    name: str
    material: Secret | None = None
    kind: CredentialKind = CredentialKind.VALUE
    owner: str = ""
    interval: int | Unsaid | None = UNSAID
    on_refusal: OnRefusal = OnRefusal.FLAG
    note: str = ""
    expires_at: datetime | None = None
    oauth: OauthTerms | None = None


@dataclass(frozen=True, slots=True)
class CredentialPatch:
    """Changes of a credential; what is not said stays. Its name never changes, its material by rotation only.

    `expires_at` is of the active version.
    """

    owner: str | Unsaid = UNSAID
    interval: int | Unsaid | None = UNSAID
    on_refusal: OnRefusal | Unsaid = UNSAID
    note: str | Unsaid = UNSAID
    expires_at: datetime | Unsaid | None = UNSAID


@dataclass(frozen=True, slots=True)
class CredentialFilter:
    """Which credentials to list, by name. None does not restrict; `name` is a glob. Ended ones are left out.

    `server` is a name or UUID: credentials that it uses.
    """

    name: str | None = None
    state: CredentialState | None = None
    custody: Custody | None = None
    server: str | None = None
    owner: str | None = None
    limit: int = 100
    after: str | None = None
