"""Grants: issued, rotated, changed, revoked, claimed; those of the file can be revoked and restored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from coatcheck.core import tokens
from coatcheck.errors import CallerError, Missing, Taken, Unfit
from coatcheck.model.change import ObjectKind
from coatcheck.model.grant import IssuedGrant
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.model.registry import Edit, Verdict
from coatcheck.operations.cutting import Gone, Open
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.policies.using import check_may_use
from coatcheck.operations.registry import changes, fitness
from coatcheck.operations.registry.desk import Desk, check_version, server_id_of
from coatcheck.operations.registry.granting.ending import overriding, revoking
from coatcheck.operations.registry.granting.filtering import matching
from coatcheck.operations.registry.granting.making import (
    Made,
    Making,
    labels_for,
    rotated,
    scope_of,
    scope_without,
    with_token,
)
from coatcheck.operations.registry.granting.showing import (
    AnyGrant,
    find_grant,
    live_labels,
    state_of,
    view_of,
)
from coatcheck.operations.registry.paging import page_of
from coatcheck.operations.registry.patches import UNSAID, GrantFilter, GrantPatch, NewGrant
from coatcheck.operations.registry.views import Ended, GrantState, GrantView, Issued, Page

MAX_MANY: Final = 1_000
MAX_OVERLAP: Final = 86_400.0
_OF_FILE: Final = "edit the file; here it can only be revoked and restored"
_CHOOSE: Final = "choose from the grants that are listed"
_NO_CLAIM: Final = "This link is not good: it was used, is too old, or was never given out."


class Grants:
    """The grants of both sources. `ref` is a label (a live grant's first) or an id.

    What changes anything raises `StoreUnavailable` (an `Unavailable`) if it cannot be made durable.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def issue(self, actor: Actor, new: NewGrant) -> Issued:
        """Issue one grant, with its policy if it names one; its subject is made if it is new.

        Raises:
            Unfit: a label, subject, tool glob or time that cannot be.
            Missing: a server or policy that there is none of.
            Forbidden: it names a policy, and the actor may not use policies.
            Taken: a live grant has the label.
        """
        return (await self._issue(actor, [new]))[0]

    async def issue_many(self, actor: Actor, many: Sequence[NewGrant]) -> Sequence[Issued]:
        """Issue up to `MAX_MANY` grants, or none of them. Raises as `issue` does; the message says which."""
        if not 1 <= len(many) <= MAX_MANY:
            raise Unfit(f"1 to {MAX_MANY} grants are issued at once")
        return await self._issue(actor, many)

    async def _issue(self, actor: Actor, many: Sequence[NewGrant]) -> list[Issued]:
        if any(new.policy for new in many):
            check_may_use(actor)
        making: list[Making] = []

        def make(snapshot: Snapshot) -> Edit:
            making.append(Making(self._desk, snapshot, actor))
            for number, new in enumerate(many, 1):
                try:
                    making[0].add(new)
                except CallerError as error:
                    if len(many) > 1:
                        error.message = f"grant {number}: {error.message}"
                        error.args = (error.message,)
                    raise
            return making[0].edit()

        edited = await self._desk.book.edit(make)
        return [self._issued(edited.snapshot, made) for made in making[0].made]

    async def rotate(
        self, actor: Actor, ref: str, overlap_seconds: float = 0.0, version: int | None = None
    ) -> Issued:
        """Give a grant a new token; the old one stays good for `overlap_seconds`, at most a day.

        Raises:
            Missing, Stale: as for `change`.
            Unfit: it is of the file, over or unclaimed, or the overlap is out of range.
        """
        if not 0.0 <= overlap_seconds <= MAX_OVERLAP:
            raise Unfit(f"the overlap is from 0 to {MAX_OVERLAP:g} seconds")
        made: list[Made] = []
        dropped: list[bool] = []

        def make(snapshot: Snapshot) -> Edit:
            grant = self._own(snapshot, ref, version)
            if not grant.proofs:
                raise Unfit("nobody claimed this grant yet", fix="revoke it and issue another")
            made.append(rotated(self._desk, grant, timedelta(seconds=overlap_seconds)))
            dropped.append(len(grant.proofs) > 1)
            return self._edit(actor, "grant.rotate", grant, made[0].grant)

        edited = await self._desk.book.edit(make)
        self_only = frozenset({made[0].grant.id})
        if not overlap_seconds:  # whatever the old token began is over
            await self._desk.book.cutting.begin(Gone(self_only)).wait()
        elif dropped[0]:
            await self._desk.book.cutting.begin(Gone(altered=self_only)).wait()
        return self._issued(edited.snapshot, made[0])

    async def change(self, actor: Actor, ref: str, patch: GrantPatch, version: int | None) -> GrantView:
        """Change what a grant is called, reaches and how long it lasts. Streams end if its scope changed.

        Raises:
            Missing: no such grant, or a server that there is none of.
            Stale: it is not at `version`.
            Taken: a live grant has the label.
            Unfit: it is of the file or over, or a value cannot be.
        """
        ids: list[str] = []

        def make(snapshot: Snapshot) -> Edit:
            grant = self._own(snapshot, ref, version)
            ids.append(grant.id)
            changed = replace(grant, **self._fields(snapshot, grant, patch), version=grant.version + 1)
            return self._edit(actor, "grant.change", grant, changed)

        edited = await self._desk.book.edit(make)
        await edited.ending.wait()
        return await self.get(ids[0])

    async def withdraw(
        self, actor: Actor, subject: str, server: str, versions: Mapping[str, int]
    ) -> Sequence[str]:
        """Take a server from some grants of one owner, all or none; return their labels. Their streams end.

        `versions` are those that the operator saw, by id. A grant for every server is for those that are in
        use now, then, and for none that is added later.

        Raises:
            Missing: no such server or grant.
            Stale: one of them was changed since.
            Unfit: none or too many, or one that is of the file, over, of another owner, does not reach the
                server, or would be left with nothing.
        """
        if not 1 <= len(versions) <= MAX_MANY:
            raise Unfit(f"a server is taken from 1 to {MAX_MANY} grants at once", fix="choose some")
        labels: list[str] = []

        def make(snapshot: Snapshot) -> Edit:
            labels.clear()
            taken, edits = server_id_of(snapshot, server), []
            for id, version in versions.items():
                grant = self._own(snapshot, id, version)
                left = _left_of(snapshot, grant, subject, taken)
                after = replace(grant, servers=left, version=grant.version + 1)
                edits.append(self._edit(actor, "grant.change", grant, after))
                labels.append(grant.label)
            return Edit(
                tuple(put for one in edits for put in one.puts),
                tuple(change for one in edits for change in one.changes),
            )

        edited = await self._desk.book.edit(make)
        await edited.ending.wait()
        return labels

    async def revoke(self, actor: Actor, refs: Sequence[str], because: str) -> Ended:
        """Revoke grants of either source, all or none; returns when their calls, streams and sessions ended.

        One that was revoked before is left as it is.

        Raises:
            Missing: one of them does not exist; nothing was revoked.
        """
        started = self._desk.clock.monotonic()
        fitness.note_of(because, "a reason")
        found: list[AnyGrant] = []
        revoked: list[str] = []

        def make(snapshot: Snapshot) -> Edit | None:
            wanted = {id(grant): grant for grant in (self._find(snapshot, ref) for ref in refs)}
            found.extend(wanted.values())
            puts, log = revoking(self._desk, snapshot, actor, found, because)
            revoked.extend(change.object_id for change in log)
            return Edit(tuple(puts), tuple(log)) if puts else None

        edited = await self._desk.book.edit(make)
        snapshot, now = edited.snapshot, self._desk.now()
        views = tuple(view_of(snapshot, snapshot.registry.grants.get(one.id, one), now) for one in found)
        return await self._desk.ended(edited, started, views, revoked)

    async def restore(self, actor: Actor, ref: str) -> GrantView:
        """Lift the revocation of a grant of the file.

        Raises:
            Missing: no such grant.
            Unfit: it was issued here (issue another), or is not revoked.
            Taken: a live grant has the label meanwhile.
        """
        ids: list[str] = []

        def make(snapshot: Snapshot) -> Edit:
            grant = self._find(snapshot, ref)
            ids.append(grant.id)
            if isinstance(grant, IssuedGrant):
                raise Unfit("a grant that was issued here is never restored", fix="issue another")
            if state_of(snapshot, grant, self._desk.now()) is not GrantState.REVOKED:
                raise Unfit("this grant is not revoked")
            if grant.label in live_labels(snapshot, self._desk.now()):
                raise Taken(f"a live grant is labelled {grant.label!r} meanwhile", fix="revoke that first")
            what = (ObjectKind.GRANT, grant.id, grant.label)
            word, change = overriding(self._desk, snapshot, actor, what, Verdict.REVOKED, "", lifted=True)
            return Edit((word,), (change,))

        await self._desk.book.edit(make)
        return await self.get(ids[0])

    # --- looking -----------------------------------------------------------------------------------------

    async def get(self, ref: str) -> GrantView:
        """Return one grant with its last uses.

        Raises:
            Missing: there is none.
        """
        grant = self._find(self._desk.snapshot, ref)
        uses = await self._desk.seen.of([grant.id])
        return view_of(self._desk.snapshot, grant, self._desk.now(), uses.get(grant.id, ()))

    async def list(self, wanted: GrantFilter) -> Page[GrantView]:
        """Return a page of grants.

        Raises:
            Unfit: a limit or cursor that cannot be.
            Missing: the server of the filter.
        """
        snapshot, now = self._desk.snapshot, self._desk.now()
        last = await self._desk.seen.last_uses() if wanted.asks_for_uses else {}
        found = matching(snapshot, wanted, now, last)
        page = page_of(
            found, lambda grant: (grant.label, grant.id), wanted.limit, wanted.after, wanted.before
        )
        uses = await self._desk.seen.of([grant.id for grant in page.items])
        views = [view_of(snapshot, grant, now, uses.get(grant.id, ())) for grant in page.items]
        return Page(views, page.next, page.previous, page.found)

    def labels_for(self, subjects: Sequence[str]) -> Sequence[str]:
        """Return labels that are free, made of the names of owners; no two are the same."""
        return labels_for(self._desk.snapshot, subjects, self._desk.now())

    def open_now(self, refs: Sequence[str]) -> Open:
        """Return what would end now if grants were revoked.

        Raises:
            Missing: one of them does not exist.
        """
        snapshot = self._desk.snapshot
        return self._desk.book.cutting.open_of(frozenset(self._find(snapshot, ref).id for ref in refs))

    # --- claiming ----------------------------------------------------------------------------------------

    def claimable(self, code: str) -> GrantView:
        """Return the grant that a claim code would fetch; changes nothing.

        Raises:
            Missing: the code is unknown, used or too old, or its grant is over. One sentence for all.
        """
        snapshot = self._desk.snapshot
        return view_of(snapshot, self._claimed_by(snapshot, code), self._desk.now())

    async def claim(self, code: str, origin: str) -> Issued:
        """Make the token of a grant that waits for its claim, once. Raises as `claimable` does."""
        made: list[Made] = []

        def make(snapshot: Snapshot) -> Edit:
            grant = self._claimed_by(snapshot, code)
            actor = Actor(grant.subject, OperatorRole.VIEWER, origin)
            first = with_token(self._desk, grant, code)
            made.append(replace(first, grant=replace(first.grant, version=grant.version + 1)))
            return self._edit(actor, "grant.claim", grant, made[0].grant)

        edited = await self._desk.book.edit(make)
        return self._issued(edited.snapshot, made[0])

    def _claimed_by(self, snapshot: Snapshot, code: str) -> IssuedGrant:
        well = code.startswith(tokens.CODE_PREFIX) and tokens.is_well_formed(code)
        grant = snapshot.registry.grants.get(tokens.public_id(code)) if well else None
        claim = grant.claim if grant is not None else None
        good = self._desk.pepper.fits(code, claim.code_hmac if claim is not None else "")
        now = self._desk.now()
        if not good or grant is None or claim is None or claim.until <= now:
            raise Missing(_NO_CLAIM, fix="ask whoever sent it for another")
        if state_of(snapshot, grant, now) is not GrantState.UNCLAIMED:
            raise Missing(_NO_CLAIM, fix="ask whoever sent it for another")
        return grant

    # --- within ------------------------------------------------------------------------------------------

    def _find(self, snapshot: Snapshot, ref: str) -> AnyGrant:
        return find_grant(snapshot, ref, self._desk.now())

    def _own(self, snapshot: Snapshot, ref: str, version: int | None) -> IssuedGrant:
        """Return an issued grant that is not over, at the version that the caller knows."""
        grant = self._find(snapshot, ref)
        if not isinstance(grant, IssuedGrant):
            raise Unfit(f"the grant {grant.label!r} is declared in the file", fix=_OF_FILE)
        check_version(grant.version, version, f"the grant {grant.label!r}")
        if grant.is_over(self._desk.now()):
            raise Unfit(f"the grant {grant.label!r} is over", fix="issue another")
        return grant

    def _fields(self, snapshot: Snapshot, grant: IssuedGrant, patch: GrantPatch) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        now = self._desk.now()
        if patch.label is not UNSAID and patch.label != grant.label:
            fields["label"] = label = fitness.label_of(str(patch.label))
            if label in live_labels(snapshot, now) or label in snapshot.registry.grants:
                raise Taken(f"a live grant is labelled {label!r} already", fix="choose another label")
        if patch.servers is not UNSAID:
            fields["servers"] = scope_of(snapshot, patch.servers)
        if patch.tools is not UNSAID:
            fields["tools"] = fitness.tools_of(patch.tools)
        if patch.expires_at is not UNSAID:
            fields["expires_at"] = fitness.end_of(patch.expires_at, now)
        if patch.note is not UNSAID:
            fields["note"] = fitness.note_of(str(patch.note))
        return fields

    def _edit(self, actor: Actor, action: str, before: IssuedGrant, after: IssuedGrant) -> Edit:
        what = (ObjectKind.GRANT, after.id, after.label)
        outlines = changes.of_grant(before), changes.of_grant(after)
        return Edit((after,), (self._desk.scribe.changed(actor, action, what, *outlines),))

    def _issued(self, snapshot: Snapshot, made: Made) -> Issued:
        return Issued(view_of(snapshot, made.grant, self._desk.now()), made.token, made.claim_code)


def _left_of(snapshot: Snapshot, grant: IssuedGrant, subject: str, server: UUID) -> frozenset[UUID]:
    """Return the servers that a grant of somebody is left with when one is taken from it.

    Raises:
        Unfit: it is of another owner, does not reach the server, or nothing is left.
    """
    if grant.subject != subject:
        raise Unfit(f"the grant {grant.label!r} is not of {subject!r}", fix=_CHOOSE)
    if grant.servers is not None and server not in grant.servers:
        raise Unfit(f"the grant {grant.label!r} does not reach this server", fix=_CHOOSE)
    left = scope_without(snapshot, grant.servers, server)
    if not left:
        raise Unfit(
            f"the grant {grant.label!r} would be left with no server", fix="revoke it in place of this"
        )
    return left
