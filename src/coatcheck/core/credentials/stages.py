"""The versions of a credential and how they move: staged, active, previous, retired. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from coatcheck.model.credential import MAX_VERSIONS, Assurance, Credential, CredentialVersion, Stage


def next_number(credential: Credential) -> int:
    """Return the number of the next version; a number is never used again."""
    return max((one.number for one in credential.versions), default=0) + 1


def version_of(credential: Credential, number: int) -> CredentialVersion | None:
    """Return the version of a number, if it is remembered."""
    return next((one for one in credential.versions if one.number == number), None)


def with_staged(credential: Credential, version: CredentialVersion) -> Credential:
    """Return the credential with one more version."""
    return with_versions(credential, (version, *credential.versions))


def activated(credential: Credential, now: datetime, assurance: Assurance | None = None) -> Credential:
    """Return the credential as it is when the staged version is the active one.

    The active one becomes the previous one, and the material of that before is gone. `assurance` None: what
    was found out of it before.
    """

    def move(one: CredentialVersion) -> CredentialVersion:
        if one.stage is Stage.STAGED:
            said = assurance or one.assurance
            return replace(one, stage=Stage.ACTIVE, activated_at=now, ended_at=None, assurance=said)
        if one.stage is Stage.ACTIVE:
            return replace(one, stage=Stage.PREVIOUS, ended_at=now)
        return gone(one, now) if one.stage is Stage.PREVIOUS else one

    return with_versions(credential, map(move, credential.versions))


def rolled_back(credential: Credential, now: datetime) -> Credential:
    """Return the credential as it is when the previous version and the active one change places."""

    def move(one: CredentialVersion) -> CredentialVersion:
        if one.stage is Stage.PREVIOUS:
            return replace(one, stage=Stage.ACTIVE, activated_at=now, ended_at=None)
        if one.stage is Stage.ACTIVE:
            return replace(one, stage=Stage.PREVIOUS, ended_at=now)
        return one

    return with_versions(credential, map(move, credential.versions))


def without(credential: Credential, stage: Stage, now: datetime) -> Credential:
    """Return the credential with the version at a stage retired, and its material gone."""
    return with_versions(
        credential, (gone(one, now) if one.stage is stage else one for one in credential.versions)
    )


def changed(
    credential: Credential, number: int, change: Callable[[CredentialVersion], CredentialVersion]
) -> Credential:
    """Return the credential with one version changed."""
    return with_versions(
        credential, (change(one) if one.number == number else one for one in credential.versions)
    )


def emptied(credential: Credential, now: datetime) -> Credential:
    """Return the credential with every version retired, and no material and no client secret left."""
    terms = replace(credential.oauth, client_secret=None) if credential.oauth is not None else None
    bare = with_versions(credential, (gone(one, now) for one in credential.versions))
    return replace(bare, oauth=terms)


def gone(version: CredentialVersion, now: datetime) -> CredentialVersion:
    """Return a version that is kept no more but for what is known of it."""
    return replace(version, stage=Stage.RETIRED, material=None, ended_at=version.ended_at or now)


def with_versions(credential: Credential, versions: Iterable[CredentialVersion]) -> Credential:
    """Return the next record, with these versions: the oldest retired ones over `MAX_VERSIONS` dropped."""
    kept = sorted(versions, key=lambda one: one.number, reverse=True)
    while len(kept) > MAX_VERSIONS and any(one.stage is Stage.RETIRED for one in kept):
        kept.remove(next(one for one in reversed(kept) if one.stage is Stage.RETIRED))
    return replace(credential, versions=tuple(kept), version=credential.version + 1)
