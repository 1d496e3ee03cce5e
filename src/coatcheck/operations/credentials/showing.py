"""Making what is shown of credentials: how they stand, who uses them, and what is to be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from coatcheck.core.credentials.making import warnings_on
from coatcheck.errors import Missing
from coatcheck.model.credential import (
    Assurance,
    Credential,
    CredentialKind,
    CredentialVersion,
    Custody,
    OauthTerms,
    Stage,
)
from coatcheck.model.declaration import DeclaredServer
from coatcheck.model.server import StoredServer
from coatcheck.operations.credentials.views import (
    CredentialState,
    CredentialView,
    Due,
    OauthView,
    Reason,
    VersionView,
)
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.supplying import id_of_file

GRACE: Final = timedelta(days=14)
"""How long after its time a rotation is overdue, and how long before its expiry a version is due."""
Places = tuple[tuple[str, str], ...]
"""Pairs of server and place."""
_STATES: Final[Mapping[Reason, CredentialState]] = {
    Reason.FAILING: CredentialState.FAILING,
    Reason.LACKING: CredentialState.LACKING,
    Reason.RECONNECT: CredentialState.RECONNECT,
    Reason.EXPIRED: CredentialState.OVERDUE,
    Reason.OVERDUE: CredentialState.OVERDUE,
    Reason.EXPIRING: CredentialState.DUE,
    Reason.DUE: CredentialState.DUE,
}


def find_credential(snapshot: Snapshot, ref: str) -> Credential:
    """Return a credential by name or UUID.

    Raises:
        Missing: there is none, or it ended.
    """
    for one in standing(snapshot):
        if ref in {one.name, str(one.id)}:
            return one
    raise Missing(f"there is no credential {ref!r}", fix="`coatcheck credential list` names them")


def standing(snapshot: Snapshot) -> Iterator[Credential]:
    """Yield the credentials that have not ended."""
    return (one for one in snapshot.registry.credentials.values() if one.ended_at is None)


def used_by(snapshot: Snapshot) -> Mapping[str, Places]:
    """Return by name of a credential which servers use it and where, disabled servers among them."""
    found: dict[str, set[tuple[str, str]]] = {}
    for name, server, place in _all_uses(snapshot):
        found.setdefault(name, set()).add((server, place))
    return {name: tuple(sorted(places)) for name, places in found.items()}


def _all_uses(snapshot: Snapshot) -> Iterator[tuple[str, str, str]]:
    """Yield (credential, server, place), some of them more than once."""
    written: list[StoredServer | DeclaredServer] = list(snapshot.declared.declaration.servers)
    written += [one for one in snapshot.registry.servers.values() if one.ended_at is None]
    for one in written:
        for place, blank in one.blanks.items():
            yield from ((name, one.name, place) for name in blank.names)
    for declared in snapshot.declared.declaration.servers:
        id = snapshot.declared.servers[declared.name].id
        for place in declared.custody:
            credential = snapshot.registry.credentials.get(id_of_file(id, place))
            if credential is not None:
                yield credential.name, declared.name, place


def view_of(
    credential: Credential, places: Places, in_use: Mapping[int, int], now: datetime
) -> CredentialView:
    """Return what is shown of a credential."""
    active = credential.active
    reasons = [reason for reason, _ in _reasons(credential, places, now)]
    state = next((_STATES[one] for one in reasons if one in _STATES), CredentialState.OK)
    return CredentialView(
        id=credential.id,
        name=credential.name,
        custody=credential.custody,
        kind=credential.kind,
        owner=credential.owner,
        versions=tuple(_version(one, in_use.get(one.number, 0)) for one in credential.versions),
        interval=credential.interval,
        due_at=_due_at(credential),
        state=state,
        used_by=places,
        on_refusal=credential.on_refusal,
        note=credential.note,
        expires_at=active.expires_at if active is not None else None,
        created_at=credential.created_at,
        created_by=credential.created_by,
        oauth=_oauth(credential.oauth),
        warnings=tuple(_warnings(credential, places)),
        ended_at=credential.ended_at,
        version=credential.version,
    )


def due_of(view: CredentialView, credential: Credential, now: datetime) -> Due | None:
    """Return why a credential is in the rotation plan; None if it is not."""
    reasons = list(_reasons(credential, view.used_by, now))
    if not reasons:
        return None
    return Due(view, tuple(reason for reason, _ in reasons), reasons[0][1])


def _reasons(
    credential: Credential, places: Places, now: datetime
) -> Iterator[tuple[Reason, datetime | None]]:
    """Yield what is to be said of a credential, the gravest first, and since when it is so."""
    active, terms = credential.active, credential.oauth
    is_oauth = credential.kind is CredentialKind.OAUTH
    if active is not None and active.refused_at is not None:
        yield Reason.FAILING, active.refused_at
    if terms is not None and (
        terms.reconnect or (active is None and terms.grant_type == "authorization_code")
    ):
        yield Reason.RECONNECT, None
    elif active is None and not is_oauth:
        yield Reason.LACKING, credential.created_at
    if active is not None and not is_oauth:
        yield from _of_time(active.expires_at, _due_at(credential), now)
    staged = credential.at(Stage.STAGED)
    if staged is not None:
        yield Reason.STAGED, staged.made_at
    if active is not None and not is_oauth and active.assurance in {Assurance.NEVER, Assurance.SKIPPED}:
        yield Reason.NEVER_VERIFIED, active.activated_at
    if not places:
        yield Reason.UNUSED, None


def _of_time(
    expires_at: datetime | None, due_at: datetime | None, now: datetime
) -> Iterator[tuple[Reason, datetime]]:
    overdue = due_at is not None and due_at + GRACE <= now
    if expires_at is not None and expires_at <= now:
        yield Reason.EXPIRED, expires_at
    if due_at is not None and overdue:
        yield Reason.OVERDUE, due_at
    if expires_at is not None and now < expires_at <= now + GRACE:
        yield Reason.EXPIRING, expires_at - GRACE
    if due_at is not None and not overdue and due_at <= now:
        yield Reason.DUE, due_at


def _due_at(credential: Credential) -> datetime | None:
    active = credential.active
    if active is None or credential.interval is None or credential.kind is CredentialKind.OAUTH:
        return None
    return (active.activated_at or active.made_at) + timedelta(days=credential.interval)


def _warnings(credential: Credential, places: Places) -> Iterator[str]:
    active = credential.active
    if active is not None and active.material is not None and credential.kind is CredentialKind.VALUE:
        yield from warnings_on(active.material)
    if any(place.startswith("args/") for _, place in places):
        yield "it stands among the arguments of a command, which every local account can see"
    if credential.custody is Custody.LITERAL:
        yield "it is written out in the servers file: name a variable, a file or a credential instead"


def _version(one: CredentialVersion, in_use: int) -> VersionView:
    return VersionView(
        number=one.number,
        stage=one.stage,
        print=one.print,
        made_at=one.made_at,
        made_by=one.made_by,
        assurance=one.assurance,
        kept=one.material is not None,
        verified_at=one.verified_at,
        activated_at=one.activated_at,
        ended_at=one.ended_at,
        expires_at=one.expires_at,
        refused_at=one.refused_at,
        refused_by=one.refused_by,
        in_use=in_use,
    )


def _oauth(terms: OauthTerms | None) -> OauthView | None:
    if terms is None:
        return None
    return OauthView(
        terms.grant_type,
        terms.resource,
        terms.issuer,
        terms.client_id,
        terms.scopes,
        terms.registered,
        terms.reconnect,
    )
