"""Telling URIs that say plainly what they mean from those that a server may read as another."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_NEEDLESS: Final = re.compile(r"%(?:4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A]|3[0-9]|2[DE]|5F|7E)", re.IGNORECASE)
"""Letters, digits, `-`, `.`, `_` and `~` written as octets (RFC 3986, section 2.3): nothing asks for that."""
_STEPS: Final = frozenset({".", ".."})
_MAX_CACHED: Final = 1024
"""URIs longer than this are judged anew each time: callers write them, and what is remembered stays small."""
_FOLDED_HOSTS: Final = frozenset({"http", "https", "ws", "wss"})


def is_plain(uri: str) -> bool:
    """Tell whether a URI has no other spelling that it is equal to (RFC 3986, section 6.2.2).

    Not plain are steps such as `..`, octets that stand for plain characters, capitals in the scheme, and,
    where a host has no case, capitals in the host. Works for URI templates as well.
    """
    return _remembered(uri) if len(uri) <= _MAX_CACHED else _is_plain(uri)


def _is_plain(uri: str) -> bool:
    if _NEEDLESS.search(uri):
        return False
    scheme = _SCHEME.match(uri)
    if scheme is not None and scheme[1] != scheme[1].lower():
        return False
    rest = re.split(r"[?#]", uri, maxsplit=1)[0][scheme.end() if scheme else 0 :]
    parts = re.split(r"[/\\]", unquote(rest))
    if not _STEPS.isdisjoint(parts):
        return False
    host = parts[2] if scheme and scheme[1] in _FOLDED_HOSTS and rest.startswith("//") else ""
    return host == host.lower()


_remembered = lru_cache(maxsize=4096)(_is_plain)
