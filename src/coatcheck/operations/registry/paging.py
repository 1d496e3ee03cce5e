"""Cutting sorted lists into pages; a cursor holds the place of the last item, not the item."""

from __future__ import annotations

import base64
import binascii
import heapq
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from coatcheck.errors import Unfit
from coatcheck.operations.registry.views import Page

MAX_LIMIT: Final = 1_000
_MAX_CURSOR: Final = 2_048
_BETWEEN: Final = "\x00"

_Item = TypeVar("_Item")
Place = tuple[str, ...]


def page_of(
    items: Iterable[_Item],
    place: Callable[[_Item], Place],
    limit: int,
    after: str | None,
    before: str | None = None,
) -> Page[_Item]:
    """Return the items after a cursor, or those that end before one, by their places, at most `limit`.

    Raises:
        Unfit: the limit is not from 1 to `MAX_LIMIT`, or a cursor is none of ours.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise Unfit(f"limit must be from 1 to {MAX_LIMIT}")
    start = _read(after) if after is not None and before is None else None
    placed = [(place(item), number, item) for number, item in enumerate(items)]
    if before is not None:  # the page begins so far back that it is full; less than that is the first page
        end = _read(before)
        back = heapq.nlargest(limit + 1, (one for one in placed if one[0] < end))
        start = back[limit][0] if len(back) > limit else None
    left = placed if start is None else [one for one in placed if one[0] > start]
    first = heapq.nsmallest(limit + 1, left)  # no two have the same number, so items are never compared
    shown = first[:limit]
    return Page(
        [item for _, _, item in shown],
        _cursor(shown[-1][0]) if len(first) > limit else None,
        _cursor(shown[0][0]) if shown and len(left) < len(placed) else None,
        len(placed),
    )


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(_BETWEEN.join(place).encode("utf-8", "surrogatepass")).decode("ascii")


def _read(cursor: str) -> Place:
    try:
        if len(cursor) > _MAX_CURSOR:
            raise ValueError
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        return tuple(raw.decode("utf-8", "surrogatepass").split(_BETWEEN))
    except (ValueError, binascii.Error):
        raise Unfit("the cursor was never given out", fix="begin again without it") from None
