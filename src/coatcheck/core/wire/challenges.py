"""Reads `WWW-Authenticate`: what a server that refused us wants (RFC 9110 11.6.1, RFC 6750, RFC 9728)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_SCOPES: Final = 50
_MAX_BYTES: Final = 8192
_PART: Final = re.compile(
    r"[\s,]*"
    r'(?:(?P<name>[\w!#$%&\'*+.^`|~-]+)[ \t]*=[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<plain>[^\s,"]*))'
    r"|(?P<scheme>[\w!#$%&'*+.^`|~-]+)(?P<opaque>[ \t]+[\w.~+/-]+=*(?=[ \t]*(?:,|\Z)))?)",
    re.ASCII,
)
_SCOPE: Final = re.compile(r"[!#-\[\]-~]{1,200}\Z")


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a `Bearer` challenge says. Empty where there was none, or it says nothing of that."""

    error: str = ""
    scopes: tuple[str, ...] = ()
    metadata: str = ""
    """The URL of the metadata of the protected resource."""


def read_challenge(value: bytes) -> Challenge:
    """Return the first bearer challenge of a header, or of several joined by commas; never raises."""
    named: dict[str, str] = {}
    ours = False
    for match in _PART.finditer(value[:_MAX_BYTES].decode("ascii", "replace")):
        if match["scheme"] is not None:
            if ours:
                break
            ours = match["scheme"].lower() == "bearer"
        elif ours:
            quoted = match["quoted"]
            text = match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            named.setdefault(match["name"].lower(), text)
    return Challenge(
        named.get("error", ""),
        scopes_of(named.get("scope", "").split(" ")),
        named.get("resource_metadata", ""),
    )


def scopes_of(texts: Iterable[object]) -> tuple[str, ...]:
    """Return the scopes among these, each once, in order (RFC 6749 section 3.3); at most `MAX_SCOPES`."""
    fit = (text for text in texts if isinstance(text, str) and _SCOPE.match(text))
    return tuple(dict.fromkeys(fit))[:MAX_SCOPES]
