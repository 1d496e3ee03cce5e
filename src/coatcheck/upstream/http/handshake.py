"""Finds out how a server talks: modern by `server/discover`, legacy by `initialize`, in the order asked for.

Sources: MCP 2026-07-28 (versioning, backward compatibility), MCP 2025-11-25 (lifecycle, transports).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from coatcheck.core.wire import eras, signs
from coatcheck.core.wire.signs import Step
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
from coatcheck.model.era import MODERN_VERSIONS, Era
from coatcheck.model.server import Transport
from coatcheck.ports import Client
from coatcheck.upstream.http.hop.heads import fields
from coatcheck.upstream.http.hop.reading import Listen, bad_reply
from coatcheck.upstream.http.hop.replies import StatusReply

_SESSION: Final = re.compile(rb"[!-~]{1,1024}\Z")
_SSE_PROBE: Final = 5.0
_PROBE_SHARE: Final = 0.5
"""The part of the whole time that `server/discover` may take: some old servers never answer it."""


class OnlySse(UpstreamUnreachable):
    """The server speaks the old HTTP+SSE transport and no other."""

    def __init__(self, server: str) -> None:
        super().__init__(
            f"{server} speaks only the old HTTP+SSE transport",
            fix="use the server's streamable HTTP address if it has one (often the same host with /mcp)",
        )


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

    def head_for(
        self, method: str, params: Mapping[str, bytes], mirrored: tuple[tuple[str, str], ...] = ()
    ) -> bytes:
        """Return the header lines that a request of this method owes (SEP-2243)."""
        if not self.modern:
            return self.head
        return fields(eras.modern_headers(method, params, self.greeting.version, mirrored))


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


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An opening that failed: what the caller is told, and what it says of the server."""

    error: UpstreamError
    fault: Fault | None = None

    @property
    def status(self) -> int | None:
        return self.error.status if isinstance(self.error, StatusReply) else None


