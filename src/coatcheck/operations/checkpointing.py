"""Signs where the chain of records stands, and compares the store with what was signed before.

A checkpoint is made after a minute with news, or a thousand entries, and goes into the store and outside.
What was signed outside and is not in the store any more is an alarm: an older file was put back, or
another one. So is a chain that something else moved while this gateway runs.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from coatcheck.core.recording.notes import Broken, PublicKey, SigningKey, claimed, opener
from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.core.recording.stored import moment_of
from coatcheck.errors import Unavailable, Unfit
from coatcheck.model.chain import Beginning, Checkpoint, Head, Strange
from coatcheck.model.change import Change
from coatcheck.ports import Clock
from coatcheck.ports.checkpoints import Checkpoints, Outside

log = logging.getLogger(__name__)

SECONDS: Final = 60.0
ENTRIES: Final = 1_000
_LOOK: Final = 1.0
"""Seconds between two looks at how far the chain has come."""
NEW: Final = timedelta(minutes=3)
"""A store whose first entry is not older may have no checkpoint yet."""
MOST_ALARMS: Final = 20
LOOK_EVERY: Final = 10
"""Of so many looks one asks the store, so that it is noticed without any call that it was changed."""


class Checkpointing:
    """Makes checkpoints while `run` runs. `alarms` says what was found at the start, and since."""

    def __init__(
        self,
        store: Checkpoints,
        outside: Outside,
        key_of: Callable[[str], SigningKey],
        clock: Clock,
        old_keys: Sequence[PublicKey] = (),
    ) -> None:
        self._found: tuple[str, ...] = ()
        self.error = ""
        self._store = store
        self._outside = outside
        self._key_of = key_of
        self._clock = clock
        self._old_keys = old_keys
        self._key: SigningKey | None = None
        self._keeps_outside = True
        self._outside_note: str | None = None  # while it cannot be read
        self._kept: Checkpoint | None = None
        self._signed = 0
        self._turn = asyncio.Lock()
        self._told_lost = False
        self._told_troubles: tuple[str, ...] = ()
        self.last: Checkpoint | None = None

    @property
    def alarms(self) -> tuple[str, ...]:
        """What does not fit, a sentence each."""
        strange, lost = self._store.strange, self._outside.lost
        return (*self._found, *([lost] if lost else []), *([strange.words] if strange else []))

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why checkpoints cannot be made, or not be kept outside; nothing while they can."""
        outside = f"checkpoints cannot be kept in {self._outside.name}: {self._outside.error}"
        made = f"checkpoints cannot be made: {self.error}"
        return (*([made] if self.error else []), *([outside] if self._outside.error else []))

    @property
    def key(self) -> SigningKey:
        """The key that signs; there is one once it has begun."""
        if self._key is None:
            raise RuntimeError("the signing of checkpoints has not begun")
        return self._key

    async def begin(self) -> None:
        """Compare the store with the last checkpoints, and tell of what does not fit.

        Raises:
            Unavailable: the store cannot be read.
        """
        await self._compare(await self._outside.last())
        if self.last is None:
            await self._try(await self._store.where())  # so that there is one of every store that ever ran
        else:
            self._complete()
        self._tell()

    def _complete(self) -> None:
        """Put the newest checkpoint outside if it is not there, as where a crash came between."""
        note = self._outside_note
        if self.last is not None and note is not None and (not note or claimed(note).seq < self.last.seq):
            self._put(self.last.note)

    def _tell(self) -> None:
        """Say in the log what is lost outside, and what hinders, once each; and when it is over."""
        lost, troubles = self._outside.lost, self.troubles
        if lost and not self._told_lost:
            log.error("ALARM: %s", lost)
        elif self._told_lost and not lost:
            log.warning("the checkpoints in %s are whole again", self._outside.name)
        for trouble in troubles:
            if trouble not in self._told_troubles:
                log.warning("%s", trouble)
        if self._told_troubles and not troubles:
            log.warning("checkpoints can be made and kept again")
        self._told_lost, self._told_troubles = bool(lost), troubles

    async def _compare(self, note: str | None) -> None:
        """Compare the store with the last note outside: empty if there is none, None if it cannot be read."""
        beginning = await self._store.beginning()
        self._key = self._key_of(beginning.log)
        inside = await self._store.last()
        self._outside_note = note
        alarms = []
        self._signed, self.last = 0, None
        if inside is not None:
            if inside.seq <= (await self._store.where()).seq:  # else nothing would be signed until then
                self._signed, self.last = inside.seq, inside
            alarms += await self._compared(beginning, inside.note, "the store", inside)
        elif not note:
            alarms += await self._never_signed(beginning)
        found = await self._compared(beginning, note, self._outside.name) if note else []
        self._keeps_outside = note is not None and not found
        if note and not found:
            alarms += self._removed(claimed(note).seq, inside)
        alarms += found
        self._found = tuple(alarms)
        for alarm in alarms:
            log.error("ALARM: %s", alarm)
        if self._keeps_outside and inside is not None:
            self._outside.expect(await self._store.kept())

    async def _never_signed(self, beginning: Beginning) -> list[str]:
        """Tell of entries that were there for long, and of which there is no checkpoint anywhere."""
        head = await self._store.where()
        if head.seq == beginning.seq:
            return []
        first = await self._store.link(beginning.seq + 1)
        at = None if first is None else moment_of(first)
        if at is not None and abs(self._clock.now() - at) <= NEW:
            return []
        count = head.seq - beginning.seq
        return [f"no checkpoint is left of the {count} entries of the record: all were removed"]

    def _removed(self, seq: int, inside: Checkpoint | None) -> list[str]:
        if inside is not None and seq <= inside.seq:
            return []
        return [
            f"the checkpoint of entry {seq}, which is in {self._outside.name}, was removed from the store"
        ]

    async def run(self) -> None:
        """Make checkpoints until cancelled."""
        waited = 0.0
        for number in itertools.count(1):
            await asyncio.sleep(_LOOK)
            waited += _LOOK
            if number % LOOK_EVERY == 0 or self._store.strange is not None:
                with suppress(Unavailable):  # the ledger tells of it, or it is strange
                    await self._store.look()
            await self._keep_known()
            await self._look_outside()
            self._tell()
            head = self._store.head
            if head is None or head.seq <= self._signed:
                continue
            if waited >= SECONDS or head.seq - self._signed >= ENTRIES:
                waited = 0.0
                await self._try(head)

    async def _look_outside(self) -> None:
        """Compare with the file outside as soon as it can be read, if it could not at the start."""
        if self._outside_note is not None or self._outside.found is None:
            return
        with suppress(Unavailable):
            await self._compare(self._outside.found)
            self._complete()

    async def now(self) -> Checkpoint:
        """Make a checkpoint of where the chain stands; the last one, if nothing is new.

        Raises:
            Unavailable: the store cannot be read or written, or this gateway did not leave the chain there.
        """
        head = await self._store.look()
        async with self._turn:
            if self.last is None or head.seq > self._signed:
                await self._make(head)
        if self.last is None:
            raise RuntimeError("a checkpoint was made")
        return self.last

    async def accept(self, change_of: Callable[[Strange], Change]) -> None:
        """Take a chain that something else moved as it is, and compare it with what was signed.

        Where it is the file outside that lost something, that is what is taken, and one is begun anew.

        Raises:
            Unfit: nothing moved it; or it is not there any more, so that it could not be continued.
            Unavailable: the store cannot be written.
        """
        strange = self._store.strange
        if strange is None and self._outside.lost and self._keeps_outside:
            await self._begin_anew(change_of)
            return
        if strange is None or strange.found is None:
            raise Unfit(
                "there is nothing to accept" if strange is None else strange.words,
                fix="" if strange is None else "stop the gateway and restore a backup",
            )
        await self._keep_known()
        await self._store.accept(change_of)
        self._kept = None
        await self._compare(self._outside_note)

    async def _begin_anew(self, change_of: Callable[[Strange], Change]) -> None:
        head = await self._store.look()
        await self._store.note(change_of(Strange(head, head)))
        head = await self._store.look()
        async with self._turn:
            await self._make(head)
            await self._outside.begin_anew(await self._store.notes())
        self._tell()

    async def close(self) -> None:
        """Make the last checkpoint, while the store is still open, and let go of what is outside."""
        await self._keep_known()
        try:
            await self.now()
        except Unavailable as error:
            log.warning("the last checkpoint could not be made: %s", error.message)
        await self._outside.close()

    def alarm(self, words: str) -> None:
        """Take what somebody else found who read the record."""
        if words not in self._found and len(self._found) < MOST_ALARMS:
            log.error("ALARM: %s", words)
            self._found = (*self._found, words)

    def told(self) -> dict[str, Any]:
        """Return what `status` shows."""
        return {
            "log": self.key.public.log,
            "head": head.seq if (head := self._store.head) is not None else None,
            "signed": self._signed,
            "signed_at": rfc3339(self.last.at) if self.last is not None else None,
            "alarms": list(self.alarms),
            "moved": self._store.strange is not None,
            "file": self._outside.name,
            "error": "; ".join(self.troubles),
        }

    # --- making and comparing ----------------------------------------------------------------------------

    async def _try(self, head: Head) -> None:
        try:
            async with self._turn:
                await self._make(head)
            self.error = ""
        except Unavailable as error:
            self.error = error.message

    async def _make(self, head: Head) -> None:
        made = self.key.sign(head, self._clock.now())
        await self._store.add(made)
        self._put(made.note)
        self._signed, self.last = head.seq, made

    def _put(self, note: str) -> None:
        if self._keeps_outside:
            self._outside.put(note)
            self._outside_note = note

    async def _keep_known(self) -> None:
        """Sign outside where this gateway left a chain that is strange now: that outlives the gateway.

        Like every other one it is in the store too, as soon as the chain is there again.
        """
        strange, kept = self._store.strange, self._kept
        if strange is not None:
            if kept is None and strange.known.seq > self._signed:
                self._kept = self.key.sign(strange.known, self._clock.now())
                self._put(self._kept.note)
        elif kept is not None:
            with suppress(Unavailable):
                await self._store.add(kept)
                self._kept = None
                if kept.seq > self._signed:
                    self._signed, self.last = kept.seq, kept

    async def _compared(
        self, beginning: Beginning, note: str, place: str, kept: Checkpoint | None = None
    ) -> list[str]:
        try:
            checkpoint = claimed(str(note))  # a column may hold anything
        except Broken as error:
            return [f"the last checkpoint in {place} {error}"]
        if checkpoint.log != beginning.log:
            return [
                f"{place} has checkpoints of the log {checkpoint.log}, and the store holds {beginning.log}:"
                " another store was put in its place"
            ]
        found, why = opener((self.key.public, *self._old_keys), lambda key: key.open(note))
        if found is None:
            return [f"the last checkpoint in {place} {why}"]
        if kept is not None and (kept.seq, kept.hash) != (checkpoint.seq, checkpoint.hash):
            return [f"the last checkpoint in {place} is kept as one of entry {kept.seq}, and is another"]
        return await self._met(beginning, checkpoint, place)

    async def _met(self, beginning: Beginning, checkpoint: Checkpoint, place: str) -> list[str]:
        head = await self._store.where()
        if head.seq < checkpoint.seq:
            return [
                f"the record ends at entry {head.seq}, and entry {checkpoint.seq} was signed at"
                f" {checkpoint.at:%Y-%m-%d %H:%M:%S} UTC ({place}): an older store was put back"
            ]
        link = await self._store.link(checkpoint.seq) if checkpoint.seq > beginning.seq else None
        found = beginning.prev if checkpoint.seq == beginning.seq else link.hash if link else b""
        if found != checkpoint.hash:
            return [
                f"entry {checkpoint.seq} is not the one that was signed ({place}): the record was changed"
            ]
        return []
