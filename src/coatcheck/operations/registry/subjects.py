"""Subjects: added, changed, disabled and enabled, and offboarded with all their grants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

from coatcheck.core.access import globs
from coatcheck.errors import Missing, Taken
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.operator import Actor
from coatcheck.model.registry import Edit
from coatcheck.model.server import Source
from coatcheck.model.subject import Subject
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry import changes, fitness
from coatcheck.operations.registry.desk import Desk, check_version
from coatcheck.operations.registry.granting.ending import revoking
from coatcheck.operations.registry.granting.showing import all_grants, state_of, view_of
from coatcheck.operations.registry.paging import page_of
from coatcheck.operations.registry.patches import UNSAID, NewSubject, SubjectFilter, SubjectPatch
from coatcheck.operations.registry.views import Ended, Page, SubjectView


class Subjects:
    """The owners of grants: those that were added, and those that only the file names."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def add(self, actor: Actor, new: NewSubject) -> SubjectView:
        """Add a subject; one that only the file names gets its own record by this.

        Raises:
            Taken: it was added before.
            Unfit: a name or role that cannot be.
        """
        subject = Subject(
            fitness.subject_of(new.name),
            new.kind,
            fitness.roles_of(new.roles),
            note=fitness.note_of(new.note),
            created_at=self._desk.now(),
            version=1,
        )

        def make(snapshot: Snapshot) -> Edit:
            if subject.name in snapshot.registry.subjects:
                raise Taken(
                    f"there is a subject {subject.name!r} already", fix="change it, or choose another"
                )
            return self._edit(actor, "subject.add", None, subject)

        await self._desk.book.edit(make)
        return await self.get(subject.name)

    async def change(self, actor: Actor, name: str, patch: SubjectPatch, version: int | None) -> SubjectView:
        """Change kind, roles or note.

        Raises:
            Missing: no such subject.
            Stale: it is not at `version`.
            Unfit: a role that cannot be.
        """

        def make(snapshot: Snapshot) -> Edit:
            before = _known(snapshot, name)
            check_version(before.version, version, f"the subject {name!r}")
            after = self._next(
                before,
                kind=before.kind if patch.kind is UNSAID else patch.kind,
                roles=before.roles if patch.roles is UNSAID else fitness.roles_of(frozenset(patch.roles)),
                note=before.note if patch.note is UNSAID else fitness.note_of(patch.note),
            )
            return self._edit(actor, "subject.change", before, after)

        await self._desk.book.edit(make)
        return await self.get(name)

    async def disable(self, actor: Actor, name: str, because: str) -> Ended:
        """Refuse a subject however it comes; returns when its calls, streams and sessions ended.

        A name that nobody knows is taken as well: a proxy may forward it tomorrow.

        Raises:
            Unfit: a name that cannot be.
        """
        return await self._disable(actor, name, because, offboard=False)

    async def enable(self, actor: Actor, name: str) -> SubjectView:
        """Let a disabled subject in again; its revoked grants stay revoked.

        Raises:
            Missing: no such subject.
        """

        def make(snapshot: Snapshot) -> Edit | None:
            before = _known(snapshot, name)
            if not before.disabled:
                return None
            after = self._next(before, disabled=False, because="")
            return self._edit(actor, "subject.enable", before, after)

        await self._desk.book.edit(make)
        return await self.get(name)

    async def offboard(self, actor: Actor, name: str, because: str) -> Ended:
        """Disable a subject and revoke all its grants of either source, in one change. As `disable`."""
        return await self._disable(actor, name, because, offboard=True)

    async def _disable(self, actor: Actor, name: str, because: str, *, offboard: bool) -> Ended:
        started = self._desk.clock.monotonic()
        fitness.note_of(because, "a reason")
        revoked: list[str] = []

        def make(snapshot: Snapshot) -> Edit | None:
            before = find_subject(snapshot, name) or Subject(fitness.subject_of(name))
            owned = [grant for grant in all_grants(snapshot) if grant.subject == name and offboard]
            puts, log = revoking(self._desk, snapshot, actor, owned, because)
            revoked.extend(change.object_id for change in log)
            if not before.disabled:
                after = self._next(before, disabled=True, because=because)
                verb = "subject.offboard" if offboard else "subject.disable"
                log.append(self._change(actor, verb, before if before.version else None, after))
                puts.append(after)
            return Edit(tuple(puts), tuple(log)) if puts else None

        edited = await self._desk.book.edit(make)
        snapshot, now = edited.snapshot, self._desk.now()
        views = tuple(view_of(snapshot, one, now) for one in all_grants(snapshot) if one.subject == name)
        return await self._desk.ended(edited, started, views, revoked)

    # --- looking -----------------------------------------------------------------------------------------

    async def get(self, name: str) -> SubjectView:
        """Return one subject.

        Raises:
            Missing: there is none.
        """
        return self._view(_known(self._desk.snapshot, name), self._live_grants({name}))

    def every(self) -> Sequence[SubjectView]:
        """Return all subjects, in no order."""
        live = self._live_grants()
        return [self._view(subject, live) for subject in _all(self._desk.snapshot)]

    def names(self) -> Sequence[str]:
        """Return the names of all subjects, in no order."""
        return [subject.name for subject in _all(self._desk.snapshot)]

    async def list(self, wanted: SubjectFilter) -> Page[SubjectView]:
        """Return a page of subjects, by name.

        Raises:
            Unfit: a limit or cursor that cannot be.
        """
        found = [one for one in _all(self._desk.snapshot) if _matches(one, wanted)]
        page = page_of(found, lambda subject: (subject.name,), wanted.limit, wanted.after)
        live = self._live_grants({one.name for one in page.items})
        return Page([self._view(subject, live) for subject in page.items], page.next)

    # --- within ------------------------------------------------------------------------------------------

    def _next(self, before: Subject, **fields: object) -> Subject:
        """Return a subject as it is after a change; one that was never stored is from now on."""
        return replace(
            before,
            created_at=before.created_at or self._desk.now(),
            version=before.version + 1,
            source=Source.STORE,
            **fields,  # type: ignore[arg-type]  # each caller names fields of a subject
        )

    def _change(self, actor: Actor, action: str, before: Subject | None, after: Subject) -> Change:
        what = (ObjectKind.SUBJECT, after.name, after.name)
        told = changes.of_subject(before) if before is not None else None
        return self._desk.scribe.changed(actor, action, what, told, changes.of_subject(after), after.because)

    def _edit(self, actor: Actor, action: str, before: Subject | None, after: Subject) -> Edit:
        return Edit((after,), (self._change(actor, action, before, after),))

    def _live_grants(self, of: Set[str] | None = None) -> Counter[str]:
        """Count the grants that are not over, of these subjects or of all."""
        snapshot, now = self._desk.snapshot, self._desk.now()
        return Counter(
            grant.subject
            for grant in all_grants(snapshot)
            if (of is None or grant.subject in of) and not state_of(snapshot, grant, now).is_over
        )

    def _view(self, subject: Subject, live: Counter[str]) -> SubjectView:
        return SubjectView(
            subject.name,
            subject.kind,
            subject.roles,
            subject.disabled,
            subject.because,
            subject.note,
            subject.source,
            subject.created_at,
            live[subject.name],
            subject.version,
        )


def find_subject(snapshot: Snapshot, name: str) -> Subject | None:
    """Return a subject that is stored, or that the file names."""
    stored = snapshot.registry.subjects.get(name)
    if stored is not None:
        return stored
    named = any(grant.subject == name for grant in snapshot.declared.grants.values())
    return Subject(name, source=Source.FILE) if named else None


def _known(snapshot: Snapshot, name: str) -> Subject:
    found = find_subject(snapshot, name)
    if found is None:
        raise Missing(f"there is no subject {name!r}", fix="`coatcheck subject list` names the subjects")
    return found


def _all(snapshot: Snapshot) -> Iterator[Subject]:
    stored = snapshot.registry.subjects
    yield from stored.values()
    for name in {grant.subject for grant in snapshot.declared.grants.values()} - stored.keys():
        yield Subject(name, source=Source.FILE)


def _matches(subject: Subject, wanted: SubjectFilter) -> bool:
    if wanted.name is not None and not globs.matches(wanted.name, subject.name):
        return False
    return wanted.kind in {None, subject.kind} and wanted.disabled in {None, subject.disabled}
