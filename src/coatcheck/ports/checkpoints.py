"""Where checkpoints of the chain are kept: beside it in the store, and outside of the store."""

from __future__ import annotations

from typing import Protocol

from coatcheck.model.chain import Beginning, Checkpoint, Head, Link


class Checkpoints(Protocol):
    """The chain in the store, and the checkpoints beside it. Raises `Unavailable`."""

    @property
    def head(self) -> Head | None:
        """Where the chain stands; None while nobody can tell."""
        ...

    async def beginning(self) -> Beginning:
        """Return where the chain begins."""
        ...

    async def where(self) -> Head:
        """Return where the chain stands, read from the store."""
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

    async def last(self) -> str | None:
        """Return the newest note there; None if there is none, or it cannot be read in time."""
        ...

    def put(self, note: str) -> None:
        """Add a note, as soon as the place takes it."""
        ...

    async def close(self) -> None:
        """Wait a little for what was put, then let go."""
        ...
