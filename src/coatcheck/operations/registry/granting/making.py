"""Making issued grants: new ones, new tokens for those that are, and the record that goes with each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Final
from uuid import UUID

from coatcheck.core import tokens
from coatcheck.errors import Taken, Unfit
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.grant import Claim, IssuedGrant, Proof
from coatcheck.model.operator import Actor
from coatcheck.model.registry import Edit, Object
from coatcheck.model.secret import Secret
from coatcheck.model.subject import Subject
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.policies.using import FirstUses
from coatcheck.operations.registry import changes, fitness
from coatcheck.operations.registry.desk import Desk, server_id_of
from coatcheck.operations.registry.granting.showing import live_labels
from coatcheck.operations.registry.patches import UNSAID, USUAL_LIFE, NewGrant

CLAIM_LIFE: Final = timedelta(hours=72)
"""How long a claim link can be used."""
MAX_PROPOSED: Final = 60
"""How many characters a label has at most that is proposed."""
_NO_LABEL: Final = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Made:
    """A new grant with what is shown of it once: the token, or the code that fetches it."""

    grant: IssuedGrant
    token: Secret | None
    claim_code: Secret | None


class Making:
    """Makes grants for one edit: labels and subjects of all of them are judged together."""

    def __init__(self, desk: Desk, snapshot: Snapshot, actor: Actor) -> None:
        self.made: list[Made] = []
        self._desk = desk
        self._snapshot = snapshot
        self._actor = actor
        self._now = desk.now()
        self._labels = live_labels(snapshot, self._now)
        self._puts: list[Object] = []
        self._changes: list[Change] = []
        self._subjects: dict[str, Subject] = {}
        self._expired = _expired_by_label(snapshot, self._now)
        self._uses = FirstUses(desk, snapshot, actor)

    def add(self, new: NewGrant) -> None:
        """Make one grant.

        Raises:
            Unfit, Missing, Taken: as `Grants.issue`.
        """
        label = fitness.label_of(new.label)
        if label in self._labels:
            raise Taken(
                f"a live grant is labelled {label!r} already", fix="choose another label, or revoke that"
            )
        if label in self._snapshot.registry.grants:
            raise Unfit(f"{label!r} is the id of a grant", fix="choose another label")
        self._labels.add(label)
        self._free(label)
        self._note_subject(fitness.subject_of(new.subject))
        grant = IssuedGrant(
            id="",
            label=label,
            subject=new.subject,
            servers=scope_of(self._snapshot, new.servers),
            tools=fitness.tools_of(new.tools),
            proofs=(),
            issued_at=self._now,
            issued_by=self._actor.name,
            expires_at=self._end(new),
            note=fitness.note_of(new.note),
        )
        made = with_code(self._desk, grant) if new.by_claim else with_token(self._desk, grant)
        self._keep(made)
        if new.policy:
            use, change = self._uses.put(new.policy, made.grant)
            self._puts.append(use)
            self._changes.append(change)

    def edit(self) -> Edit:
        """Return the edit that issues all that was made."""
        return Edit(tuple(self._puts), tuple(self._changes))

    def _end(self, new: NewGrant) -> datetime | None:
        if new.expires_at is UNSAID:
            return self._now + USUAL_LIFE
        assert not isinstance(new.expires_at, type(UNSAID))  # noqa: S101 - for the type checker
        return fitness.end_of(new.expires_at, self._now)

    def _keep(self, made: Made) -> None:
        grant = made.grant
        self.made.append(made)
        self._puts.append(grant)
        what = (ObjectKind.GRANT, grant.id, grant.label)
        after = changes.of_grant(grant)
        self._changes.append(self._desk.scribe.changed(self._actor, "grant.issue", what, None, after))

    def _free(self, label: str) -> None:
        """Take the label from grants that expired: they end for good."""
        for grant in self._expired.pop(label, ()):
            ended = replace(
                grant,
                revoked_at=self._now,
                revoked_by=self._actor.name,
                because="it had expired, and its label was given to another",
                version=grant.version + 1,
            )
            self._puts.append(ended)
            what = (ObjectKind.GRANT, grant.id, grant.label)
            outlines = changes.of_grant(grant), changes.of_grant(ended)
            self._changes.append(
                self._desk.scribe.changed(self._actor, "grant.revoke", what, *outlines, ended.because)
            )

    def _note_subject(self, name: str) -> None:
        known = self._snapshot.registry.subjects.get(name) or self._subjects.get(name)
        if known is not None and known.disabled:
            raise Unfit(f"the subject {name} is disabled", fix=f"run: coatcheck subject enable {name}")
        if known is not None:
            return
        subject = self._subjects[name] = Subject(name, created_at=self._now, version=1)
        self._puts.append(subject)
        what = (ObjectKind.SUBJECT, name, name)
        after = changes.of_subject(subject)
        self._changes.append(self._desk.scribe.changed(self._actor, "subject.add", what, None, after))


def scope_of(snapshot: Snapshot, servers: frozenset[str] | None) -> frozenset[UUID] | None:
    """Return the UUIDs of the servers that a grant is for; None: every server.

    Raises:
        Missing: a server that there is none of.
        Unfit: no server at all.
    """
    if servers is None:
        return None
    if not servers:
        raise Unfit("a grant for no server is good for nothing", fix="name servers, or choose all")
    return frozenset(server_id_of(snapshot, key) for key in servers)


def scope_without(snapshot: Snapshot, servers: frozenset[UUID] | None, server: UUID) -> frozenset[UUID]:
    """Return what is left of the servers that a grant is for; of every server, those that are in use now."""
    return frozenset(snapshot.by_id if servers is None else servers) - {server}


def with_token(desk: Desk, grant: IssuedGrant, code: str = "") -> Made:
    """Return a grant with its first token. `code`: the claim code that it is traded for; its id stays."""
    token = tokens.mint(desk.entropy.token, public=tokens.public_id(code) if code else "")
    public = tokens.public_id(token)
    made = replace(grant, id=public, proofs=(Proof(public, desk.pepper.prove(token)),), claim=None)
    return Made(made, Secret(token), None)


def with_code(desk: Desk, grant: IssuedGrant) -> Made:
    """Return a grant that waits for its claim."""
    code = tokens.mint(desk.entropy.token, tokens.CODE_PREFIX)
    claim = Claim(desk.pepper.prove(code), desk.now() + CLAIM_LIFE)
    return Made(replace(grant, id=tokens.public_id(code), claim=claim), None, Secret(code))


def rotated(desk: Desk, grant: IssuedGrant, overlap: timedelta) -> Made:
    """Return a grant with a new token; the newest before it is good for as long as the overlap."""
    token = tokens.mint(desk.entropy.token)
    newest = Proof(tokens.public_id(token), desk.pepper.prove(token))
    former = replace(grant.proofs[0], until=desk.now() + overlap)
    made = replace(grant, proofs=(newest, former), version=grant.version + 1)
    return Made(made, Secret(token), None)


def labels_for(snapshot: Snapshot, subjects: Sequence[str], now: datetime) -> list[str]:
    """Return labels that are free, made of the names of owners; no two are the same."""
    taken = live_labels(snapshot, now) | snapshot.registry.grants.keys()
    found: list[str] = []
    for subject in subjects:
        local = subject.partition("@")[0] or subject
        plain = _NO_LABEL.sub("-", local)[:MAX_PROPOSED].strip("-._")
        plain = "grant" if not plain or plain.startswith("file-") else plain
        free = next(label for label in _numbered(plain) if label not in taken)
        taken.add(free)
        found.append(free)
    return found


def _numbered(label: str) -> Iterator[str]:
    yield label
    yield from (f"{label}-{number}" for number in count(2))


def _expired_by_label(snapshot: Snapshot, now: datetime) -> dict[str, Sequence[IssuedGrant]]:
    """Return the grants that hold a label only because nobody revoked them after they had expired."""
    found: dict[str, list[IssuedGrant]] = {}
    for grant in snapshot.registry.grants.values():
        if grant.revoked_at is None and grant.is_over(now):
            found.setdefault(grant.label, []).append(grant)
    return {label: tuple(grants) for label, grants in found.items()}
