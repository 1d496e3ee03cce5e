"""Text that reads in two ways: as it came, and as a server may take it that folds look-alikes.

Source: Unicode Standard Annex 15 (NFKC); what cannot be seen is taken out beside.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from coatcheck.core.normalizing import has_long_run, nfkc

MAX_CHARS: Final = 65_536
"""Longest text that is compared. What is longer cannot be told."""
_MAX_CACHED: Final = 64
_MAX_LOOK: Final = 4_096
"""Of a longer name, only the ends are folded: nothing in a policy is as long, and callers write names."""
_INVISIBLE: Final = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Controls but tab and line ends, and what is ignorable by default (Unicode, DerivedCoreProperties)."""


def readings(text: str) -> tuple[str, ...] | None:
    """Return the ways in which a text may be read, the plain one first.

    None for one that is too long, or has more combining marks in a run than any language.
    Nearly every text has one. Where a condition holds of some readings and not of others, it cannot be told.
    """
    if is_plain(text):
        return (text,)
    if len(text) > MAX_CHARS:
        return None
    if has_long_run(_INVISIBLE.sub("", text)):
        return None
    folded = nfkc(text)
    bare = _INVISIBLE.sub("", folded)
    return tuple(dict.fromkeys((text, folded, nfkc(bare))))


def is_plain(text: str) -> bool:
    """Tell whether a text has one reading for sure, as nearly every one has."""
    return text.isascii() and text.isprintable() and len(text) <= MAX_CHARS


def look_of(name: str) -> str:
    """Return what two names have in common that a lenient server takes for one: case, width, the unseen."""
    return _remembered(name) if len(name) <= _MAX_CACHED else _look_of(name)


def _look_of(name: str) -> str:
    if name.isascii() and name.isprintable():
        return name.lower()
    seen = _INVISIBLE.sub("", name)
    if len(seen) > _MAX_LOOK:
        seen = seen[: _MAX_LOOK // 2] + seen[-_MAX_LOOK // 2 :]
    return nfkc(_INVISIBLE.sub("", nfkc(seen).casefold()))


_remembered = lru_cache(maxsize=4096)(_look_of)
