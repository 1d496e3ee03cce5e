"""Which known word was probably meant by one that is not known."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

_MOST_CHARS: Final = 64
"""Of the unknown word that are looked at: comparing takes long, and known words are short."""


def nearest(word: str, words: Collection[str]) -> str | None:
    """Return the known word that is most like an unknown one, or None."""
    from difflib import get_close_matches  # only for mistakes

    by_folded = {known.casefold(): known for known in words}
    close = get_close_matches(word[:_MOST_CHARS].casefold(), by_folded, n=1)
    return by_folded[close[0]] if close else None
