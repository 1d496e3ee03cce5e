"""A part of the chain that was sealed in a file, so that the database need not keep it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Segment:
    """Entries `first` to `last` of the chain, between the hashes `prev` and `hash` (32 bytes each).

    `file` is the name of the file, without its folder, and `sha256` of its bytes, hexadecimal. `at` is when.
    """

    first: int
    last: int
    prev: bytes
    hash: bytes
    entries: int
    at: datetime
    file: str
    sha256: str
