"""What sealing needs of the store, and of the place that segments go to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from coatcheck.model.change import Change
from coatcheck.model.reading import Stretch
from coatcheck.model.segment import Segment


class Segments(Protocol):
    """The parts of the chain that are sealed, or can be. Raises `Unavailable`."""

    async def list(self) -> Sequence[Segment]:
        """Return every segment, oldest first."""
        ...

    async def vouched(self) -> bytes:
        """Return the digest over every segment (`core.recording.segments`), once the chain vouches for them.

        Raises:
            LedgerUnavailable: what the table says is not what was sealed.
        """
        ...

    async def oldest(self, before: datetime) -> Stretch | None:
        """Return the entries from before a time that can be sealed; None if there are none."""
        ...

    async def cursors(self) -> Mapping[str, int]:
        """Return how far each sink has come."""
        ...

    async def add(self, segment: Segment, made: Change) -> None:
        """Keep what became of a part, with the change that says who had it sealed."""
        ...

    async def clear(self) -> None:
        """Remove the rows of everything that is sealed, as far as the chain vouches for it.

        Raises:
            LedgerUnavailable: it does not; nothing is removed.
        """
        ...


class SegmentFiles(Protocol):
    """Where sealed segments are written to."""

    async def write(self, folder: Path | None, stretch: Stretch, lines: AsyncIterator[bytes]) -> Segment:
        """Write a segment, read it back and judge it; return it once it is durable.

        Raises:
            CoatcheckError: it cannot be written, or what was read back is not what the chain says.
        """
        ...
