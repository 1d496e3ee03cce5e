"""Writes the heads of requests to one server; the only place where its URL and headers are revealed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from coatcheck import __version__
from coatcheck.errors import UpstreamForbidden
from coatcheck.model.secret import Secret
from coatcheck.upstream.http.hop.urls import Origin

_OURS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "keep-alive",
        "last-event-id",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "mcp-session-id",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that this hop decides: a configured one of that name is left out."""

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}\Z")
_VALUE: Final = re.compile(r"(?:[!-~](?:[\t -~]{0,8190}[!-~])?)?\Z")


class HeadWriter:
    """Joins what is the same for every request, prepared once, with the secrets and what differs."""

    def __init__(self, server: str, origin: Origin, target: Secret, headers: Mapping[str, Secret]) -> None:
        self._target = target
        self._secrets: list[tuple[bytes, Secret]] = []
        given = {name.lower() for name in headers}
        lines = [] if "host" in given else [("Host", origin.authority)]
        if "user-agent" not in given:
            lines.append(("User-Agent", f"coatcheck/{__version__}"))
        for name, value in headers.items():
            if name.lower() not in _OURS:
                _check(server, name, value)
                self._secrets.append((name.encode("ascii"), value))
        plain = fields(lines) + b"Accept-Encoding: identity\r\n"
        kinds = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")]
        self._post = plain + fields(kinds) + b"Content-Length: "
        self._bare = plain + b"Accept: text/event-stream\r\n\r\n"

    def post(self, extra: bytes, body: bytes) -> bytes:
        """Return a whole POST request. `extra` are the header lines of this request, each with its CRLF."""
        return b"".join((self._start(b"POST "), extra, self._post, b"%d\r\n\r\n" % len(body), body))

    def bare(self, method: bytes, extra: bytes) -> bytes:
        """Return a whole request without a body: GET (for an event stream) or DELETE."""
        return b"".join((self._start(method + b" "), extra, self._bare))

    def _start(self, method: bytes) -> bytes:
        target = self._target.reveal().encode("ascii")
        lines = [b"%b: %b\r\n" % (name, value.reveal().encode("ascii")) for name, value in self._secrets]
        return b"%b%b HTTP/1.1\r\n%b" % (method, target, b"".join(lines))


def fields(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Write header lines. Names and values must be plain ASCII without line ends."""
    return "".join([f"{name}: {value}\r\n" for name, value in pairs]).encode("ascii")


def _check(server: str, name: str, value: Secret) -> None:
    if not _NAME.match(name):
        raise UpstreamForbidden(
            f"{server} is configured with a header whose name is no header name",
            fix="use letters, digits and hyphens in the names of headers",
        )
    if not _VALUE.match(value.reveal()):
        raise UpstreamForbidden(
            f"{server} is configured with a header {name} whose value cannot be sent",
            fix="a value is at most 8192 visible ASCII characters without a line end or blanks around it",
        )
