"""Credentials that the file itself gives: known again by their fingerprints, from one reading to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from coatcheck.core import filling
from coatcheck.core.credentials.making import expiry_of, printed
from coatcheck.core.credentials.naming import credential_name, free_name
from coatcheck.model.credential import MAX_VERSIONS, Credential, CredentialVersion, Custody, Stage
from coatcheck.model.registry import Registry
from coatcheck.model.secret import Secret
from coatcheck.operations.merging import Declared
from coatcheck.operations.registry.serving.equipping import names_of
from coatcheck.operations.supplying import id_of_file

_FILE: Final = "file"


@dataclass(frozen=True, slots=True)
class _Found:
    """A secret that the file gives: of which server, at which place, whence."""

    id: UUID
    server: str
    place: str
    custody: Custody
    material: Secret


def traced(declared: Declared, registry: Registry, print_key: bytes, now: datetime) -> tuple[Credential, ...]:
    """Return the credentials of the file that are other than they were: new, with a new version, or ended.

    Nothing of their material is in them. One that comes back goes on where it ended.
    """
    taken = names_of(registry)
    puts = []
    found = {one.id: one for one in _found(declared)}
    for one in found.values():
        print = printed(print_key, one.material)
        before = registry.credentials.get(one.id)
        if before is None:
            name = free_name(credential_name(one.server, one.place), taken)
            version = _version(1, print, one.material, now)
            puts.append(Credential(one.id, name, one.custody, (version,), now, _FILE))
            taken.add(name)
        elif (after := _again(before, one, print, now, taken)) != before:
            puts.append(replace(after, version=before.version + 1))
            taken.add(after.name)
    puts.extend(
        _ended(before, now)
        for before in registry.credentials.values()
        if before.custody is not Custody.STORE and before.ended_at is None and before.id not in found
    )
    return tuple(puts)


def _found(declared: Declared) -> Iterator[_Found]:
    for server in declared.declaration.servers:
        id = declared.servers[server.name].id
        for place, custody in server.custody.items():
            material = filling.value_at(server.reach, place)
            if material is not None:
                yield _Found(id_of_file(id, place), server.name, place, custody, material)


def _again(before: Credential, found: _Found, print: str, now: datetime, taken: set[str]) -> Credential:
    """Return a credential as the file gives it now."""
    name = before.name if before.ended_at is None else free_name(before.name, taken)
    newest = before.versions[0] if before.versions else None
    if newest is not None and newest.print == print:
        versions = (replace(newest, stage=Stage.ACTIVE, ended_at=None), *before.versions[1:])
    else:
        number = newest.number + 1 if newest is not None else 1
        older = tuple(_retired(one, now) for one in before.versions)
        versions = (_version(number, print, found.material, now), *older)[:MAX_VERSIONS]
    return replace(before, name=name, custody=found.custody, versions=versions, ended_at=None)


def _ended(before: Credential, now: datetime) -> Credential:
    versions = tuple(_retired(one, now) for one in before.versions)
    return replace(before, versions=versions, ended_at=now, version=before.version + 1)


def _version(number: int, print: str, material: Secret, now: datetime) -> CredentialVersion:
    return CredentialVersion(
        number, Stage.ACTIVE, print, now, _FILE, activated_at=now, expires_at=expiry_of(material)
    )


def _retired(one: CredentialVersion, now: datetime) -> CredentialVersion:
    return replace(one, stage=Stage.RETIRED, ended_at=now) if one.stage is Stage.ACTIVE else one
