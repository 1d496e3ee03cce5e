"""Names on the aggregated route: `server__tool`, short enough for clients; and names not fit to be shown.

A server's name holds no `__` and does not end in `_`, so the first `__` of an exposed name always parts them.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from coatcheck.core.normalizing import nfkc

SEPARATOR: Final = "__"
MAX_EXPOSED: Final = 64
"""Longest name that the model APIs behind common clients take."""
MAX_OWN: Final = 128
"""Longest name a server may give (MCP 2025-11-25, tool names)."""
_DIGEST_CHARS: Final = 8

_INVISIBLE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Control, format (zero-width, bidi), surrogate, private, unassigned, line and paragraph separators."""
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Default ignorable all the same (Unicode, DerivedCoreProperties): fillers, joiners, variation selectors."""


def full(server: str, own: str) -> str:
    """Return the namespaced name that access rules are written against, of any length."""
    return f"{server}{SEPARATOR}{own}"


def exposed(server: str, own: str) -> str:
    """Return the name that clients of the aggregated route see: the full one, or a stable short form."""
    name = full(server, own)
    if len(name) <= MAX_EXPOSED:
        return name
    digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:_DIGEST_CHARS]
    return f"{name[: MAX_EXPOSED - _DIGEST_CHARS - 1]}_{digest}"


def server_of(name: str) -> str | None:
    """Return the server part of an exposed name, or None if it has none."""
    server, separator, own = name.partition(SEPARATOR)
    return server if separator and own else None


def unroutable(names: Iterable[str], *, limit: int = MAX_OWN, twins: bool = False) -> Mapping[str, str]:
    """Return the names that must not be listed or called, each with the reason.

    Those are empty or overlong names and names with characters that cannot be seen. Unless `twins` may
    stand side by side, as URIs may, also names that look like another of the same list after NFKC and case
    folding: both are left out, since nothing tells the honest one from its copy.
    """
    bad: dict[str, str] = {}
    folded: dict[str, str] = {}
    for name in names:
        if reason := _unshowable(name, limit):
            bad[name] = reason
        if reason or twins:
            continue
        key = nfkc(name).casefold()
        twin = folded.setdefault(key, name)
        if twin != name:
            bad[name] = f"it looks like {twin!r}"
            bad[twin] = f"it looks like {name!r}"
    return bad


def _unshowable(name: str, limit: int) -> str:
    if not name or len(name) > limit:
        return f"it is empty or longer than {limit} characters"
    if name.isascii() and name.isprintable():
        return ""
    if _INVISIBLE.search(name) or any(unicodedata.category(char) in _INVISIBLE_CATEGORIES for char in name):
        return "it has characters that cannot be seen"
    return ""
