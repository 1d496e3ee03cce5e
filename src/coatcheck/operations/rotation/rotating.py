"""Rotation as a transaction: stage, verify beside the old, activate for the next call, roll back, retire.

Each step is one edit with its record, so that a crash between two of them leaves the old version active or
the new one, and a staged one at most, which can be activated or discarded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from coatcheck.core.credentials import stages
from coatcheck.core.credentials.making import expiry_of, material_of
from coatcheck.errors import Unfit
from coatcheck.model.credential import (
    Assurance,
    Credential,
    CredentialKind,
    CredentialVersion,
    Stage,
)
from coatcheck.model.operator import Actor
from coatcheck.model.registry import Edit
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.counter import Counter
from coatcheck.operations.credentials.showing import find_credential, used_by
from coatcheck.operations.credentials.views import Activated, CredentialView, Verdict, Verdicts
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry import fitness
from coatcheck.operations.rotation import judging
from coatcheck.operations.rotation.switching import DRAIN_WAIT, Switching, changed_meanwhile
from coatcheck.operations.rotation.verifying import (
    Candidate,
    Verifier,
    assurance_of,
    candidates_of,
)

_Answer = TypeVar("_Answer")
Progress = Callable[[str, Mapping[str, Any]], None]
"""Told of each step as it is made: `staged`, `verifying`, `verdict`, `activated`."""


class Rotations:
    """Rotates credentials. `ref` is a name or a UUID. What was begun goes on if whoever asked goes away."""

    def __init__(self, counter: Counter, verifier: Verifier, drain_wait: float = DRAIN_WAIT) -> None:
        self._counter = counter
        self._verifier = verifier
        self._switching = Switching(counter, drain_wait)

    # --- the steps -----------------------------------------------------------------------------------------

    async def stage(
        self, actor: Actor, ref: str, material: Secret, expires_at: datetime | None = None
    ) -> CredentialView:
        """Keep a new version beside the one in use. Nobody uses it.

        Raises:
            Missing: no such credential.
            Unfit: material that cannot be, or the credential's is not ours to change.
            Forbidden: it is an argument of a command, and the actor is no admin.
            Taken: another version is staged.
        """
        await self._stage(actor, ref, material, expires_at)
        return self._counter.show(ref)

    async def discard(self, actor: Actor, ref: str, number: int | None = None) -> CredentialView:
        """Forget the staged version, which must be `number` if that is given.

        Raises:
            Missing: no such credential.
            Unfit: nothing is staged.
            Stale: another version is.
        """
        made_by = "coatcheck credential stage"
        return await self._drop(actor, ref, Stage.STAGED, made_by, "credential.discard", number)

    async def verify(self, actor: Actor, ref: str, progress: Progress | None = None) -> Verdicts:
        """Try the staged version, or else the active one, at every server that uses it. Nothing is switched.

        Raises:
            Missing: no such credential.
            Unfit: it has neither version.
        """
        found = find_credential(self._counter.snapshot, ref)
        version = found.at(Stage.STAGED) or judging.at(found, Stage.ACTIVE, "coatcheck credential rotate")
        return await _to_its_end(self._verify_alone(actor, str(found.id), version.number, progress))

    async def activate(
        self,
        actor: Actor,
        ref: str,
        *,
        accept_unproven: bool = False,
        unverified: bool = False,
        number: int | None = None,
        because: str = "",
        progress: Progress | None = None,
    ) -> Activated:
        """Use the staged version from the next call on; it is verified first if it was not.

        `number`: it must be this one. `unverified` asks no server, `accept_unproven` takes a version that no
        server can tell from a wrong one; each needs a reason.

        Raises:
            Missing: no such credential.
            Unfit: nothing is staged, or a reason that cannot be or lacks.
            NotVerified, Unproven: nothing was switched; the version stays staged.
            Stale: somebody else changed the credential meanwhile, or another version is staged.
        """
        because = judging.reason_of(because, anyway=unverified or accept_unproven)
        found = self._counter.stored(self._counter.snapshot, ref)
        staged = judging.at(found, Stage.STAGED, "coatcheck credential stage")
        judging.check_number(found, staged, number)
        id, assurance = str(found.id), staged.assurance
        if assurance is Assurance.NEVER and not unverified:
            trying = self._tried_and_switched(
                actor, id, staged.number, accept_unproven, progress, because, drop=False
            )
            return await _to_its_end(trying)
        if assurance is Assurance.UNPROVEN and not (accept_unproven or unverified):
            raise judging.unproven(found.name, ())
        assurance = Assurance.SKIPPED if assurance is Assurance.NEVER else assurance
        switching = self._switching.switched(actor, id, staged.number, assurance, (), because)
        return await _to_its_end(switching)

    async def rotate(
        self,
        actor: Actor,
        ref: str,
        material: Secret,
        *,
        verify: bool = True,
        accept_unproven: bool = False,
        expires_at: datetime | None = None,
        because: str = "",
        progress: Progress | None = None,
    ) -> Activated:
        """Stage, verify and activate a new version. A failed verify leaves nothing staged.

        A reason is needed where it is not verified, or `accept_unproven`.

        Raises:
            Missing, Unfit, Taken: as `stage`.
            Unfit: a reason that cannot be, or lacks.
            NotVerified: a server refused it; the old version stays in use.
            Unproven: the servers take a wrong one as well, and `accept_unproven` was not said.
            Stale: somebody else changed the credential meanwhile.
        """
        because = judging.reason_of(because, anyway=not verify or accept_unproven)
        tell = progress or _unheard
        staged, id = await self._stage(actor, ref, material, expires_at)
        tell("staged", {"number": staged})
        if not verify:
            switching = self._switching.switched(actor, id, staged, Assurance.SKIPPED, (), because)
            return await _to_its_end(switching)
        return await _to_its_end(
            self._tried_and_switched(actor, id, staged, accept_unproven, progress, because, drop=True)
        )

    async def roll_back(
        self, actor: Actor, ref: str, because: str = "", number: int | None = None
    ) -> Activated:
        """Use the previous version from the next call on; the one in use becomes the previous one.

        `number`: it must be this one, so that what is asked for twice is not done and undone.

        Raises:
            Missing: no such credential.
            Unfit: there is no previous version.
            Stale: another version is the previous one.
        """
        fitness.note_of(because, "a reason")
        numbers: list[int | None] = []

        def make(snapshot: Snapshot) -> Edit:
            before = self._counter.stored(snapshot, ref)
            previous = judging.at(before, Stage.PREVIOUS, "coatcheck credential rotate")
            judging.check_number(before, previous, number)
            former = before.active
            numbers[:] = [previous.number, former.number if former is not None else None]
            after = stages.rolled_back(before, self._counter.now())
            said = previous.assurance.value
            return self._counter.step(
                actor, "credential.roll_back", before, after, (), because, number=numbers[0], assurance=said
            )

        return await _to_its_end(self._switching.published(ref, make, numbers))

    async def retire(self, actor: Actor, ref: str, number: int | None = None) -> CredentialView:
        """Forget the material of the previous version: from then on nothing can be rolled back to it.

        Raises:
            Missing: no such credential.
            Unfit: there is no previous version.
            Stale: it is not `number`, if that is given.
        """
        made_by = "coatcheck credential rotate"
        return await self._drop(actor, ref, Stage.PREVIOUS, made_by, "credential.retire", number)

    # --- within --------------------------------------------------------------------------------------------

    async def _drop(
        self, actor: Actor, ref: str, stage: Stage, made_by: str, action: str, wanted: int | None
    ) -> CredentialView:
        """Forget the version at a stage; `made_by` is the command that makes one."""

        def make(snapshot: Snapshot) -> Edit:
            before = self._counter.stored(snapshot, ref)
            found = judging.at(before, stage, made_by)
            judging.check_number(before, found, wanted)
            after = stages.without(before, stage, self._counter.now())
            return self._counter.step(actor, action, before, after, number=found.number)

        await self._counter.desk.book.edit(make)
        return self._counter.show(ref)

    async def _stage(
        self, actor: Actor, ref: str, material: Secret, expires_at: datetime | None
    ) -> tuple[int, str]:
        """Stage a version, and return its number and the id of the credential."""
        now = self._counter.now()
        end = fitness.end_of(expires_at, now)
        made: list[tuple[int, str]] = []

        def make(snapshot: Snapshot) -> Edit:
            before = self._counter.stored(snapshot, ref)
            judging.check_may(actor, snapshot, before)
            new = self._material(snapshot, before, material)
            version = CredentialVersion(
                number=stages.next_number(before),
                stage=Stage.STAGED,
                print=self._counter.printed(new),
                made_at=now,
                made_by=actor.name,
                material=new,
                expires_at=end or expiry_of(new),
            )
            judging.check_new(before, version, now)
            after = stages.with_staged(before, version)
            made.append((version.number, str(before.id)))
            return self._counter.step(actor, "credential.stage", before, after, number=version.number)

        await self._counter.desk.book.edit(make)
        return made[-1]

    def _material(self, snapshot: Snapshot, credential: Credential, new: Secret) -> Secret:
        if credential.kind is CredentialKind.OAUTH:
            fix = f"connect it: coatcheck credential connect {credential.name}"
            raise Unfit("an OAuth credential gets its tokens from its server, and none is given", fix=fix)
        places = [place.partition("/")[0] for _, place in used_by(snapshot).get(credential.name, ())]
        active = credential.active
        before = active.material if active is not None else None
        lines = all(place == "env" for place in places)
        return material_of(before, new.reveal(), lines=lines, scheme="headers" in places)

    async def _verify_alone(self, actor: Actor, id: str, number: int, progress: Progress | None) -> Verdicts:
        candidates, verdicts = await self._tried(actor, id, number, progress)
        assurance = assurance_of(verdicts)
        is_staged = False
        try:
            await self._note_verified(actor, id, number, verdicts, drop=False)
            found = find_credential(self._counter.snapshot, id).at(Stage.STAGED)
            is_staged = found is not None and found.number == number
        finally:
            await self._verifier.let_go(candidates, keep=is_staged and assurance is not Assurance.NEVER)
        return Verdicts(self._counter.show(id), number, assurance, tuple(verdicts))

    async def _tried_and_switched(
        self,
        actor: Actor,
        id: str,
        number: int,
        accept_unproven: bool,
        progress: Progress | None,
        because: str,
        *,
        drop: bool,
    ) -> Activated:
        candidates, verdicts = await self._tried(actor, id, number, progress)
        try:
            assurance = assurance_of(verdicts)
            name = find_credential(self._counter.snapshot, id).name
            failure = judging.unasked(self._counter.snapshot, name, verdicts)
            if not all(one.ok for one in verdicts):
                failure = judging.not_verified(name, verdicts)
            elif assurance is Assurance.UNPROVEN and not accept_unproven:
                failure = judging.unproven(name, verdicts)
            await self._note_verified(actor, id, number, verdicts, drop=drop and failure is not None)
            if failure is not None:
                raise failure
            activated = await self._switching.switched(actor, id, number, assurance, verdicts, because)
        finally:
            await self._verifier.let_go(candidates)
        (progress or _unheard)("activated", {"number": number})
        return activated

    async def _tried(
        self, actor: Actor, id: str, number: int, progress: Progress | None
    ) -> tuple[list[Candidate], list[Verdict]]:
        tell = progress or _unheard
        snapshot = self._counter.snapshot
        candidates = candidates_of(snapshot, find_credential(snapshot, id), number)
        tell("verifying", {"number": number, "servers": [one.server.name for one in candidates]})
        try:
            verdicts = await self._verifier.verify(
                candidates,
                lambda one: tell("verdict", {"server": one.server, "ok": one.ok, "sentence": one.sentence}),
                actor,
            )
        except BaseException:
            await self._verifier.let_go(candidates)
            raise
        return candidates, verdicts

    async def _note_verified(
        self, actor: Actor, id: str, number: int, verdicts: list[Verdict], *, drop: bool
    ) -> None:
        """Keep what was found out, of a failed try as well; `drop`: the version is staged no more."""
        assurance = assurance_of(verdicts)
        now = self._counter.now()
        told = min((one.expires_at for one in verdicts if one.expires_at is not None), default=None)

        def proved(one: CredentialVersion) -> CredentialVersion:
            end = one.expires_at or told
            return replace(
                one, assurance=assurance, verified_at=now, expires_at=end, refused_at=None, refused_by=""
            )

        def make(snapshot: Snapshot) -> Edit:
            before = after = find_credential(snapshot, id)
            version = stages.version_of(before, number)
            if version is None or version.stage not in {Stage.STAGED, Stage.ACTIVE}:
                raise changed_meanwhile(before.name)
            if drop and version.stage is Stage.STAGED:
                after = stages.without(before, Stage.STAGED, now)
            elif assurance is not Assurance.NEVER:
                after = stages.changed(before, number, proved)
            said = assurance.value if all(one.ok for one in verdicts) else "refused"
            return self._counter.step(
                actor, "credential.verify", before, after, verdicts, number=number, assurance=said
            )

        await self._counter.desk.book.edit(make)


async def _to_its_end(work: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Do work that goes on even if the caller goes away: a server may be held for it."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody may be left to hear
    return await asyncio.shield(task)


def _unheard(step: str, told: Mapping[str, Any]) -> None:
    """Take progress that nobody waits for."""
