"""The line to one server: its connections, and what is said on them besides callers' requests."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Awaitable, Mapping

from coatcheck.core.redact import Redactor, header_secrets, material_secrets, url_secrets
from coatcheck.core.wire import messages
from coatcheck.errors import UpstreamError, UpstreamUnreachable
from coatcheck.model.call import Call
from coatcheck.model.server import HttpReach
from coatcheck.upstream.http.awaited import Awaited, nobody, unheard
from coatcheck.upstream.http.handshake import Posted
from coatcheck.upstream.http.hop.asides import Asides
from coatcheck.upstream.http.hop.bearing import Bearing, bearing_of
from coatcheck.upstream.http.hop.connection import Connection, Owner, StaleConnection
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.heads import HeadWriter
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.hop.pool import Pool, PoolLimits
from coatcheck.upstream.http.hop.reading import Listen, Received, head_only
from coatcheck.upstream.http.hop.replies import refuse_status
from coatcheck.upstream.http.hop.streams import Streams
from coatcheck.upstream.http.hop.urls import Origin, take_apart
from coatcheck.upstream.pace import Pace

_GOODBYE = 2.0
"""Seconds for the server to take note of the end of its session."""

_HEARINGS = 4
"""Only one is in use; another may still be closing, or be opened by a handshake."""


async def open_line(server: str, reach: HttpReach, egress: Egress, limits: HttpLimits) -> Line:
    """Prepare the line to a server, without connecting.

    Raises:
        UpstreamForbidden: its URL or a header cannot be used.
        UpstreamUnreachable: the certificates to trust cannot be read.
    """
    origin, target = take_apart(reach.url, server)
    heads = HeadWriter(server, origin, target, reach.headers)
    tls = None
    if origin.tls:
        try:
            tls = await egress.trust.context()
        except OSError as error:  # also every ssl.SSLError
            raise UpstreamUnreachable(
                f"the certificates to trust for {server} cannot be read",
                fix="check SSL_CERT_FILE and SSL_CERT_DIR",
                detail=error.strerror or "",
            ) from None
    redactor = Redactor(_secrets_of(reach, target.reveal()))
    bearing = bearing_of(server, reach.bearer, limits.bearers, redactor)
    return Line(server, origin, heads, redactor, egress, tls, limits, bearing)


def _secrets_of(reach: HttpReach, target: str) -> list[str]:
    found = list(url_secrets(target, reach.shown_url))
    for name, value in reach.headers.items():
        found.extend(header_secrets(name, value.reveal()))
    for material in reach.hush:
        found.extend(material_secrets(material.reveal()))
    return found


class Line:
    """Sends and receives. Knows nothing of eras: who sends brings the header lines that it owes."""

    def __init__(
        self,
        server: str,
        origin: Origin,
        heads: HeadWriter,
        redactor: Redactor,
        egress: Egress,
        tls: ssl.SSLContext | None,
        limits: HttpLimits,
        bearing: Bearing | None = None,
    ) -> None:
        self.server = server
        self.heads = heads
        self.redactor = redactor
        self._origin = origin
        self._egress = egress
        self._tls = tls
        self._limits = limits
        self._bearing = bearing
        self._pace = limits.pace or Pace()
        self._ids = itertools.count(1)
        self._pool = Pool(server, limits.pool, lambda: self._dial(self._pool))
        side = PoolLimits(limits.aside.at_once, limits.aside.most, limits.pool.idle)
        self._side = Pool(server, side, lambda: self._dial(self._side))
        self._asides = Asides(limits.aside)
        self.listens = Streams(server, limits.streams, self._dial, bearing)
        """Subscriptions of callers."""
        self.hearing = Streams(server, _HEARINGS, self._dial, bearing)
        """The stream of what belongs to no request."""

    def next_id(self) -> bytes:
        """Return a request id that this line never used before, as its JSON lexeme."""
        return b"%d" % next(self._ids)

    def exchange(
        self, request: bytes, listen: Listen | None = None, *, again: bool = False
    ) -> Awaitable[Received]:
        """Send a whole request and return the reply; with `again`, once more if the connection was stale.

        Raises:
            UpstreamUnreachable: nothing was sent.
            UpstreamLost: the connection ended before the reply.
            UpstreamBadReply: the reply broke a limit or the grammar.
            UpstreamCredentialRefused: there is no access token that the server takes, where it wants one.
        """
        return self._exchange(self._pool, request, listen, again=again)

    def _exchange(
        self, pool: Pool, request: bytes, listen: Listen | None, *, again: bool
    ) -> Awaitable[Received]:
        if self._bearing is None:
            return _exchange(pool, request, listen, again=again)
        return self._bearing.send(request, lambda signed: _exchange(pool, signed, listen, again=again))

    async def _dial(self, owner: Owner) -> Connection:
        def make() -> Connection:
            return Connection(self.server, owner, self._limits.reply, self._pace)

        return await self._egress.dial(self.server, self._origin, self._tls, make)

    # --- our own messages --------------------------------------------------------------------------------

    async def post(self, method: str, params: Mapping[str, bytes], head: bytes) -> Posted:
        """Send one of our own requests and return its reply, without secrets. See `handshake.Wire`."""
        awaited = Awaited(self.server, self.next_id(), Call(b"0", method), unheard, nobody, None)
        body = messages.request(awaited.id, method, params)
        received = await self.exchange(self.heads.post(head, body), awaited.take, again=True)
        return Posted(self.redactor.redact_reply(awaited.read(received)), received.session)

    async def tell(self, method: str, head: bytes, params: bytes = b"{}", *, session: bool = False) -> None:
        """Send a notification; the server must accept it with a status of 2xx.

        Raises:
            Forgotten: the server does not know the `session` that the notification named.
            UpstreamError: any other failure.
        """
        body = messages.notification(method, params)
        received = await self.exchange(self.heads.post(head, body), head_only, again=True)
        refuse_status(self.server, received, session=session)

    async def open_stream(self, listen: Listen) -> None:
        """Send a GET for an event stream and listen until that is enough."""
        await self.hearing.exchange(self.heads.bare(b"GET", b""), listen)

    # --- on the side ---------------------------------------------------------------------------------------

    def aside(self, head: bytes, body: bytes, *, minor: bool = False) -> None:
        """Send a notification or an answer that nobody waits for."""
        self._asides.send(lambda: self._deliver(self.heads.post(head, body)), minor=minor)

    async def end_session(self, head: bytes) -> None:
        """Ask the server to forget the session; it may refuse or be gone."""
        try:
            async with asyncio.timeout(_GOODBYE):
                await self.exchange(self.heads.bare(b"DELETE", head), head_only, again=True)
        except (UpstreamError, TimeoutError):
            pass

    async def _deliver(self, request: bytes) -> None:
        await self._exchange(self._side, request, head_only, again=True)

    # --- the end -------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Close the connections that nobody uses; the next request makes another."""
        self._pool.drop_idle()
        self._side.drop_idle()

    async def close(self) -> None:
        """Close every connection, after the messages on the side had their moment."""
        self.listens.close()
        self.hearing.close()
        await self._asides.end(1.0)
        self._side.close()
        self._pool.close()


async def _exchange(pool: Pool, request: bytes, listen: Listen | None, *, again: bool) -> Received:
    connection = pool.take() or await pool.acquire()
    waiter = connection.send(request, listen)
    try:
        return await waiter
    except StaleConnection:
        if not again:
            raise
    except asyncio.CancelledError:
        if waiter.cancelled():  # else the reply is here, and the connection may serve another already
            connection.close()
        raise
    pool.drop_idle()
    return await _exchange(pool, request, listen, again=False)
