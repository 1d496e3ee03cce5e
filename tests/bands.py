"""The bands of seconds, looked up by hand: what the store finds in a statement of its own."""

from __future__ import annotations

from itertools import pairwise

from coatcheck.core.activity import BOUNDS


def band_of(seconds: float) -> int:
    """Return the band that a time is in."""
    for band, (_, end) in enumerate(pairwise(BOUNDS)):
        if seconds < end:
            return band
    return len(BOUNDS) - 1
