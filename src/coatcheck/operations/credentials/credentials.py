"""Credentials: added, changed, ended, and what is to be rotated. Their material goes in, and never out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from coatcheck.core.access import globs
from coatcheck.core.credentials import stages
from coatcheck.core.credentials.making import expiry_of, material_of
from coatcheck.core.credentials.naming import name_of
from coatcheck.errors import Taken, Unfit
from coatcheck.model.credential import (
    USUAL_INTERVAL,
    Credential,
    CredentialKind,
    CredentialVersion,
    Custody,
    Stage,
)
from coatcheck.model.operator import Actor
from coatcheck.model.registry import Edit
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.counter import Counter
from coatcheck.operations.credentials.patches import CredentialFilter, CredentialPatch, NewCredential
from coatcheck.operations.credentials.showing import due_of, find_credential, standing, used_by, view_of
from coatcheck.operations.credentials.terms import checked
from coatcheck.operations.credentials.views import CredentialView, Due, Reason
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry import fitness
from coatcheck.operations.registry.desk import check_version
from coatcheck.operations.registry.paging import page_of
from coatcheck.operations.registry.patches import UNSAID, Unsaid
from coatcheck.operations.registry.views import Page

MAX_INTERVAL: Final = 3_650


class Credentials:
    """The credentials. `ref` is a name or a UUID."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    async def add(self, actor: Actor, new: NewCredential) -> CredentialView:
        """Keep a credential. Material that is given is its first version, and active: nothing uses it yet.

        Raises:
            Unfit: a name, material, interval, time or OAuth term that cannot be.
            Taken: another credential has the name.
        """
        made = self._made(actor, new)

        def make(snapshot: Snapshot) -> Edit:
            if any(one.name == made.name for one in standing(snapshot)):
                raise Taken(f"there is a credential {made.name!r} already", fix="choose another name")
            return self._counter.edit(actor, "credential.add", None, made)

        await self._counter.desk.book.edit(make)
        return await self.get(str(made.id))

    def _made(self, actor: Actor, new: NewCredential) -> Credential:
        """Return a new credential as it is to be put.

        Raises:
            Unfit: as `add`.
        """
        if (new.kind is CredentialKind.OAUTH) is (new.oauth is None):
            raise Unfit("OAuth terms belong to credentials of the kind oauth, and each of those has some")
        now = self._counter.now()
        return Credential(
            id=self._counter.new_id(),
            name=name_of(new.name),
            custody=Custody.STORE,
            versions=self._first(actor, new),
            created_at=now,
            created_by=actor.name,
            kind=new.kind,
            owner=_owner(new.owner),
            interval=_interval(USUAL_INTERVAL if new.interval is UNSAID else new.interval),
            on_refusal=new.on_refusal,
            oauth=checked(new.oauth) if new.oauth is not None else None,
            note=fitness.note_of(new.note),
        )

    def _first(self, actor: Actor, new: NewCredential) -> tuple[CredentialVersion, ...]:
        if new.material is None:
            return ()
        if new.kind is CredentialKind.OAUTH:
            raise Unfit("an OAuth credential gets its tokens from its server, and none is given")
        now = self._counter.now()
        material = material_of(None, new.material.reveal(), lines=True)
        return (_first_version(self._counter, actor, material, fitness.end_of(new.expires_at, now)),)

    async def change(
        self, actor: Actor, ref: str, patch: CredentialPatch, version: int | None
    ) -> CredentialView:
        """Change what is known of a credential; its material is changed by rotation.

        Raises:
            Missing: there is none.
            Stale: it is not at `version`.
            Unfit: a value that cannot be.
        """

        def make(snapshot: Snapshot) -> Edit | None:
            before = find_credential(snapshot, ref)
            check_version(before.version, version, f"the credential {before.name}")
            after = self._patched(before, patch)
            if after == before:
                return None
            return self._counter.edit(actor, "credential.change", before, after)

        await self._counter.desk.book.edit(make)
        return await self.get(ref)

    def _patched(self, before: Credential, patch: CredentialPatch) -> Credential:
        after = before
        if patch.expires_at is not UNSAID:
            if before.active is None:
                raise Unfit(f"the credential {before.name} has no active version that could expire")
            end = fitness.end_of(patch.expires_at, self._counter.now())
            after = stages.changed(before, before.active.number, lambda one: replace(one, expires_at=end))
        after = replace(
            after,
            owner=before.owner if patch.owner is UNSAID else _owner(patch.owner),
            interval=before.interval if patch.interval is UNSAID else _interval(patch.interval),
            on_refusal=before.on_refusal if patch.on_refusal is UNSAID else patch.on_refusal,
            note=before.note if patch.note is UNSAID else fitness.note_of(patch.note),
            version=before.version,
        )
        return before if after == before else replace(after, version=before.version + 1)

    async def end(self, actor: Actor, ref: str, because: str) -> CredentialView:
        """Forget a credential that no server uses. All of its material is gone.

        Raises:
            Missing: there is none.
            Unfit: a server uses it, or it is the file's and ends when it is there no more.
        """
        fitness.note_of(because, "a reason")
        last: list[CredentialView] = []

        def make(snapshot: Snapshot) -> Edit:
            before = self._counter.stored(snapshot, ref)
            places = used_by(snapshot).get(before.name, ())
            if places:
                servers = ", ".join(dict.fromkeys(server for server, _ in places))
                fix = "give these another value, or remove them, first"
                raise Unfit(f"the credential {before.name} is used by {servers}", fix=fix)
            now = self._counter.now()
            after = replace(stages.emptied(before, now), ended_at=now)
            last.append(view_of(after, (), {}, now))
            return self._counter.edit(actor, "credential.end", before, after, because)

        await self._counter.desk.book.edit(make)
        return last[-1]

    # --- looking -----------------------------------------------------------------------------------------

    async def get(self, ref: str) -> CredentialView:
        """Return one credential.

        Raises:
            Missing: there is none.
        """
        return self._counter.show(ref)

    async def list(self, wanted: CredentialFilter) -> Page[CredentialView]:
        """Return a page of credentials, by name.

        Raises:
            Unfit: a limit or cursor that cannot be.
        """
        server = self._server_name(wanted.server)
        found = [view for _, view in self._counter.every() if _matches(view, wanted, server)]
        return page_of(found, lambda view: (view.name,), wanted.limit, wanted.after)

    async def plan(self) -> Sequence[Due]:
        """Return what is to be done about credentials, the gravest first."""
        now, order = self._counter.now(), list(Reason)
        found = [due_of(view, credential, now) for credential, view in self._counter.every()]
        due = [one for one in found if one is not None]
        return sorted(due, key=lambda one: (order.index(one.reasons[0]), one.credential.name))

    def _server_name(self, ref: str | None) -> str | None:
        by_id = {str(id): server.name for id, server in self._counter.snapshot.by_id.items()}
        stored = self._counter.snapshot.registry.servers.values()
        by_id |= {str(one.id): one.name for one in stored if one.ended_at is None}
        return by_id.get(ref, ref) if ref is not None else None


def _first_version(
    counter: Counter, actor: Actor, material: Secret, end: datetime | None = None
) -> CredentialVersion:
    """Return a version that is active from the start. `end` None: its material may say when it expires."""
    now = counter.now()
    return CredentialVersion(
        number=1,
        stage=Stage.ACTIVE,
        print=counter.printed(material),
        made_at=now,
        made_by=actor.name,
        material=material,
        activated_at=now,
        expires_at=end or expiry_of(material),
    )


def _matches(view: CredentialView, wanted: CredentialFilter, server: str | None) -> bool:
    if wanted.name is not None and not globs.matches(wanted.name, view.name):
        return False
    if server is not None and all(name != server for name, _ in view.used_by):
        return False
    pairs = ((wanted.state, view.state), (wanted.custody, view.custody), (wanted.owner, view.owner))
    return all(asked in {None, found} for asked, found in pairs)


def _owner(text: str) -> str:
    return fitness.subject_of(text) if text else ""


def _interval(days: int | Unsaid | None) -> int | None:
    if days is None:
        return None
    if isinstance(days, Unsaid) or not 1 <= days <= MAX_INTERVAL:
        raise Unfit(f"an interval has 1 to {MAX_INTERVAL} days", fix="give none for never")
    return days
