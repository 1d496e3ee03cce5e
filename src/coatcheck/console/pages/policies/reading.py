"""Reads what people type, aside from the calls that go on: a long document takes seconds to read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Final, ParamSpec, TypeVar

from coatcheck.core.policy.reading.written import Written
from coatcheck.errors import Unfit

MAX_TYPED: Final = 128 * 1024
"""Characters of a document, or of cases, that are read here; a command takes more."""
_KEPT: Final = 16
"""Texts whose reading is kept: what was just read comes back with the next change."""
_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


class Typed:
    """Reads documents that are typed, one after the other, in a thread."""

    def __init__(self, read: Callable[[str], Written]) -> None:
        self._read = lru_cache(_KEPT)(read)
        self._turn = asyncio.Lock()

    def read(self, text: str) -> Written:
        """Return what a text says; nobody may change it.

        Raises:
            Unfit: it is too long, or cannot be read.
        """
        if len(text) > MAX_TYPED:
            raise Unfit(f"it is longer than {MAX_TYPED} characters", fix="the command line takes longer ones")
        return self._read(text)

    async def aside(
        self, work: Callable[_Given, _Found], *given: _Given.args, **more: _Given.kwargs
    ) -> _Found:
        """Do what takes long while others have their turn, and return what it returns."""
        async with self._turn:
            return await asyncio.to_thread(work, *given, **more)
