"""One HTTP exchange with an authorization server: judged addresses, no redirects, bounded, strict JSON."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from coatcheck import __version__
from coatcheck.core.oauth import url_problem
from coatcheck.core.wire import strict
from coatcheck.errors import (
    CallerError,
    UpstreamBadReply,
    UpstreamForbidden,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from coatcheck.model.secret import Secret
from coatcheck.upstream.http.hop.connection import Connection
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.heads import fields
from coatcheck.upstream.http.hop.reading import Received, ReplyLimits, head_only
from coatcheck.upstream.http.hop.urls import take_apart
from coatcheck.upstream.pace import Pace

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
NO_HEADERS: Final[Mapping[str, Secret]] = MappingProxyType({})
_JSON_LIKE: Final = re.compile(rb"application/(?:[\w.-]+\+)?json")


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Seconds that one exchange and a whole discovery may take; the bytes of head and body of an answer."""

    seconds: float = 10.0
    discovery: float = 30.0
    reply: ReplyLimits = ReplyLimits(head=64 * 1024, body=512 * 1024)


class Fetching:
    """Fetches for one server: what its metadata leads to is on this machine only if the server is, too."""

    def __init__(self, egress: Egress, limits: FetchLimits, *, loopback: bool) -> None:
        self._egress = egress if loopback else replace(egress, loopback=False)
        self._limits = limits

    async def get(self, who: str, url: str) -> Received:
        """Send a GET for JSON. `who` names the other side in errors.

        Raises:
            UpstreamForbidden: the URL is one that we never dial.
            UpstreamError: there is no answer to be had.
        """
        return await self._send(who, url, b"GET", fields([("Accept", JSON)]), b"")

    async def post(
        self,
        who: str,
        url: str,
        media: str,
        body: Secret,
        authorization: Secret | None = None,
        more: Mapping[str, Secret] = NO_HEADERS,
    ) -> Received:
        """Send a POST, with `more` headers beside our own. Raises as `get`."""
        lines = [("Accept", f"{JSON}, text/event-stream;q=0.1"), ("Content-Type", media)]
        if authorization is not None:
            lines.append(("Authorization", authorization.reveal()))
        lines += [(name, value.reveal()) for name, value in more.items()]
        return await self._send(who, url, b"POST", fields(lines), body.reveal().encode("utf-8"))

    async def _send(self, who: str, url: str, method: bytes, head: bytes, body: bytes) -> Received:
        if problem := url_problem(url):
            raise UpstreamForbidden(
                f"the address of {who} cannot be used: {problem}",
                fix="it comes from the metadata of the server or its authorization server: tell who runs it",
            )
        origin, target = take_apart(Secret(url), who)
        lines = fields([("Host", origin.authority), ("User-Agent", f"coatcheck/{__version__}")])
        lines += b"Accept-Encoding: identity\r\nConnection: close\r\n"
        length = b"Content-Length: %d\r\n" % len(body) if method == b"POST" else b""
        start = b"%b %b HTTP/1.1\r\n" % (method, target.reveal().encode("ascii"))
        request = b"".join((start, lines, head, length, b"\r\n", body))
        try:
            async with asyncio.timeout(self._limits.seconds):
                tls = await self._egress.trust.context() if origin.tls else None
                owner = _Once()
                made = await self._egress.dial(
                    who, origin, tls, lambda: Connection(who, owner, self._limits.reply, Pace())
                )
                try:
                    return await made.send(request, head_only)
                finally:
                    made.close()
        except TimeoutError:
            raise UpstreamTimeout(f"{who} did not answer within {self._limits.seconds:g} seconds") from None
        except OSError as error:
            raise UpstreamUnreachable(
                f"the certificates to trust for {who} cannot be read",
                fix="check SSL_CERT_FILE and SSL_CERT_DIR",
                detail=error.strerror or "",
            ) from None


class _Once:
    """Keeps no connection."""

    def freed(self, connection: Connection) -> None:
        """Close it: it is not used twice."""
        connection.close()

    def lost(self, connection: Connection) -> None:
        """Have nothing to forget."""


def read_object(who: str, received: Received) -> Mapping[str, Any]:
    """Return the JSON object of an answer, read strictly; integers are texts.

    Raises:
        UpstreamBadReply: it is none; the message does not quote it.
    """
    if not _JSON_LIKE.match(received.media) or received.encoding not in (b"", b"identity"):
        raise UpstreamBadReply(f"{who} answered with something that is no JSON ({received.status})")
    try:
        value = strict.read(received.body)
    except CallerError:
        value = None
    if not isinstance(value, dict):
        raise UpstreamBadReply(
            f"{who} answered with something that is no clear JSON object ({received.status})"
        )
    return value


def text_in(said: Mapping[str, Any], name: str, most: int = 4096) -> str:
    """Return a member that is a text; empty if it is none, is too long, or cannot be printed."""
    value = said.get(name)
    fit = isinstance(value, str) and len(value) <= most and value.isprintable()
    return str(value) if fit else ""


def texts_in(said: Mapping[str, Any], name: str, most: int = 200) -> tuple[str, ...]:
    """Return the texts of a member that is a list."""
    value = said.get(name)
    if not isinstance(value, list):
        return ()
    return tuple(one for one in value[:most] if isinstance(one, str) and len(one) <= 4096)
