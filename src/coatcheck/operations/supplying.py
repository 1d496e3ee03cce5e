"""Servers as they are used: with the active versions of their credentials filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from uuid import UUID, uuid5

from coatcheck.core import filling
from coatcheck.core.filling import Lacking
from coatcheck.errors import Unfit
from coatcheck.model.credential import Blank, Credential, CredentialKind, Custody, Stage, Use
from coatcheck.model.registry import Registry
from coatcheck.model.secret import Secret
from coatcheck.model.server import Server


def stored_credentials(registry: Registry) -> dict[str, Credential]:
    """Return the credentials of the store by name, which servers of either source can name."""
    return {
        one.name: one
        for one in registry.credentials.values()
        if one.ended_at is None and one.custody is Custody.STORE
    }


def id_of_file(server: UUID, place: str) -> UUID:
    """Return the id of the credential that the file has at a place of a server; always the same."""
    return uuid5(server, place)


def supplied(bare: Server, blanks: Mapping[str, Blank], known: Mapping[str, Credential]) -> Server:
    """Return a server with its blanks filled in from credentials by name, or `lacking` with its stand-ins.

    Material of the version before the active one is hushed as well: the server knows it, and may say it.
    """
    if not blanks:
        return bare
    uses = tuple(_uses(blanks, known))
    try:
        reach = filling.fill(bare.reach, blanks, filling.finder(known))
    except Lacking as error:
        said = f"the credential {error.name} of {bare.name}"
        why = "has no active version" if error.name in known else "is not in the store"
        return replace(bare, uses=uses, lacking=f"{said} {why}")
    except Unfit as error:
        return replace(bare, uses=uses, lacking=f"{bare.name} cannot be used: {error.message}")
    hush = tuple(_materials(known[name] for blank in blanks.values() for name in blank.names))
    return replace(bare, reach=replace(reach, hush=hush), uses=uses)


def with_file_uses(
    server: Server, custody: Mapping[str, Custody], credentials: Mapping[UUID, Credential]
) -> Server:
    """Return a server of the file with the credentials that the file itself gives it among its uses."""
    uses = []
    for place in custody:
        credential = credentials.get(id_of_file(server.id, place))
        if credential is not None and credential.ended_at is None and credential.active is not None:
            uses.append(Use(place, credential.id, credential.name, credential.active.number))
    return replace(server, uses=(*server.uses, *uses)) if uses else server


def _uses(blanks: Mapping[str, Blank], known: Mapping[str, Credential]) -> Iterator[Use]:
    for place, blank in blanks.items():
        for name in dict.fromkeys(blank.names):
            credential = known.get(name)
            if credential is not None:
                yield Use(place, credential.id, name, _number(credential))


def _number(credential: Credential) -> int:
    """Return the number of the active version; 0 for OAuth: its tokens need no new connection."""
    if credential.kind is CredentialKind.OAUTH or credential.active is None:
        return 0
    return credential.active.number


def _materials(credentials: Iterator[Credential]) -> Iterator[Secret]:
    for credential in credentials:
        for one in credential.versions:
            if one.material is not None and one.stage in {Stage.ACTIVE, Stage.PREVIOUS}:
                yield one.material
