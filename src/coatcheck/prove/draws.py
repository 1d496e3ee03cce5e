"""Chance that can be drawn again: numbers that follow from one seed, so that a proof can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

_One = TypeVar("_One")


class Draws:
    """Numbers from SHA-256 over the seed and a counter. Fit for trying things out, not for keys."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._count = 0

    def bytes(self, size: int) -> bytes:
        """Return so many bytes."""
        drawn = b""
        while len(drawn) < size:
            self._count += 1
            drawn += sha256(b"%d %b" % (self._count, self._seed)).digest()
        return drawn[:size]

    def below(self, limit: int) -> int:
        """Return a number from 0 up to but not including `limit`."""
        return int.from_bytes(self.bytes(8), "big") % limit

    def one_of(self, choices: Sequence[_One]) -> _One:
        """Return one of several."""
        return choices[self.below(len(choices))]
