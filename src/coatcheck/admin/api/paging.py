"""Cursors: where a list goes on, in a form that tells nothing and that is not hit upon by chance."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Annotated, Final

import msgspec

from coatcheck.admin.api.problems import problem

MAX_CURSOR_CHARS: Final = 4_000
MOST: Final = 1_000
USUAL: Final = 100

Limit = Annotated[int, msgspec.Meta(ge=1, le=MOST, description="How many items to return at most.")]
Cursor = Annotated[
    str,
    msgspec.Meta(
        max_length=MAX_CURSOR_CHARS, pattern="^[A-Za-z0-9_-]*$", description="The `next` of the page before."
    ),
]
"""What a client sends back. Its form is not told, so that it can change."""


def cursor_of(name: str, place: str | None) -> str | None:
    """Return the cursor for a place in the list of this name; None at the end."""
    if place is None:
        return None
    raw = place.encode("utf-8")
    return base64.urlsafe_b64encode(_check(name, raw) + raw).decode("ascii").rstrip("=")


def place_of(name: str, cursor: str | None) -> str | None:
    """Return the place that a cursor of this list stands for.

    Raises:
        Problem: it was never given out for this list.
    """
    if cursor is None:
        return None
    try:
        whole = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = whole[4:].decode("utf-8")
    except (binascii.Error, ValueError):
        raise _bad() from None
    if whole[:4] != _check(name, whole[4:]) or cursor_of(name, place) != cursor:
        raise _bad()
    return place


def number_of(name: str, cursor: str | None) -> int | None:
    """Return the position that a cursor stands for, for lists that go by position. Raises as `place_of`."""
    place = place_of(name, cursor)
    return None if place is None else int(place)


def _check(name: str, raw: bytes) -> bytes:
    """Tell our cursors from typing errors and those of other lists; it proves nothing and need not."""
    return zlib.crc32(name.encode("utf-8") + b"\0" + raw).to_bytes(4, "big")


def _bad() -> Exception:
    fix = "Send the `next` of a page of this list as it came, or leave it out to begin anew."
    return problem("bad_cursor", "The cursor was not given out for this list.", fix, "after")
