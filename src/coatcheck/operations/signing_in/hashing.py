"""Hashing passwords beside the calls: in threads, two at once, and a bounded number that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from coatcheck.core import passwords
from coatcheck.core.tokens import Pepper
from coatcheck.errors import Busy
from coatcheck.ports import Entropy

AT_ONCE: Final = 2
MOST_WAITING: Final = 16

_Done = TypeVar("_Done")


class Hashing:
    """The only one who computes hashes of passwords. Each takes 46 MiB while it does."""

    def __init__(self, pepper: Pepper, entropy: Entropy) -> None:
        self._pepper = pepper
        self._entropy = entropy
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hash_of(self, password: str, name: str) -> str:
        """Return the hash of a prepared password of this operator.

        Raises:
            Busy: too many wait already.
        """
        salt = self._entropy.token(passwords.SALT_BYTES)
        return await self._run(lambda: passwords.hash_of(password, name, self._pepper, salt))

    async def fits(self, password: str, name: str, kept: str) -> bool:
        """Tell whether a hash is that of a password as it was typed; it takes as long where none is kept.

        Raises:
            Busy: too many wait already.
        """
        prepared = passwords.prepared(password)
        text, compared = (prepared, kept) if prepared is not None else ("", "")
        return await self._run(lambda: passwords.fits(text, name, self._pepper, compared))

    async def _run(self, work: Callable[[], _Done]) -> _Done:
        if self._waiting >= AT_ONCE + MOST_WAITING:
            raise Busy("too many sign in at once", fix="try again in a moment")
        self._waiting += 1  # until it is done, even if whoever asked is gone: the memory is still in use
        return await asyncio.shield(asyncio.ensure_future(self._in_turn(work)))

    async def _in_turn(self, work: Callable[[], _Done]) -> _Done:
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1
