"""Sending files: what one is read from is closed at the end, also where nobody read so far, or at all."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.responses import StreamingResponse

_Pieces = TypeVar("_Pieces", bound=AsyncIterable[object])


@asynccontextmanager
async def closed_at_the_end(pieces: _Pieces) -> AsyncIterator[_Pieces]:
    """Lend the pieces of a file, and close them afterwards if they can be closed, as generators can."""
    try:
        yield pieces
    finally:
        close: Any = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


class SentFile(StreamingResponse):
    """The response that a file is sent by. Whoever asked may be gone before it is begun."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        async with closed_at_the_end(self.body_iterator):
            await super().__call__(scope, receive, send)
