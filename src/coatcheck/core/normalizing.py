"""Unicode normalisation in linear time, whoever wrote the text.

Putting combining marks in order takes the square of how many stand in one run: one argument of a call could
take minutes. Source: Unicode Standard Annex 15, section 13 (Stream-Safe Text Format).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

MOST_MARKS: Final = 30
"""Longest run of combining marks in the text of any language, with much to spare (UAX 15, definition D3)."""
_JOINER: Final = "\u034f"
"""What parts a longer run: it is no mark itself, and cannot be seen."""
_FIRST_MARK, _LAST_MARK = 0x300, 0x1E94A


def nfkc(text: str) -> str:
    """Return text in form NFKC; runs of more marks than any language has are parted by U+034F before."""
    if text.isascii():
        return text
    if has_long_run(text):
        text = _runs()[1].sub(rf"\g<0>{_JOINER}", text)
    return unicodedata.normalize("NFKC", text)


def has_long_run(text: str) -> bool:
    """Tell whether more marks follow each other than any language has: how these are read, nobody knows."""
    if text.isascii():
        return False
    likely, long = _runs()
    return likely.search(text) is not None and long.search(text) is not None


@cache
def _runs() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what finds a run that is likely too long, and what finds the beginning of one that is.

    Made when the first such text comes. A set of characters is quick up to U+FFFF, and a range is beyond.
    """
    every = [char for char in map(chr, range(_FIRST_MARK, _LAST_MARK + 1)) if begins_with_mark(char)]
    basic, beyond = ([char for char in every if (char > "\uffff") is far] for far in (False, True))
    likely = f"[{re.escape(''.join(basic))}{beyond[0]}-{beyond[-1]}]{{{MOST_MARKS + 1}}}"
    marks = f"[{re.escape(''.join(every))}]"
    return re.compile(likely), re.compile(f"{marks}{{{MOST_MARKS}}}(?={marks})")


def begins_with_mark(char: str) -> bool:
    """Tell whether a character, taken apart, begins with a mark that is put in order with its neighbours."""
    if "\ud800" <= char <= "\udfff":
        return False
    return unicodedata.combining(unicodedata.normalize("NFKD", char)[0]) != 0
