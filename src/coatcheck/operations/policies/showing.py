"""Policies and what they are used on, as they are shown and as the admin log tells them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
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

_KINDS: Final = tuple(UseKind)
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
    uses = snapshot.registry.policy_uses.values()
    found = [use for use in uses if use.policy == name and use.ended_at is None]
    return sorted(found, key=_place_of)


def _place_of(use: PolicyUse) -> tuple[int, str, str]:
    return _KINDS.index(use.kind), use.of, str(use.server or "")


def policy_view(snapshot: Snapshot, stored: StoredPolicy) -> PolicyView:
    """Return a stored policy as it is shown."""
    return view_with(snapshot, stored, uses_of(snapshot, stored.name))


def view_with(snapshot: Snapshot, stored: StoredPolicy | str, of: Iterable[PolicyUse]) -> PolicyView:
    """Return a policy as it is shown, or one that is always there by its name, with what it is used on."""
    uses = tuple(use_view(snapshot, use) for use in of)
    if isinstance(stored, str):
        return PolicyView(stored, BUILT_IN[stored], uses)
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


def uses_by_policy(snapshot: Snapshot) -> Mapping[str, list[PolicyUse]]:
    """Return what each policy is used on now, in a stable order."""
    found: dict[str, list[PolicyUse]] = {}
    for use in snapshot.registry.policy_uses.values():
        if use.ended_at is None:
            found.setdefault(use.policy, []).append(use)
    for uses in found.values():
        uses.sort(key=_place_of)
    return found


def use_view(snapshot: Snapshot, use: PolicyUse, instead_of: str = "") -> UseView:
    """Return a use as it is shown."""
    return UseView(
        use.policy,
        use.kind,
        use.of,
        _shown(snapshot, use),
        "" if use.server is None else server_name_of(snapshot, use.server),
        use.at,
        use.by,
        use.because,
        instead_of,
    )


def words_of(view: UseView) -> str:
    """Return a use in words, such as `the grant ci on github`."""
    if view.kind is UseKind.EVERYTHING:
        return "everything"
    return f"the {view.kind} {view.shown}{f' on {view.server}' if view.server else ''}"


def _shown(snapshot: Snapshot, use: PolicyUse) -> str:
    if use.kind is UseKind.SERVER:
        return server_name_of(snapshot, UUID(use.of))
    if use.kind is UseKind.GRANT:
        issued = snapshot.registry.grants.get(use.of)
        of_file = (grant.label for grant in snapshot.declared.grants.values() if grant.id == use.of)
        return issued.label if issued is not None else next(of_file, use.of)
    return use.of


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
