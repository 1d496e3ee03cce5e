"""Where checkpoints of the chain are kept: beside it in the store, and outside of the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from coatcheck.model.chain import Beginning, Checkpoint, Head, Kept, Link, Strange
from coatcheck.model.change import Change


class Checkpoints(Protocol):
    """The chain in the store, and the checkpoints beside it. Raises `Unavailable`."""

    @property
    def head(self) -> Head | None:
        """Where the chain stands; None while nobody can tell."""
        ...

    @property
    def strange(self) -> Strange | None:
        """What a chain looks like that stands where this gateway did not leave it; None while it does."""
        ...

    async def beginning(self) -> Beginning:
        """Return where the chain begins."""
        ...

    async def where(self) -> Head:
        """Return where the chain stands, read from the store."""
        ...

    async def look(self) -> Head:
        """Return where the chain stands, read from the store.

        Raises:
            Unavailable: also if this gateway did not leave it there; then it is `strange`.
        """
        ...

    async def accept(self, change_of: Callable[[Strange], Change]) -> None:
        """Take a chain that is strange as it is, and have that on record.

        Raises:
            Unavailable: also if there is nothing that could be accepted.
        """
        ...

    async def link(self, seq: int) -> Link | None:
        """Return one entry of the chain, or None."""
        ...

    async def last(self) -> Checkpoint | None:
        """Return the newest checkpoint."""
        ...

    async def add(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint."""
        ...

    async def kept(self) -> Kept:
        """Return how many checkpoints there are."""
        ...

    async def notes(self) -> list[str]:
        """Return the notes of all of them, in their order."""
        ...

    async def note(self, change: Change) -> None:
        """Have a change on record that changes nothing in the store."""
        ...


class Outside(Protocol):
    """A place for checkpoints that whoever has the database does not have. Never blocks and never raises."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def error(self) -> str:
        """Why it takes nothing; empty while it does."""
        ...

    @property
    def found(self) -> str | None:
        """The newest note there was when it could first be read: empty if none, None if it could not yet."""
        ...

    async def last(self) -> str | None:
        """Return what is `found`, after the first try to read it or some seconds."""
        ...

    @property
    def lost(self) -> str:
        """What is gone from the place, as a sentence; empty while all is there that should be."""
        ...

    def expect(self, kept: Kept) -> None:
        """Know what should be there, with what was put and still waits."""
        ...

    def put(self, note: str) -> None:
        """Add a note, as soon as the place takes it."""
        ...

    async def begin_anew(self, notes: Sequence[str]) -> None:
        """Move what is there aside and begin with these notes; return once it is done, or takes too long."""
        ...

    async def close(self) -> None:
        """Wait a little for what was put, then let go."""
        ...
