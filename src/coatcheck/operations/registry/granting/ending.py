"""Ending grants of either source in one edit, with the record of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.grant import IssuedGrant
from coatcheck.model.operator import Actor
from coatcheck.model.registry import Object, Override, Verdict
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.merging import verdict_on
from coatcheck.operations.registry import changes
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.showing import AnyGrant

Edits = tuple[list[Object], list[Change]]
"""What is put, and what is written in the admin log."""


def revoking(desk: Desk, snapshot: Snapshot, actor: Actor, grants: Iterable[AnyGrant], because: str) -> Edits:
    """Return what revokes grants; those that are revoked already are left out."""
    puts: list[Object] = []
    log: list[Change] = []
    for grant in grants:
        if isinstance(grant, IssuedGrant):
            if grant.revoked_at is None:
                _revoke_issued(desk, actor, grant, because, (puts, log))
        elif verdict_on(snapshot.registry, ObjectKind.GRANT, grant.id) is None:
            what = (ObjectKind.GRANT, grant.id, grant.label)
            word = overriding(desk, snapshot, actor, what, Verdict.REVOKED, because)
            puts.append(word[0])
            log.append(word[1])
    return puts, log


def _revoke_issued(desk: Desk, actor: Actor, grant: IssuedGrant, because: str, edits: Edits) -> None:
    ended = replace(
        grant,
        revoked_at=desk.now(),
        revoked_by=actor.name,
        because=because,
        claim=None,
        version=grant.version + 1,
    )
    what = (ObjectKind.GRANT, grant.id, grant.label)
    before, after = changes.of_grant(grant), changes.of_grant(ended)
    edits[0].append(ended)
    edits[1].append(desk.scribe.changed(actor, "grant.revoke", what, before, after, because))


def overriding(
    desk: Desk,
    snapshot: Snapshot,
    actor: Actor,
    what: tuple[ObjectKind, str, str],
    verdict: Verdict,
    because: str,
    *,
    lifted: bool = False,
) -> tuple[Override, Change]:
    """Return an operator's word on an object of the file, or its lifting, and the record of that."""
    kind, id, _ = what
    before = snapshot.registry.overrides.get((kind, id))
    version = before.version + 1 if before is not None else 1
    word = Override(kind, id, verdict, because, desk.now(), actor.name, version, lifted)
    verb = {Verdict.REVOKED: ("revoke", "restore"), Verdict.DISABLED: ("disable", "enable")}[verdict][lifted]
    outlines = changes.of_override(before), changes.of_override(word)
    return word, desk.scribe.changed(actor, f"{kind.value}.{verb}", what, *outlines, because)
