"""Judging a request by its head alone, before anyone is identified: framing, Host, Origin and path.

The HTTP parser has refused what is no HTTP/1.1 (RFC 9112). What it lets through but two readers in a row
could take differently is refused here: this is the last place where a smuggled request can be seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

Headers = Mapping[str, tuple[str, ...]]
"""Header values by lower-case name, in order."""

ARRIVAL: Final = "coatcheck.arrival"
"""The member of the ASGI scope in which the front door leaves what it judged, an `Arrival`."""
MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 64 * 1024
MAX_TARGET_BYTES: Final = 8 * 1024

_SINGLETONS: Final = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "content-type",
        "content-encoding",
        "authorization",
        "origin",
        "expect",
        "upgrade",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-session-id",
        "last-event-id",
    }
)
_NAMES: Final = {
    name.encode(): name
    for name in (
        *_SINGLETONS,
        "accept",
        "accept-encoding",
        "accept-language",
        "connection",
        "sec-fetch-mode",
        "traceparent",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-proto",
    )
}
"""The names that nearly all requests have, so that they need not be decoded each time."""
_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?\Z"
)
_PLAIN_PATH: Final = re.compile(rb"/(?:[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*/?)?\Z")
_PATH: Final = re.compile(rb"/[!$&'()*+,\-./0-9:;=@A-Z_a-z~%]*\Z")
_AMBIGUOUS_ESCAPE: Final = re.compile(
    rb"%(?:00|0[aAdD]|2[eEfF5]|5[cC]|[^0-9a-fA-F]|.?\Z|[0-9a-fA-F][^0-9a-fA-F])"
)


class Arrival(NamedTuple):
    """A request whose head was accepted: method, plain path, sorted headers, TCP peer, client's address.

    `query` is what stands behind the path, as it came; the old HTTP+SSE transport and the console read it. A
    tuple, since every request makes one: a frozen dataclass takes three times as long.
    """

    method: str
    path: str
    headers: Headers
    peer: str
    address: str
    query: bytes = b""


@dataclass(frozen=True, slots=True)
class Misframed:
    """A head that is refused: the HTTP status and a sentence. The connection is closed after it."""

    status: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Doors:
    """Which Hosts and Origins this gateway answers to, all lower-case.

    `any_host`: every well-formed Host is taken, where there is a bearer token and no Origin. `setting` is
    what names another Host.
    """

    hosts: frozenset[str]
    origins: frozenset[str]
    any_host: bool = False
    setting: str = "public_url"


def read_headers(raw: Sequence[tuple[bytes, bytes]]) -> Headers | Misframed:
    """Sort headers by name. Refuses too many, too long, and repeated ones that must stand alone."""
    size = sum(map(len, chain.from_iterable(raw))) + 4 * len(raw)
    if len(raw) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        return Misframed(431, f"More than {MAX_HEADERS} headers, or {MAX_HEADER_BYTES} bytes of them.")
    headers: dict[str, tuple[str, ...]] = {}
    for name_bytes, value_bytes in raw:
        name = _NAMES.get(name_bytes) or name_bytes.decode("latin-1")
        value = value_bytes.decode("latin-1")
        if name not in headers:
            headers[name] = (value,)
        elif name in _SINGLETONS:
            return Misframed(400, f"The header {name} appears more than once.")
        else:
            headers[name] = (*headers[name], value)
    return headers


def judge_head(headers: Headers, path: bytes, query: bytes) -> Misframed | None:
    """Refuse heads that could be taken in two ways (RFC 9112 section 6.3, RFC 9110 section 7.6)."""
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"][0].strip(" \t").lower() != "chunked":
            return Misframed(400, "The only Transfer-Encoding accepted is `chunked`.")
        if "content-length" in headers:
            return Misframed(400, "Content-Length and Transfer-Encoding exclude each other.")
    length = headers.get("content-length")
    if length is not None and not (length[0].isascii() and length[0].isdigit()):
        return Misframed(400, "Content-Length must be decimal digits.")
    if "upgrade" in headers:
        return Misframed(400, "No protocol upgrade is offered here.")
    if "connection" in headers and not _plain_connection(headers["connection"]):
        return Misframed(400, "Connection may only say close or keep-alive.")
    if "expect" in headers and headers["expect"][0].lower() != "100-continue":
        return Misframed(417, "The only expectation understood is `100-continue`.")
    return _judge_target(path, query)


def _plain_connection(values: tuple[str, ...]) -> bool:
    words = [word.strip(" \t").lower() for value in values for word in value.split(",")]
    return all(word in {"close", "keep-alive", ""} for word in words)


def _judge_target(path: bytes, query: bytes) -> Misframed | None:
    if len(path) + len(query) > MAX_TARGET_BYTES:
        return Misframed(414, f"The request target is longer than {MAX_TARGET_BYTES} bytes.")
    if _PLAIN_PATH.match(path):
        return None  # what nearly all are: no escape, no dot, no double slash
    if not _PATH.match(path) or b"//" in path or _AMBIGUOUS_ESCAPE.search(path):
        return Misframed(400, "The path is not in its plain form.")
    if b"/." in path and any(part in {b".", b".."} for part in path.split(b"/")):
        return Misframed(400, "The path has dot segments.")
    return None


def judge_origin_and_host(headers: Headers, doors: Doors) -> Misframed | None:
    """Refuse Hosts and Origins that are not ours: DNS rebinding and other sites' pages (MCP, security)."""
    host = headers.get("host", ("",))[0]
    if host not in doors.hosts:
        host = host.strip(" \t").lower()
        if not (match := _HOST.match(host)) or (match[1] and int(match[1]) > 65535):
            return Misframed(400, "The Host header is missing or malformed.")
    origin = headers.get("origin")
    if origin is not None and origin[0].strip(" \t").lower() not in doors.origins:
        return Misframed(403, "Requests from this Origin are not accepted.")
    if host in doors.hosts or (doors.any_host and origin is None and "authorization" in headers):
        return None
    flag = "--" + doors.setting.replace("_", "-")
    return Misframed(421, f"This gateway does not answer to this Host: set {flag} to the URL clients use.")


def doors_for(
    bound_host: str, port: int, *, loopback: bool, public_url: str | None, setting: str = "public_url"
) -> Doors:
    """Return what is answered to: the bound address and the public URL (an origin without a path).

    `setting` is what the public URL is set by.
    """
    names = {f"[{bound_host}]" if ":" in bound_host else bound_host}
    if loopback:
        names |= {"localhost", "127.0.0.1", "[::1]"}
    hosts = {f"{name}:{port}".lower() for name in names}
    origins = {f"http://{host}" for host in hosts}
    if port == 80:
        hosts |= {name.lower() for name in names}
        origins |= {f"http://{name}".lower() for name in names}
    if public_url:
        scheme, _, authority = public_url.rstrip("/").lower().partition("://")
        standard = ":443" if scheme == "https" else ":80"
        authority = authority.removesuffix(standard)
        hosts |= {authority}
        if ":" not in authority.rpartition("]")[2]:
            hosts |= {authority + standard, f"{authority}:{port}"}
        origins |= {f"{scheme}://{authority}"}
    return Doors(frozenset(hosts), frozenset(origins), not loopback and not public_url, setting)