class Handshake:
    """One try at greeting a server.

    `silent`: it never answered discovery. `session`: the header lines of the session that it opened, if any,
    for whoever gives up before the link is there.
    """

    def __init__(self, server: str, transport: Transport, wire: Wire, timeout: float, client: Client) -> None:
        self.silent = False
        self.session = b""
        self._server = server
        self._transport = transport
        self._wire = wire
        self._timeout = timeout
        self._client = client

    async def open(self, first: Era) -> Link:
        """Greet the server, in the `first` era if it understands that and else in the other.

        Raises:
            OnlySse: it speaks the old transport and no other.
            UpstreamError: the server cannot be reached, refuses us, or speaks nothing that we do.
        """
        if self._transport is Transport.SSE:
            raise OnlySse(self._server)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._open(first)
        except TimeoutError:
            raise UpstreamTimeout(
                f"{self._server} did not complete the handshake within {self._timeout:g} seconds",
                fix="check that the server is an MCP server and not overloaded",
            ) from None

    async def _open(self, first: Era) -> Link:
        version = self._client.version
        refused: _Refusal | None = None
        if first is Era.MODERN:
            probed = await self._discover(MODERN_VERSIONS[0])
            if isinstance(probed, Link):
                return probed
            refused = probed
            version = signs.after_discover(probed.fault).version or version
        opened = await self._initialize(version)
        if isinstance(opened, Link):
            return opened
        after = signs.after_initialize(opened.fault, version)
        if after.step is Step.INITIALIZE:
            return await self._insist(after.version or version)
        if refused is None or self.silent or after.version or _is_news(opened.fault, refused.fault):
            again = await self._discover(after.version or MODERN_VERSIONS[0])
            if isinstance(again, Link):
                return again
        await self._look_for_sse(opened)
        raise opened.error

    async def _insist(self, version: str) -> Link:
        """Initialize once more at a version that the server named."""
        opened = await self._initialize(version)
        if isinstance(opened, Link):
            return opened
        raise opened.error

    # --- modern ------------------------------------------------------------------------------------------

    async def _discover(self, version: str) -> Link | _Refusal:
        """Return the link to a modern server, or why the server is none."""
        try:
            async with asyncio.timeout(self._timeout * _PROBE_SHARE):
                refusal = await self._probe(version)
                if isinstance(refusal, _Refusal):
                    after = signs.after_discover(refusal.fault)
                    if after.step is Step.NOTHING:
                        raise self._strange(refusal)
                    if after.version is not None and after.step is Step.DISCOVER:
                        refusal = await self._probe(after.version)
                return refusal
        except TimeoutError:
            self.silent = True
            return _Refusal(UpstreamTimeout(f"{self._server} did not answer server/discover"))

    async def _probe(self, version: str) -> Link | _Refusal:
        params = eras.discover_params(version)
        head = fields(eras.modern_headers("server/discover", params, version))
        try:
            reply = (await self._wire.post("server/discover", params, head)).reply
        except StatusReply as error:
            if error.status in signs.TROUBLE:
                raise
            return _Refusal(error, error.fault)
        except (UpstreamBadReply, UpstreamLost) as error:
            return _Refusal(error)  # whatever that was, a modern server would not have sent it
        if isinstance(reply, Fault):
            return _Refusal(
                bad_reply(self._server, f"refused server/discover with error {reply.code}"), reply
            )
        greeting = eras.read_discover(reply.raw)
        if greeting is None:
            return _Refusal(bad_reply(self._server, "names no version of the protocol that we speak"))
        return Link(greeting)

    def _strange(self, refusal: _Refusal) -> UpstreamError:
        if refusal.fault is not None and refusal.fault.code == eras.UNSUPPORTED_VERSION:
            return bad_reply(self._server, "speaks no version of the protocol that we speak")
        return refusal.error

    # --- legacy ------------------------------------------------------------------------------------------

    async def _initialize(self, version: str) -> Link | _Refusal:
        params = eras.initialize_params(version, self._client.capabilities)
        try:
            posted = await self._wire.post("initialize", params, b"")
        except StatusReply as error:
            if error.status in signs.TROUBLE:
                raise
            return _Refusal(error, error.fault)
        except (UpstreamBadReply, UpstreamLost) as error:
            return _Refusal(error)
        if isinstance(posted.reply, Fault):
            code = posted.reply.code
            return _Refusal(bad_reply(self._server, f"refused initialize with error {code}"), posted.reply)
        return await self._initialized(posted.reply, posted.session)

    async def _initialized(self, result: Result, session: bytes) -> Link | _Refusal:
        greeting = eras.read_initialize(result.raw)
        if greeting is None:
            sentence = "answered initialize in a version that we do not speak, or not at all"
            return _Refusal(bad_reply(self._server, sentence))
        if session and not _SESSION.match(session):
            raise bad_reply(self._server, "gave a session id that is none")
        head = fields([("MCP-Protocol-Version", greeting.version)])
        if session:
            head += b"Mcp-Session-Id: %b\r\n" % session
            self.session = head
        try:
            await self._wire.tell("notifications/initialized", head)
        except StatusReply as error:
            if error.status in signs.TROUBLE:
                raise
            # Some servers know no notifications; if it meant more than that, the first request will tell.
        return Link(greeting, head, session=bool(session))

    # --- the old transport -------------------------------------------------------------------------------

    async def _look_for_sse(self, refusal: _Refusal) -> None:
        """Say so if the server speaks the old HTTP+SSE transport: a GET there opens with `endpoint`."""
        if self._transport is not Transport.AUTO or refusal.status not in signs.WRONG_PLACE:
            return
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
            raise OnlySse(self._server)


def _is_news(after_initialize: Fault | None, after_discover: Fault | None) -> bool:
    """Tell whether a refused `initialize` shows a modern server where discovery had not: a slow start."""
    if after_initialize is None or not signs.is_of_modern_server(after_initialize):
        return False
    return after_discover is None or after_initialize.code == eras.UNSUPPORTED_VERSION
