"""Policies and what they are used on, as they are shown and as the admin log tells them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from msgspec import Raw

from coatcheck.core.policy.builtin import BUILT_IN
from coatcheck.core.policy.writing import write_json
from coatcheck.errors import Missing
from coatcheck.model.stored_policy import PolicyUse, StoredPolicy, UseKind
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.policies.views import PolicyView, UseView
from coatcheck.operations.registry.desk import server_name_of
from coatcheck.operations.registry.granting.showing import all_grants

MOST_TOLD: Final = 64 * 1024
"""Longer documents are told in the admin log by their SHA-256: the store keeps every version."""


def stored_policy(snapshot: Snapshot, name: str) -> StoredPolicy:
    """Return a stored policy that has not ended.

    Raises:
        Missing: there is none.
    """
    found = snapshot.registry.policies.get(name)
    if found is None or found.ended_at is not None:
        raise Missing(f"there is no policy {name!r}", fix="`coatcheck policy list` names the policies")
    return found


def uses_of(snapshot: Snapshot, name: str) -> list[PolicyUse]:
    """Return what a policy is used on now, in a stable order."""
    uses = (use for use in snapshot.registry.live_uses() if use.policy == name)
    return sorted(uses, key=_place_of)


def _place_of(use: PolicyUse) -> tuple[int, str, str]:
    return list(UseKind).index(use.kind), use.of, str(use.server or "")


def policy_view(snapshot: Snapshot, stored: StoredPolicy) -> PolicyView:
    """Return a stored policy as it is shown."""
    return _stored_view(stored, use_views(snapshot, uses_of(snapshot, stored.name)))


def built_in_view(snapshot: Snapshot, name: str) -> PolicyView:
    """Return one of the policies that need no document."""
    return PolicyView(name, BUILT_IN[name], use_views(snapshot, uses_of(snapshot, name)))


def policy_views(snapshot: Snapshot) -> Iterator[PolicyView]:
    """Yield all policies, in use or not: thousands of uses are gone through once, not once for each."""
    used: dict[str, list[UseView]] = {}
    for view in use_views(snapshot, sorted(snapshot.registry.live_uses(), key=_place_of)):
        used.setdefault(view.policy, []).append(view)
    for name, policy in BUILT_IN.items():
        yield PolicyView(name, policy, tuple(used.get(name, ())))
    for stored in snapshot.registry.policies.values():
        yield _stored_view(stored, tuple(used.get(stored.name, ())))


def _stored_view(stored: StoredPolicy, uses: tuple[UseView, ...]) -> PolicyView:
    return PolicyView(
        stored.name,
        stored.policy,
        uses,
        stored.at,
        stored.by,
        stored.because,
        stored.ended_at,
        stored.version,
    )


def use_view(snapshot: Snapshot, use: PolicyUse, instead_of: str = "") -> UseView:
    """Return a use as it is shown."""
    return replace(use_views(snapshot, [use])[0], instead_of=instead_of)


def use_views(snapshot: Snapshot, uses: Sequence[PolicyUse]) -> tuple[UseView, ...]:
    """Return uses as they are shown, in their order; what grants are called is looked up once for all."""
    wanted = {use.of for use in uses if use.kind is UseKind.GRANT}
    labels = {grant.id: grant.label for grant in all_grants(snapshot) if grant.id in wanted} if wanted else {}
    return tuple(
        UseView(
            use.policy,
            use.kind,
            use.of,
            server_name_of(snapshot, UUID(use.of))
            if use.kind is UseKind.SERVER
            else labels.get(use.of, use.of),
            "" if use.server is None else server_name_of(snapshot, use.server),
            use.at,
            use.by,
            use.because,
            "",
        )
        for use in uses
    )


def words_of(view: UseView) -> str:
    """Return a use in words, such as `the grant ci on github`."""
    if view.kind is UseKind.EVERYTHING:
        return "everything"
    return f"the {view.kind} {view.shown}{f' on {view.server}' if view.server else ''}"


# --- the admin log ---------------------------------------------------------------------------------------


def told_of(stored: StoredPolicy | None) -> dict[str, Any] | None:
    """Return what the admin log tells of a policy."""
    if stored is None:
        return None
    document = write_json(stored.policy)
    told: dict[str, Any] = {
        "version": stored.version,
        "ended_at": None if stored.ended_at is None else stored.ended_at.isoformat(timespec="seconds"),
        "sha256": hashlib.sha256(document).hexdigest(),
    }
    if len(document) <= MOST_TOLD:
        told["document"] = Raw(document)
    return told


def told_of_use(use: PolicyUse | None) -> dict[str, Any] | None:
    """Return what the admin log tells of a use that has not ended."""
    if use is None or use.ended_at is not None:
        return None
    server = None if use.server is None else str(use.server)
    return {"policy": use.policy, "on": use.kind.value, "of": use.of, "server": server}
