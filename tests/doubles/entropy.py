"""Randomness that counts, so that identifiers differ and a run can be repeated."""

from __future__ import annotations


class CountingEntropy:
    """Implements `ports.Entropy`: the n-th answer is the number n."""

    def __init__(self) -> None:
        self._given = 0

    def token(self, size: int) -> bytes:
        self._given += 1
        return self._given.to_bytes(size, "big")
