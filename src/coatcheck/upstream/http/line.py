"""The line to one server: its pooled connections, and what is said on them besides callers' requests."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from coatcheck.core.redact import Redactor, header_secrets, url_secrets
from coatcheck.core.wire import messages
from coatcheck.core.wire.messages import Incoming
from coatcheck.errors import UpstreamError, UpstreamUnreachable
from coatcheck.model.call import NO_PARAMS, Call, Fault, Notice, Result
from coatcheck.model.server import HttpReach
from coatcheck.upstream.http.connection import Connection, StaleConnection
from coatcheck.upstream.http.egress import Egress
from coatcheck.upstream.http.handshake import Posted
from coatcheck.upstream.http.heads import HeadWriter
from coatcheck.upstream.http.pool import Pool, PoolLimits
from coatcheck.upstream.http.reading import Listen, Received, ReplyLimits
from coatcheck.upstream.http.replies import Awaited, refuse_status
from coatcheck.upstream.http.urls import Origin, take_apart


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds for one server over HTTP. Times in seconds.

    `connect` is for the whole handshake; `aside` is for a message that no caller waits for, of which at
    most `asides` are under way.
    """

    connect: float = 60.0
    aside: float = 5.0
    asides: int = 64
    pool: PoolLimits = PoolLimits()
    reply: ReplyLimits = ReplyLimits()


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
        loop = asyncio.get_running_loop()
        try:
            tls = await loop.run_in_executor(None, egress.make_tls)
        except OSError as error:  # also every ssl.SSLError
            raise UpstreamUnreachable(
                f"the certificates to trust for {server} cannot be read",
                fix="check SSL_CERT_FILE and SSL_CERT_DIR",
                detail=error.strerror or "",
            ) from None
    return Line(server, origin, heads, Redactor(_secrets_of(reach, target.reveal())), egress, tls, limits)


def _secrets_of(reach: HttpReach, target: str) -> list[str]:
    found = list(url_secrets(target, reach.shown_url))
    for name, value in reach.headers.items():
        found.extend(header_secrets(name, value.reveal()))
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
    ) -> None:
        self.server = server
        self.heads = heads
        self.redactor = redactor
        self._origin = origin
        self._egress = egress
        self._tls = tls
        self._limits = limits
        self._ids = itertools.count(1)
        self._pool = Pool(server, limits.pool, self._dial)
        self._asides: set[asyncio.Task[None]] = set()

    def next_id(self) -> bytes:
        """Return a request id that this line never used before, as its JSON lexeme."""
        return b"%d" % next(self._ids)

    async def exchange(
        self, request: bytes, listen: Listen | None = None, *, again: bool = False
    ) -> Received:
        """Send a whole request and return the reply; with `again`, once more if the connection was stale.

        Raises:
            UpstreamUnreachable: nothing was sent.
            UpstreamLost: the connection ended before the reply.
            UpstreamBadReply: the reply broke a limit or the grammar.
        """
        connection = self._pool.take() or await self._pool.acquire()
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
        self._pool.drop_idle()
        return await self.exchange(request, listen)

    async def _dial(self) -> Connection:
        def make() -> Connection:
            return Connection(self.server, self._pool, self._limits.reply)

        return await self._egress.dial(self.server, self._origin, self._tls, make)

    # --- our own messages --------------------------------------------------------------------------------

    async def post(self, method: str, params: Mapping[str, bytes], head: bytes) -> Posted:
        """Send one of our own requests and return its reply, without secrets. See `handshake.Wire`."""
        awaited = Awaited(self.server, self.next_id(), Call(b"0", method), _ignore_notice, _ignore_request)
        body = messages.request(awaited.id, method, params)
        received = await self.exchange(self.heads.post(head, body), awaited.take, again=True)
        return Posted(self.redactor.redact_reply(awaited.read(received)), received.session)

    async def tell(self, method: str, head: bytes, params: Mapping[str, bytes] = NO_PARAMS) -> None:
        """Send a notification; the server must accept it with a status of 2xx."""
        body = messages.notification(method, messages.object_of(params))
        received = await self.exchange(self.heads.post(head, body), _at_once, again=True)
        refuse_status(self.server, received)

    async def open_stream(self, listen: Listen) -> None:
        """Send a GET for an event stream and listen until that is enough."""
        await self.exchange(self.heads.bare(b"GET", b""), listen)

    # --- on the side ---------------------------------------------------------------------------------------

    def refuse(self, request: Incoming, head: bytes) -> None:
        """Answer a request of the server on the side: a ping with a result, all else with -32601."""
        if request.id is None or len(request.id) > messages.MAX_ID_CHARS:
            return
        refusal = Fault(messages.METHOD_NOT_FOUND, "Method not found")
        reply = Result(b"{}") if request.method == "ping" else refusal
        self._aside(self._deliver(self.heads.post(head, messages.response(request.id, reply))))

    def cancel(self, id: bytes, head: bytes) -> None:
        """Tell the server on the side that the reply to a request is not wanted any more."""
        self._aside(self.tell("notifications/cancelled", head, {"requestId": id}))

    async def end_session(self, head: bytes) -> None:
        """Ask the server to forget the session; it may refuse or be gone."""
        try:
            async with asyncio.timeout(2.0):
                await self._deliver(self.heads.bare(b"DELETE", head))
        except (UpstreamError, TimeoutError):
            pass

    async def _deliver(self, request: bytes) -> None:
        await self.exchange(request, _at_once)

    def _aside(self, sending: Coroutine[Any, Any, None]) -> None:
        if len(self._asides) >= self._limits.asides:
            sending.close()
            return
        task = asyncio.get_running_loop().create_task(self._send_aside(sending))
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)

    async def _send_aside(self, sending: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(self._limits.aside):
                await sending
        except (UpstreamError, TimeoutError):
            pass  # nobody waits for it, and the call that it was about is over

    async def close(self) -> None:
        """Close every connection, after the messages on the side had their moment."""
        if self._asides:
            await asyncio.wait(self._asides, timeout=1.0)
        for task in list(self._asides):
            task.cancel()
        self._pool.close()


def _at_once(_event: object) -> bool:
    return True


def _ignore_notice(_notice: Notice) -> None:
    return


def _ignore_request(_request: Incoming) -> None:
    return
