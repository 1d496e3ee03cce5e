"""Grants of both sources as they are shown, and finding them by label or id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from coatcheck.errors import Missing
from coatcheck.model.change import ObjectKind
from coatcheck.model.grant import Grant, IssuedGrant, Seen
from coatcheck.model.server import Source
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.merging import verdict_on
from coatcheck.operations.registry.desk import server_name_of
from coatcheck.operations.registry.views import GrantState, GrantView

AnyGrant = Grant | IssuedGrant
SETTLED: Final = timedelta(days=7)
"""Only of a grant that is older is it told that it is not used."""


def find_grant(snapshot: Snapshot, ref: str, now: datetime) -> AnyGrant:
    """Return a grant by label, the live one first and then the newest, or by id.

    Raises:
        Missing: there is none.
    """
    labelled = [grant for grant in all_grants(snapshot) if grant.label == ref]
    if labelled:
        return max(labelled, key=lambda grant: _precedence(snapshot, grant, now))
    found = snapshot.registry.grants.get(ref) or file_grant(snapshot, ref)
    if found is None:
        raise Missing(f"there is no grant {ref!r}", fix="`coatcheck grant list` names the grants")
    return found


def file_grant(snapshot: Snapshot, id: str) -> Grant | None:
    """Return a grant that the file declares, revoked or not."""
    return next((grant for grant in snapshot.declared.grants.values() if grant.id == id), None)


def all_grants(snapshot: Snapshot) -> Iterator[AnyGrant]:
    """Yield the grants of both sources, those that are over among them."""
    yield from snapshot.registry.grants.values()
    yield from snapshot.declared.grants.values()


def end_of(grant: AnyGrant) -> datetime | None:
    """Return when a grant expires; None: never, as those of the file."""
    return grant.expires_at if isinstance(grant, IssuedGrant) else None


def is_settled(grant: AnyGrant, now: datetime) -> bool:
    """Tell whether a grant is so old that not using it tells something; those of the file have no age."""
    return not isinstance(grant, IssuedGrant) or grant.issued_at < now - SETTLED


def live_labels(snapshot: Snapshot, now: datetime) -> set[str]:
    """Return the labels that are in use."""
    labels = {grant.label for grant in snapshot.registry.grants.values() if not grant.is_over(now)}
    return labels | {grant.label for grant in snapshot.live.values()}


def state_of(snapshot: Snapshot, grant: AnyGrant, now: datetime) -> GrantState:
    """Return how a grant stands. Pages ask it of all of them, so it takes no detour."""
    state = GrantState.LIVE
    if isinstance(grant, IssuedGrant):
        if grant.is_over(now):
            return _how_it_ended(grant)
        if not grant.proofs:
            state = GrantState.UNCLAIMED
    elif verdict_on(snapshot.registry, ObjectKind.GRANT, grant.id) is not None:
        return GrantState.REVOKED
    subject = snapshot.registry.subjects.get(grant.subject)
    return GrantState.DISABLED if subject is not None and subject.disabled else state


def view_of(snapshot: Snapshot, grant: AnyGrant, now: datetime, uses: Sequence[Seen] = ()) -> GrantView:
    """Return a grant as it is shown. `uses` are newest first."""
    names = (
        tuple(sorted(server_name_of(snapshot, id) for id in grant.servers))
        if grant.servers is not None
        else None
    )
    state = state_of(snapshot, grant, now)
    last = uses[0] if uses else None
    if isinstance(grant, Grant):
        return _view_of_declared(snapshot, grant, names, state, last, tuple(uses))
    return GrantView(
        id=grant.id,
        label=grant.label,
        subject=grant.subject,
        servers=names,
        tools=grant.tools,
        source=Source.STORE,
        state=state,
        issued_at=grant.issued_at,
        issued_by=grant.issued_by,
        expires_at=grant.expires_at,
        revoked_at=grant.revoked_at,
        revoked_by=grant.revoked_by,
        because=grant.because,
        note=grant.note,
        claim_until=grant.claim.until if grant.claim is not None else None,
        overlap_until=next(
            (proof.until for proof in grant.proofs if proof.until is not None and proof.until > now), None
        ),
        last_used=last,
        clients=tuple(uses),
        version=grant.version,
    )


def _view_of_declared(
    snapshot: Snapshot,
    grant: Grant,
    names: tuple[str, ...] | None,
    state: GrantState,
    last: Seen | None,
    clients: tuple[Seen, ...],
) -> GrantView:
    word = verdict_on(snapshot.registry, ObjectKind.GRANT, grant.id)
    written = snapshot.registry.overrides.get((ObjectKind.GRANT, grant.id))
    return GrantView(
        id=grant.id,
        label=grant.label,
        subject=grant.subject,
        servers=names,
        tools=None,
        source=Source.FILE,
        state=state,
        revoked_at=word.at if word is not None else None,
        revoked_by=word.by if word is not None else "",
        because=word.because if word is not None else "",
        last_used=last,
        clients=clients,
        version=written.version if written is not None else 0,
    )


def _how_it_ended(grant: IssuedGrant) -> GrantState:
    if grant.revoked_at is not None and not grant.expired_by(grant.revoked_at):
        return GrantState.REVOKED
    return GrantState.EXPIRED


def _precedence(snapshot: Snapshot, grant: AnyGrant, now: datetime) -> tuple[bool, float]:
    live = not state_of(snapshot, grant, now).is_over
    issued = grant.issued_at.timestamp() if isinstance(grant, IssuedGrant) else 0.0
    return live, issued
