"""Signs where the chain of records stands, and compares the store with what was signed before.

A checkpoint is made after a minute with news, or a thousand entries, and goes into the store and outside.
What was signed outside and is not in the store any more is an alarm: an older file was put back, or
another one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from coatcheck.core.recording.notes import Broken, SigningKey, claimed
from coatcheck.errors import Unavailable
from coatcheck.model.chain import Beginning, Checkpoint, Head
from coatcheck.ports import Clock
from coatcheck.ports.checkpoints import Checkpoints, Outside

log = logging.getLogger(__name__)

SECONDS: Final = 60.0
ENTRIES: Final = 1_000
_LOOK: Final = 1.0
"""Seconds between two looks at how far the chain has come."""


class Checkpointing:
    """Makes checkpoints while `run` runs. `alarms` says what was found at the start."""

    def __init__(
        self,
        store: Checkpoints,
        outside: Outside,
        key_of: Callable[[str], SigningKey],
        clock: Clock,
    ) -> None:
        self.alarms: tuple[str, ...] = ()
        self.error = ""
        self._store = store
        self._outside = outside
        self._key_of = key_of
        self._clock = clock
        self._key: SigningKey | None = None
        self._keeps_outside = True
        self._signed = 0
        self._turn = asyncio.Lock()
        self.last: Checkpoint | None = None

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
        beginning = await self._store.beginning()
        self._key = self._key_of(beginning.log)
        inside = await self._store.last()
        note = await self._outside.last()
        alarms = []
        if inside is not None:
            self._signed, self.last = inside.seq, inside
            alarms += await self._compared(beginning, inside.note, "the store")
        if note is not None:
            found = await self._compared(beginning, note, self._outside.name)
            self._keeps_outside = not found
            alarms += found
        elif inside is not None and not self._outside.error:
            alarms.append(f"the checkpoints in {self._outside.name} are gone; a new file is begun")
        self.alarms = tuple(alarms)
        for alarm in alarms:
            log.error("ALARM: %s", alarm)

    async def run(self) -> None:
        """Make checkpoints until cancelled."""
        waited = 0.0
        while True:
            await asyncio.sleep(_LOOK)
            waited += _LOOK
            head = self._store.head
            if head is None or head.seq <= self._signed:
                continue
            if waited >= SECONDS or head.seq - self._signed >= ENTRIES:
                waited = 0.0
                await self._try(head)

    async def now(self) -> Checkpoint:
        """Make a checkpoint of where the chain stands; the last one, if nothing is new.

        Raises:
            Unavailable: the store cannot be read or written.
        """
        head = await self._store.where()
        async with self._turn:
            if self.last is None or head.seq > self._signed:
                await self._make(head)
        if self.last is None:
            raise RuntimeError("a checkpoint was made")
        return self.last

    async def close(self) -> None:
        """Make the last checkpoint, while the store is still open, and let go of what is outside."""
        try:
            await self.now()
        except Unavailable as error:
            log.warning("the last checkpoint could not be made: %s", error.message)
        await self._outside.close()

    def told(self) -> dict[str, Any]:
        """Return what `status` shows."""
        return {
            "log": self.key.public.log,
            "signed": self._signed,
            "alarms": list(self.alarms),
            "file": self._outside.name,
            "error": self.error or self._outside.error,
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
        if self._keeps_outside:
            self._outside.put(made.note)
        self._signed, self.last = head.seq, made

    async def _compared(self, beginning: Beginning, note: str, place: str) -> list[str]:
        try:
            checkpoint = claimed(note)
        except Broken as error:
            return [f"the last checkpoint in {place} {error}"]
        if checkpoint.log != beginning.log:
            return [
                f"{place} has checkpoints of the log {checkpoint.log}, and the store holds {beginning.log}:"
                " another store was put in its place"
            ]
        try:
            self.key.public.open(note)
        except Broken as error:
            return [f"the last checkpoint in {place} {error}"]
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
