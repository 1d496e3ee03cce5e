"""Answers that go on: lines of JSON as they come, for as long as whoever asked may still see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from coatcheck.admin.api.problems import Problem, Wrong
from coatcheck.admin.api.routes import Streamed

LINES: Final = "application/jsonl"
MOST_STREAMS: Final = 32


class Streams:
    """Bounds how many such answers there are at once."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self._most = most
        self._count = 0

    def open(self, lines: AsyncIterator[bytes], stands: Callable[[], bool]) -> Streamed:
        """Return the answer that sends these lines until `stands` says no.

        Raises:
            Problem: there are too many already.
        """
        if self._count >= self._most:
            wrong = Wrong("Too many operators follow already.", "Try again when one has stopped.")
            raise Problem("too_many_streams", wrong, headers={"Retry-After": "10"})
        return Streamed(self._counted(lines, stands), LINES)

    async def _counted(self, lines: AsyncIterator[bytes], stands: Callable[[], bool]) -> AsyncIterator[bytes]:
        if self._count >= self._most:
            return  # as many came between the judging and the first line
        self._count += 1
        try:
            async for line in lines:
                if not stands():
                    return
                yield line
        finally:
            self._count -= 1
