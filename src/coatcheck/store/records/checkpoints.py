"""The chain in the store as the signing of checkpoints needs it, and the checkpoints beside it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, func, insert, select

from coatcheck.model.chain import Beginning, Checkpoint, Head, Kept, Link, Strange
from coatcheck.model.change import Change
from coatcheck.store.chain import Growth, beginning_in, head_in
from coatcheck.store.engines.database import Database
from coatcheck.store.records.chained import checkpoints_after, last_checkpoint, link_at
from coatcheck.store.registry.changes import insert_changes
from coatcheck.store.tables import checkpoint


class StoredCheckpoints:
    """Implements `ports.Checkpoints`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def head(self) -> Head | None:
        """Where the chain stands, as far as its writers know; None while one is writing."""
        return self._database.chain.head

    @property
    def strange(self) -> Strange | None:
        """What a chain looks like that stands where this gateway did not leave it; None while it does."""
        return self._database.chain.strange

    async def beginning(self) -> Beginning:
        """Return where the chain begins."""
        return await self._database.read(beginning_in)

    async def where(self) -> Head:
        """Return where the chain stands."""
        return await self._database.read(head_in)

    async def look(self) -> Head:
        """Return where the chain stands, if this gateway left it there."""
        return await self._database.look()

    async def accept(self, change_of: Callable[[Strange], Change]) -> None:
        """Take a chain that is strange as it is, and have that on record."""

        def write(writing: Connection, growth: Growth, strange: Strange) -> None:
            insert_changes(writing, growth, [change_of(strange)])

        await self._database.accept(write)

    async def link(self, seq: int) -> Link | None:
        """Return one entry of the chain, or None."""
        return await self._database.read(lambda reading: link_at(reading, seq))

    async def last(self) -> Checkpoint | None:
        """Return the newest checkpoint."""

        def read(reading: Connection) -> Checkpoint | None:
            found = checkpoints_after(reading, last_checkpoint(reading) - 1, 1)
            return found[0] if found else None

        return await self._database.read(read)

    async def add(self, made: Checkpoint) -> None:
        """Keep a checkpoint; one of the same entry stays as it is."""

        def write(writing: Connection) -> None:
            if writing.execute(select(checkpoint.c.seq).where(checkpoint.c.seq == made.seq)).first() is None:
                row = {"seq": made.seq, "hash": made.hash, "at": made.at, "note": made.note}
                writing.execute(insert(checkpoint).values(row))

        await self._database.write(write)

    async def kept(self) -> Kept:
        """Return how many checkpoints there are."""

        def read(reading: Connection) -> Kept:
            seq = checkpoint.c.seq
            count, first, last = reading.execute(select(func.count(), func.min(seq), func.max(seq))).one()
            return Kept(count, first, last) if count else Kept()

        return await self._database.read(read)

    async def notes(self) -> list[str]:
        """Return the notes of all of them, in their order."""
        page = select(checkpoint.c.note).order_by(checkpoint.c.seq)
        return await self._database.read(lambda reading: list(reading.execute(page).scalars()))

    async def note(self, change: Change) -> None:
        """Have a change on record that changes nothing in the store."""
        await self._database.write_chained(lambda writing, growth: insert_changes(writing, growth, [change]))
