"""Which grants are listed: by whom they are of, what they reach, how they stand and when they were used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from coatcheck.core.access import globs
from coatcheck.model.grant import IssuedGrant
from coatcheck.model.server import Source
from coatcheck.model.stored_policy import UseKind
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.desk import server_id_of
from coatcheck.operations.registry.granting.showing import AnyGrant, all_grants, end_of, state_of
from coatcheck.operations.registry.patches import GrantFilter


def matching(
    snapshot: Snapshot, wanted: GrantFilter, now: datetime, last: Mapping[str, datetime]
) -> Iterator[AnyGrant]:
    """Yield the grants that a filter means. `last` is when each was last used, where the filter asks.

    Raises:
        Missing: the server of the filter.
    """
    server = server_id_of(snapshot, wanted.server) if wanted.server is not None else None
    under = _under(snapshot, wanted.policy) if wanted.policy is not None else None
    words = wanted.text.casefold().split()
    for grant in all_grants(snapshot):
        if under is not None and grant.id not in under:
            continue
        if server is not None and not grant.may_reach(server):
            continue
        if not _is_named(grant, wanted, words) or not _ends_as(grant, wanted):
            continue
        if wanted.asks_for_uses and not _is_used_as(last.get(grant.id), wanted):
            continue
        if (wanted.state, wanted.over) != (None, None):
            state = state_of(snapshot, grant, now)
            if wanted.state not in {None, state} or wanted.over not in {None, state.is_over}:
                continue
        yield grant


def _under(snapshot: Snapshot, policy: str) -> frozenset[str]:
    """Return the ids of the grants that a policy is used on."""
    uses = snapshot.registry.live_uses()
    return frozenset(use.of for use in uses if use.kind is UseKind.GRANT and use.policy == policy)


def _is_named(grant: AnyGrant, wanted: GrantFilter, words: list[str]) -> bool:
    source = Source.STORE if isinstance(grant, IssuedGrant) else Source.FILE
    if wanted.source is not None and wanted.source != source.value:
        return False
    if wanted.subject is not None and wanted.subject != grant.subject:
        return False
    if wanted.everywhere is not None and wanted.everywhere is not (grant.servers is None):
        return False
    if wanted.label is not None and not globs.matches(wanted.label, grant.label):
        return False
    if not words:
        return True
    text = f"{grant.label}\n{grant.subject}\n{grant.id}\n{getattr(grant, 'note', '')}".casefold()
    return all(word in text for word in words)


def _ends_as(grant: AnyGrant, wanted: GrantFilter) -> bool:
    end = end_of(grant)
    if wanted.endless is not None and wanted.endless is not (end is None):
        return False
    return wanted.ends_before is None or (end is not None and end < wanted.ends_before)


def _is_used_as(last: datetime | None, wanted: GrantFilter) -> bool:
    if wanted.never_used is not None and wanted.never_used is not (last is None):
        return False
    if wanted.used_since is not None and (last is None or last < wanted.used_since):
        return False
    return wanted.unused_since is None or last is None or last < wanted.unused_since
