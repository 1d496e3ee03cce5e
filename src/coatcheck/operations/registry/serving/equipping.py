"""Credentials that servers bring with them: made of their secrets, renewed with a change, ended with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from coatcheck.core import filling
from coatcheck.core.credentials import stages
from coatcheck.core.credentials.making import expiry_of, printed
from coatcheck.core.credentials.naming import credential_name, free_name
from coatcheck.core.filling import Parted
from coatcheck.errors import Forbidden, Unfit
from coatcheck.model.credential import (
    Assurance,
    Blank,
    Credential,
    CredentialKind,
    CredentialVersion,
    Custody,
    OauthTerms,
    Stage,
)
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.model.registry import Registry
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, StdioReach, StoredServer
from coatcheck.operations.credentials.terms import checked
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.patches import OauthWanted
from coatcheck.operations.supplying import stored_credentials
from coatcheck.ports import Entropy

AUTHORIZATION: Final = "headers/Authorization"
Origin = tuple[str, str | None, int | None]
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes credentials and versions of them, by one operator at one moment."""

    actor: str
    now: datetime
    entropy: Entropy
    print_key: bytes

    def credential(self, name: str, material: Secret) -> Credential:
        """Return a new credential with its first version, in use at once."""
        return replace(self._empty(name), versions=(self._version(1, material, Assurance.NEVER),))

    def oauth(self, name: str, wanted: OauthWanted, resource: str) -> Credential:
        """Return a new credential for which an OAuth server will give tokens."""
        terms = OauthTerms(
            grant_type=wanted.grant_type,
            resource=resource,
            issuer=wanted.issuer,
            client_id=wanted.client_id,
            client_secret=wanted.client_secret,
            scopes=wanted.scopes,
        )
        return replace(self._empty(name), kind=CredentialKind.OAUTH, interval=None, oauth=checked(terms))

    def renewed(self, before: Credential, material: Secret, *, keep: bool) -> Credential:
        """Return a credential with a new version in use, asked of no server.

        `keep`: the one before can be brought back, and what is staged stays. Otherwise nothing of what it
        held is kept.
        """
        active = before.active
        if keep and active is not None and active.material == material:
            return before
        newest = self._version(stages.next_number(before), material, Assurance.SKIPPED)
        older = (self._aged(one, keep) for one in before.versions)
        return stages.with_versions(before, (newest, *older))

    def ended(self, before: Credential) -> Credential:
        """Return a credential that is over, and holds nothing any more."""
        return replace(stages.emptied(before, self.now), ended_at=self.now)

    def _empty(self, name: str) -> Credential:
        id = UUID(bytes=self.entropy.token(16), version=4)
        return Credential(id, name, Custody.STORE, (), self.now, self.actor)

    def _version(self, number: int, material: Secret, assurance: Assurance) -> CredentialVersion:
        return CredentialVersion(
            number=number,
            stage=Stage.ACTIVE,
            print=printed(self.print_key, material),
            made_at=self.now,
            made_by=self.actor,
            material=material,
            assurance=assurance,
            activated_at=self.now,
            expires_at=expiry_of(material),
        )

    def _aged(self, one: CredentialVersion, keep: bool) -> CredentialVersion:
        if keep and one.stage is Stage.STAGED:
            return one
        if keep and one.stage is Stage.ACTIVE:
            return replace(one, stage=Stage.PREVIOUS, ended_at=self.now)
        return stages.gone(one, self.now)


# --- who uses what -----------------------------------------------------------------------------------------


def users_of(snapshot: Snapshot, name: str) -> Iterator[tuple[str, str]]:
    """Yield (server, place) wherever a credential of the store is named, in use or disabled."""
    for server, _, blanks in _named(snapshot):
        yield from ((server, place) for place, blank in blanks.items() if name in blank.names)


def _named(snapshot: Snapshot) -> Iterator[tuple[str, HttpReach | StdioReach, Mapping[str, Blank]]]:
    yield from ((one.name, one.reach, one.blanks) for one in snapshot.declared.declaration.servers)
    stored = (one for one in snapshot.registry.servers.values() if one.ended_at is None)
    yield from ((one.name, one.reach, one.blanks) for one in stored)


def made_for(server: StoredServer) -> dict[str, str]:
    """Return the credentials, by place, that were made for a server: of secrets that it was given."""
    found = {}
    for place, blank in server.blanks.items():
        part, _, name = place.partition("/")
        if part in {"headers", "env"} and name not in server.plain and filling.is_whole(blank):
            found[place] = blank.names[0]
    return found


def orphans(
    snapshot: Snapshot, maker: Maker, before: StoredServer, blanks: Mapping[str, Blank]
) -> list[Credential]:
    """Return the ends of credentials that were made for a server, and that nobody uses any more.

    `blanks` are those that the server has from now on.
    """
    kept = {name for blank in blanks.values() for name in blank.names}
    known = stored_credentials(snapshot.registry)
    names = dict.fromkeys(name for name in made_for(before).values() if name in known and name not in kept)
    return [
        maker.ended(known[name])
        for name in names
        if all(server == before.name for server, _ in users_of(snapshot, name))
    ]


# --- what a server is given --------------------------------------------------------------------------------


def equip(
    registry: Registry,
    maker: Maker,
    server: str,
    secrets: Mapping[str, Secret],
    besides: frozenset[str] = frozenset(),
) -> tuple[dict[str, Blank], list[Credential]]:
    """Return what becomes of a server's secrets: blanks by place, and the credentials they name.

    `besides` are names that will be taken, too.
    """
    taken = names_of(registry) | besides
    blanks: dict[str, Blank] = {}
    made: list[Credential] = []
    for place, material in secrets.items():
        name = free_name(credential_name(server, place), taken)
        taken.add(name)
        made.append(maker.credential(name, material))
        blanks[place] = filling.whole(name)
    return blanks, made


