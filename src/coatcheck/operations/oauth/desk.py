"""What the use cases of OAuth credentials work with: the registry, and what is told of a credential."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from coatcheck.core.credentials import stages
from coatcheck.errors import UpstreamCredentialRefused
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.credential import Credential, CredentialVersion, OauthTerms, Stage
from coatcheck.model.oauth import OauthClient
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.oauth.held import HeldTokens, write
from coatcheck.operations.registry.book import Edited, Make
from coatcheck.operations.registry.changes import Outline, Scribe
from coatcheck.ports import Authorizer, Clock, Entropy

RENEWING: Final = Actor("gateway", OperatorRole.ADMIN, "oauth")
"""Who changes a credential when nobody asked for it."""


@dataclass(frozen=True, slots=True)
class OauthDesk:
    """`edit` as `Book.edit`; `print_of` makes the fingerprint of material."""

    snapshot: Callable[[], Snapshot]
    edit: Callable[[Make], Awaitable[Edited]]
    authorizer: Authorizer
    scribe: Scribe
    clock: Clock
    entropy: Entropy
    print_of: Callable[[Secret], str]

    def now(self) -> float:
        """Return seconds since 1970."""
        return self.clock.now().timestamp()

    def find(self, id: UUID) -> Credential | None:
        """Return a credential that is in use and has OAuth terms."""
        return oauth_in(self.snapshot(), id)

    def changed(
        self, actor: Actor, action: str, before: Credential, after: Credential, because: str = ""
    ) -> Change:
        """Return the record of a change of its terms or connection."""
        what = (ObjectKind.CREDENTIAL, str(after.id), after.name)
        return self.scribe.changed(actor, action, what, _outline(before), _outline(after), because)

    def renewed(self, credential: Credential, held: HeldTokens) -> Credential:
        """Return a credential whose active version holds these tokens instead."""
        material = write(held)
        versions = tuple(
            replace(one, material=material, print=self.print_of(material), expires_at=None)
            if one is credential.active
            else one
            for one in credential.versions
        )
        return replace(credential, versions=versions, version=credential.version + 1)

    def connected(
        self, credential: Credential, held: HeldTokens, terms: OauthTerms, actor: Actor
    ) -> Credential:
        """Return a credential with a new active version; the material of all others is gone."""
        now = self.clock.now()
        material = write(held)
        made = CredentialVersion(
            stages.next_number(credential),
            Stage.ACTIVE,
            self.print_of(material),
            now,
            actor.name,
            material,
            activated_at=now,
        )
        former = (stages.gone(one, now) for one in credential.versions)
        after = stages.with_versions(credential, (made, *former))
        return replace(after, oauth=replace(terms, reconnect=""))


def oauth_in(snapshot: Snapshot, id: UUID) -> Credential | None:
    """Return an OAuth credential that is in use."""
    found = snapshot.registry.credentials.get(id)
    return found if found is not None and found.ended_at is None and found.oauth is not None else None


def terms_of(credential: Credential) -> OauthTerms:
    """Return the terms of a credential that has some."""
    assert credential.oauth is not None  # noqa: S101 - for the type checker
    return credential.oauth


def number_of(credential: Credential) -> int:
    """Return the number of the active version, which grows with each connection; 0: there is none."""
    active = credential.active
    return 0 if active is None else active.number


def client_of(terms: OauthTerms) -> OauthClient:
    """Return what we are at the authorization server."""
    return OauthClient(terms.client_id, terms.client_secret, terms.auth_method)


def server_name(snapshot: Snapshot, credential: Credential) -> str:
    """Return the name of a server that the tokens are for; the credential's own if none uses it."""
    for server in snapshot.servers.values():
        if isinstance(server.reach, HttpReach) and server.reach.bearer == credential.id:
            return server.name
    return credential.name


def must_connect(credential: Credential, why: str) -> UpstreamCredentialRefused:
    """Return what callers are told while a credential waits for a person: they may be that person."""
    name = credential.name
    return UpstreamCredentialRefused(
        f"{name} must be connected anew: coatcheck credential connect {name} ({why})"
    )


def _outline(credential: Credential) -> Outline:
    terms = terms_of(credential)
    active = credential.active
    return {
        "active": None if active is None else active.number,
        "issuer": terms.issuer,
        "client_id": terms.client_id,
        "registered": terms.registered,
        "scopes": list(terms.scopes),
        "reconnect": terms.reconnect,
    }
