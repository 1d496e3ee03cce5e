"""Reads where a server wants messages posted: an address of its own origin, or none at all.

MCP 2024-11-05, transports: the first event of the stream is `endpoint`, its data a URI to resolve against
that of the stream (RFC 3986 section 5). Whoever answers there gets the credential, so no other origin will
do.
"""

from __future__ import annotations

import re
from typing import Final

from coatcheck.errors import UpstreamBadReply, UpstreamForbidden
from coatcheck.model.secret import Secret
from coatcheck.upstream.http.hop.urls import Origin, take_apart

MAX_BYTES: Final = 8192
_VISIBLE: Final = re.compile(r"[!-~]+\Z")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_FIX: Final = (
    "set the server's public URL to the one it is reached by here, or give the url that it believes in"
)


def read_endpoint(data: bytes, origin: Origin, stream: Secret, server: str) -> Secret:
    """Return the path with query to post to. `stream` is the path with query of the stream itself.

    Raises:
        UpstreamBadReply: it is no URI, or one of another origin; the message does not quote it.
    """
    text = data.decode("ascii", "replace").strip(" ")
    if len(data) > MAX_BYTES or not _VISIBLE.match(text) or "\\" in text:
        raise UpstreamBadReply(f"{server} named an address to post to that is none")
    if not _SCHEME.match(text) and not text.startswith("//"):
        return Secret(_resolve(stream.reveal(), text))
    absolute = text if _SCHEME.match(text) else f"{'https' if origin.tls else 'http'}:{text}"
    try:
        found, target = take_apart(Secret(absolute), server)
    except UpstreamForbidden as error:
        raise UpstreamBadReply(
            f"{server} named an address to post to that cannot be used", detail=error.message
        ) from None
    if found != origin:
        raise UpstreamBadReply(
            f"{server} wants messages posted to another origin, which is refused",
            detail=f"it named {found.authority}, its stream is at {origin.authority}",
            fix=_FIX,
        )
    return target


def _resolve(base: str, reference: str) -> str:
    reference = reference.partition("#")[0]
    path = base.partition("?")[0]
    if not reference:
        return base
    if reference.startswith("?"):
        return path + reference
    path_part, mark, query = reference.partition("?")
    if not path_part.startswith("/"):
        path_part = path.rpartition("/")[0] + "/" + path_part
    return _without_dots(path_part) + mark + query


def _without_dots(path: str) -> str:
    """Take out `.` and `..` (RFC 3986 section 5.2.4). `path` starts with a slash."""
    kept: list[str] = []
    *segments, last = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if last == "..":
        kept = kept[:-1]
    kept.append("" if last in (".", "..") else last)
    return "/" + "/".join(kept)