def re_equip(
    snapshot: Snapshot, maker: Maker, before: StoredServer, secrets: Mapping[str, Secret], *, moved: bool
) -> tuple[dict[str, Blank], list[Credential]]:
    """Return what becomes of secrets that a server is given anew, as `equip`.

    A credential that was made for the old value gets the new one as its next version. `moved`: the server is
    somewhere else now, so nothing is kept that could be sent there later.

    Raises:
        Unfit: another server uses that credential too.
    """
    known = stored_credentials(snapshot.registry)
    renewed: list[Credential] = []
    blanks: dict[str, Blank] = {}
    own = made_for(before)
    for place, material in secrets.items():
        credential = known.get(own.get(place, ""))
        if credential is None or credential.kind is not CredentialKind.VALUE:
            continue
        others = sorted({name for name, _ in users_of(snapshot, credential.name)} - {before.name})
        if others:
            words = f"the credential {credential.name} is used by {', '.join(others)} too"
            fix = f"change it for all: coatcheck credential rotate {credential.name}"
            raise Unfit(words, fix=fix)
        after = maker.renewed(credential, material, keep=not moved)
        renewed += [after] if after is not credential else []
        blanks[place] = filling.whole(credential.name)
    rest = {place: material for place, material in secrets.items() if place not in blanks}
    fresh, made = equip(snapshot.registry, maker, before.name, rest)
    return blanks | fresh, renewed + made


def with_oauth(
    registry: Registry,
    maker: Maker,
    server: str,
    parted: Parted,
    wanted: OauthWanted,
    besides: frozenset[str] = frozenset(),
) -> tuple[Parted, Credential]:
    """Return a server that gets the tokens of a new OAuth credential, and that credential.

    `besides` are names that will be taken, too.

    Raises:
        Unfit: the server has no URL of its own, or an Authorization header already; terms that cannot be.
    """
    reach = parted.reach
    if not isinstance(reach, HttpReach) or filling.URL in parted.blanks:
        raise Unfit("OAuth is for servers with a URL that names no credential")
    if any(name.lower() == "authorization" for name in reach.headers):
        raise Unfit("the server has an Authorization header besides OAuth", fix="leave one of them out")
    name = free_name(credential_name(server, "oauth"), names_of(registry) | besides)
    credential = maker.oauth(name, wanted, reach.shown_url)
    headers = {**reach.headers, "Authorization": Secret(filling.STAND_IN)}
    blanks = {**parted.blanks, AUTHORIZATION: filling.whole(name)}
    bare = replace(reach, headers=MappingProxyType(headers))
    return Parted(bare, MappingProxyType(blanks), parted.secrets), credential


def names_of(registry: Registry) -> set[str]:
    """Return the names that credentials of any custody have now."""
    return {one.name for one in registry.credentials.values() if one.ended_at is None}


# --- who may name what -------------------------------------------------------------------------------------


def check_named(
    snapshot: Snapshot, actor: Actor, reach: HttpReach | StdioReach, blanks: Mapping[str, Blank],
    before: StoredServer | None = None, more: Iterable[Credential] = (),
) -> None:  # fmt: skip
    """Refuse a server that names a credential which is not there, or which is not for this operator to send.

    Whoever may change servers need not know what they are given, and must not learn it by a server of his
    own. So he names credentials that go to the same scheme, host and port already (RFC 6454), or that he gave
    himself and nobody else uses; admins name any. `more` are credentials that are made along with it.

    Raises:
        Unfit: no such credential, or it cannot stand where it is named.
        Forbidden: it takes an admin.
    """
    known = stored_credentials(snapshot.registry) | {one.name: one for one in more}
    for place, blank in blanks.items():
        for name in blank.names:
            if name not in known:
                fix = f"add it first: coatcheck credential add {name}"
                raise Unfit(f"there is no credential {name!r} in the store", fix=fix)
            if not _may_name(snapshot, actor, known[name], reach, before):
                words = f"the credential {name} is not sent to this server yet, and was given by another"
                raise Forbidden(words, fix="ask an admin, or give the server a credential of its own")
        filling.try_fill(reach, place, blank, known)


def _may_name(
    snapshot: Snapshot,
    actor: Actor,
    credential: Credential,
    reach: HttpReach | StdioReach,
    before: StoredServer | None,
) -> bool:
    if actor.role is OperatorRole.ADMIN:
        return True
    if isinstance(reach, HttpReach) and origin_of(reach.url) in _origins_of(snapshot, credential.name):
        return True
    kept = [one for one in credential.versions if one.material is not None]
    own = bool(kept) and all(one.made_by == actor.name for one in kept)
    users = {server for server, _ in users_of(snapshot, credential.name)}
    return own and users <= ({before.name} if before is not None else set())


def _origins_of(snapshot: Snapshot, name: str) -> set[Origin]:
    return {
        origin_of(reach.url)
        for _, reach, blanks in _named(snapshot)
        if isinstance(reach, HttpReach) and any(name in blank.names for blank in blanks.values())
    }


def origin_of(url: Secret) -> Origin:
    """Return scheme, host and port of a URL (RFC 6454)."""
    parts = urlsplit(url.reveal())
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def moved(before: HttpReach | StdioReach, after: HttpReach | StdioReach) -> bool:
    """Tell whether a server is somewhere else after a change."""
    if not isinstance(before, HttpReach) or not isinstance(after, HttpReach):
        return False
    return origin_of(before.url) != origin_of(after.url)
