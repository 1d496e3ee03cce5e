"""Judges names and values of HTTP headers that a file wants sent to a server, or read from a proxy."""

from __future__ import annotations

import re
from typing import Final

from coatcheck.declared.reading.problems import Unfit

MAX_VALUE: Final = 8192
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_VALUE = re.compile(r"[\x20-\x7e]*")

FRAMING: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to one hop or frame the message (RFC 9110 section 7.6.1, RFC 9112)."""

OURS: Final = frozenset({"accept", "accept-encoding", "content-type", "last-event-id"})
"""Headers that the gateway writes itself on every request to a server."""


def header_name_of(text: str) -> str:
    """Return a header name that may be set on requests to a server, as written.

    Raises:
        Unfit: not a token (RFC 9110 section 5.6.2), or a header that frames the message or is the protocol's.
    """
    if not _TOKEN.fullmatch(text):
        raise Unfit("there is a header name that is not one", "use letters, digits and hyphens")
    lower = text.lower()
    if lower in FRAMING:
        raise Unfit(f"the header {text} frames the message or belongs to one hop", "remove it")
    if lower.startswith("mcp-"):
        raise Unfit(f"the header {text} is written by the protocol", "remove it")
    return text


def header_value_of(text: str) -> str:
    """Return a header value: visible ASCII and inner spaces, at most 8 KiB.

    Raises:
        Unfit: anything else; a line break here would let a value add headers of its own.
    """
    if not text.strip():
        raise Unfit("the header value is empty", "is the variable or file empty?")
    if len(text) > MAX_VALUE:
        raise Unfit(f"the header value is longer than {MAX_VALUE} characters")
    if not _VALUE.fullmatch(text):
        fix = "a value from a file may end in one line break, which is removed"
        raise Unfit("the header value has a line break, a control character or one outside ASCII", fix)
    if text != text.strip():
        raise Unfit("the header value starts or ends with a space", "is a variable or file in it empty?")
    return text


def identity_header_of(text: str) -> str:
    """Return, in lower case, the name of a header that a proxy may name callers in.

    Raises:
        Unfit: not a header name, or one that every client sends for another purpose.
    """
    name = header_name_of(text).lower()
    if name in OURS or name in ("authorization", "cookie", "origin", "user-agent", "x-forwarded-for"):
        raise Unfit(f"the header {name} has another meaning", "use a header that only the proxy sets")
    return name
