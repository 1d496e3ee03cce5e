"""Finds out how a server talks: modern by `server/discover`, else legacy by `initialize`.

Sources: MCP 2026-07-28 (versioning, backward compatibility), MCP 2025-11-25 (lifecycle, transports).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from coatcheck.core.wire import eras
from coatcheck.core.wire.sse import Event
from coatcheck.errors import (
    UpstreamBadReply,
    UpstreamError,
    UpstreamLost,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from coatcheck.model.call import Fault, Reply, Result
from coatcheck.model.catalogue import Greeting
from coatcheck.model.era import LEGACY_VERSIONS, MODERN_VERSIONS, Era
from coatcheck.model.server import Transport
from coatcheck.upstream.http.heads import fields
from coatcheck.upstream.http.reading import Listen, bad_reply
from coatcheck.upstream.http.replies import StatusReply

_SESSION: Final = re.compile(rb"[!-~]{1,1024}\Z")
_NO_VERDICT: Final = frozenset({429, 502, 503, 504})
"""Statuses that tell of trouble and nothing of the era."""

_WRONG_PLACE: Final = frozenset({400, 404, 405, 406, 415})
"""Statuses of `initialize` after which a server may still speak the old transport."""

_SSE_PROBE: Final = 5.0
_PROBE_SHARE: Final = 0.5
"""The part of the whole time that `server/discover` may take: some old servers never answer it."""


@dataclass(frozen=True, slots=True)
class Link:
    """A server that was greeted: what it said, and the header lines that every request owes since then."""

    greeting: Greeting
    head: bytes = field(default=b"", repr=False)
    session: bool = False

    @property
    def modern(self) -> bool:
        """Whether the server speaks a stateless version."""
        return self.greeting.era is Era.MODERN

    def head_for(self, method: str, params: Mapping[str, bytes]) -> bytes:
        """Return the header lines that a request of this method owes (SEP-2243)."""
        if not self.modern:
            return self.head
        return fields(eras.modern_headers(method, params, self.greeting.version))


@dataclass(frozen=True, slots=True)
class Posted:
    """The reply to one of our own requests, and the session that came with it."""

    reply: Reply
    session: bytes


class Wire(Protocol):
    """What a handshake needs of an upstream. Raises `UpstreamError`."""

    async def post(self, method: str, params: Mapping[str, bytes], head: bytes) -> Posted:
        """Send one of our own requests and return its reply, already free of secrets."""
        ...

    async def tell(self, method: str, head: bytes) -> None:
        """Send a notification."""
        ...

    async def open_stream(self, listen: Listen) -> None:
        """Send a GET for an event stream, and listen until that is enough."""
        ...


class Handshake:
    """One try at greeting a server."""

    def __init__(self, server: str, transport: Transport, wire: Wire, timeout: float) -> None:
        self._server = server
        self._transport = transport
        self._wire = wire
        self._timeout = timeout

    async def open(self) -> Link:
        """Greet the server in the newest way that it understands.

        Raises:
            UpstreamError: the server cannot be reached, refuses us, or speaks nothing that we do.
        """
        if self._transport is Transport.SSE:
            raise self._only_sse()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._discover() or await self._initialize()
        except TimeoutError:
            raise UpstreamTimeout(
                f"{self._server} did not complete the handshake within {self._timeout:g} seconds",
                fix="check that the server is an MCP server and not overloaded",
            ) from None

    # --- modern ------------------------------------------------------------------------------------------

    async def _discover(self) -> Link | None:
        """Return the link to a modern server, or None if the server shows no sign of being one."""
        try:
            async with asyncio.timeout(self._timeout * _PROBE_SHARE):
                reply = await self._probe(MODERN_VERSIONS[0])
        except TimeoutError:
            return None
        if isinstance(reply, Fault) and reply.code == eras.UNSUPPORTED_VERSION:
            reply = await self._probe_again(reply)
        if isinstance(reply, Fault) and reply.code in (eras.HEADER_MISMATCH, eras.MISSING_CAPABILITY):
            raise bad_reply(self._server, f"refused server/discover with error {reply.code}")
        greeting = eras.read_discover(reply.raw) if isinstance(reply, Result) else None
        return None if greeting is None else Link(greeting)

    async def _probe(self, version: str) -> Reply | None:
        params = eras.discover_params(version)
        head = fields(eras.modern_headers("server/discover", params, version))
        try:
            return (await self._wire.post("server/discover", params, head)).reply
        except StatusReply as error:
            if error.status in _NO_VERDICT or error.status < 400:
                raise
        except (UpstreamBadReply, UpstreamLost):
            pass  # whatever that was, a modern server would not have sent it
        return None

    async def _probe_again(self, refusal: Fault) -> Reply | None:
        """Ask again at a version that the server named; None if it named one with a handshake, or nothing."""
        supported = eras.versions_supported(refusal)
        mutual = [version for version in MODERN_VERSIONS if version in supported]
        if mutual:
            return await self._probe(mutual[0])
        if supported and not any(version in LEGACY_VERSIONS for version in supported):
            raise bad_reply(self._server, "speaks no version of the protocol that we speak")
        return None

    # --- legacy ------------------------------------------------------------------------------------------

    async def _initialize(self) -> Link:
        try:
            posted = await self._wire.post("initialize", eras.initialize_params(), b"")
        except StatusReply as error:
            if error.status in _WRONG_PLACE and self._transport is Transport.AUTO:
                await self._refuse_sse()
            raise
        if isinstance(posted.reply, Fault):
            return await self._refused(posted.reply)
        greeting = eras.read_initialize(posted.reply.raw)
        if greeting is None:
            raise bad_reply(
                self._server, "answered initialize in a version that we do not speak, or not at all"
            )
        if posted.session and not _SESSION.match(posted.session):
            raise bad_reply(self._server, "gave a session id that is none")
        head = fields([("MCP-Protocol-Version", greeting.version)])
        if posted.session:
            head += b"Mcp-Session-Id: %b\r\n" % posted.session
        await self._wire.tell("notifications/initialized", head)
        return Link(greeting, head, session=bool(posted.session))

    async def _refused(self, refusal: Fault) -> Link:
        """Probe again after `-32022`: it is the word of a modern server that was slow to start."""
        if refusal.code == eras.UNSUPPORTED_VERSION:
            reply = await self._probe_again(refusal)
            greeting = eras.read_discover(reply.raw) if isinstance(reply, Result) else None
            if greeting is not None:
                return Link(greeting)
        raise bad_reply(self._server, f"refused initialize with error {refusal.code}")

    async def _refuse_sse(self) -> None:
        """Say so if the server speaks the old HTTP+SSE transport: a GET there opens with `endpoint`."""
        found: list[Event] = []

        def listen(event: Event) -> bool:
            found.append(event)
            return True

        try:
            async with asyncio.timeout(min(_SSE_PROBE, self._timeout)):
                await self._wire.open_stream(listen)
        except (UpstreamError, TimeoutError):
            return
        if found and found[0].type == b"endpoint":
            raise self._only_sse()

    def _only_sse(self) -> UpstreamUnreachable:
        return UpstreamUnreachable(
            f"{self._server} speaks only the old HTTP+SSE transport, which this version does not reach yet",
            fix="use the server's streamable HTTP address if it has one (often the same host with /mcp)",
        )
