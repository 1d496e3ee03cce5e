"""Telling URIs that say plainly what they mean from those that a server may read as another."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import unquote

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_ODD_OCTET: Final = re.compile(
    r"%25[0-9A-Fa-f%]|%(?:4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A]|3[0-9]|2[DE]|5F|7E|.?[a-f]|[a-f])|%(?![0-9A-Fa-f]{2})"
)
"""Letters, digits, `-`, `.`, `_` and `~` written as octets, small hexadecimal digits, a bare per cent sign.

So is an octet for a per cent sign before two digits: what decodes twice reads another character there.

RFC 3986, sections 2.1, 2.3 and 6.2.2: nothing asks for any of these.
"""
_ODD_CHARACTER: Final = re.compile(r"[^!#-;=?-\[\]_a-z{}~]")
"""What parsers drop (blanks, controls), take for a slash, or write as octets: two spellings of one URI."""
_STEPS: Final = frozenset({".", ".."})
_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}
"""Schemes whose URIs parsers normalise (WHATWG URL, special schemes), and their default ports."""
_NUMBER: Final = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
_HOST: Final = re.compile(r"(.*?)(?::([^:\]]*))?\Z")
_MAX_CACHED: Final = 1024
"""URIs longer than this are judged anew each time: callers write them, and what is remembered stays small."""


def is_plain(uri: str) -> bool:
    """Tell whether a URI has no other spelling that it is equal to (RFC 3986, section 6.2.2; WHATWG URL).

    Not plain are, among others, steps such as `..` and empty ones, octets that stand for plain characters,
    blanks and controls, backslashes, letters beyond ASCII, capitals in the scheme, empty and default ports,
    a host of `file`, and hosts that are numbers. Works for URI templates as well.
    """
    return _remembered(uri) if len(uri) <= _MAX_CACHED else _is_plain(uri)


def scheme_of(uri: str) -> str:
    """Return the scheme as every parser reads it, in lower case and without what some drop; or nothing."""
    found = _SCHEME.match(re.sub(r"[\t\n\r]", "", uri).lstrip("".join(map(chr, range(0x21)))))
    return found[1].lower() if found else ""


def _is_plain(uri: str) -> bool:
    if _ODD_CHARACTER.search(uri) or _ODD_OCTET.search(uri):
        return False
    found = _SCHEME.match(uri)
    scheme = found[1] if found else ""
    if scheme != scheme.lower():
        return False
    rest = re.split(r"[?#]", uri, maxsplit=1)[0][found.end() if found else 0 :]
    steps = re.split(r"[/\\]", unquote(rest))
    if not _STEPS.isdisjoint(steps) or (scheme and "" in steps[3:-1]):
        return False  # a server's files are the same with two slashes for one
    return _is_plainly_placed(scheme, rest)


def _is_plainly_placed(scheme: str, rest: str) -> bool:
    """Tell whether what comes before the path has one spelling only."""
    if scheme == "file":
        return rest.startswith("///")
    if not rest.startswith("//"):
        return scheme not in _PORTS
    authority, slash, _ = rest[2:].partition("/")
    host, port = _HOST.match(authority.rpartition("@")[2]).groups()  # type: ignore[union-attr]  # always matches
    if port == "":
        return False
    if scheme not in _PORTS:
        return True
    if not slash or port == _PORTS[scheme] or (port or "").startswith("0"):
        return False
    return host == host.lower() and _is_plain_host(host)


def _is_plain_host(host: str) -> bool:
    if host.startswith("["):
        try:
            return f"[{IPv6Address(host[1:-1])}]" == host
        except AddressValueError:
            return False
    if not host or "%" in host:
        return False
    if _NUMBER.match(host.removesuffix(".").rpartition(".")[2]):
        try:
            return str(IPv4Address(host)) == host
        except AddressValueError:
            return False
    return True


_remembered = lru_cache(maxsize=4096)(_is_plain)
