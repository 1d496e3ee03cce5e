"""What pages tell of the record besides other things: they are shown all the same where it cannot be read."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from coatcheck.errors import Unavailable

_Found = TypeVar("_Found")


async def if_readable(looking: Awaitable[_Found]) -> _Found | None:
    """Return what was found in the record; None where it cannot be read now."""
    try:
        return await looking
    except Unavailable:
        return None
