"""One session with a server over HTTP+SSE: the stream that it speaks on, and what is posted to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from coatcheck.core.wire import messages, sse
from coatcheck.core.wire.sse import Event
from coatcheck.errors import UpstreamBadReply, UpstreamError, UpstreamLost
from coatcheck.model.call import Reply
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach
from coatcheck.ports import Client
from coatcheck.upstream.duplex.exchange import Exchange
from coatcheck.upstream.http.hop.asides import Asides
from coatcheck.upstream.http.hop.heads import HeadWriter, fields
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.hop.reading import JSON, Received
from coatcheck.upstream.http.hop.replies import StatusReply, refuse_status
from coatcheck.upstream.http.hop.urls import take_apart
from coatcheck.upstream.http.line import Line
from coatcheck.upstream.sse.endpoint import read_endpoint

_ENDPOINT: Final = b"endpoint"
_FORGETTING: Final = frozenset({400, 404, 405, 410})
"""Statuses with which servers refuse a session that they do not know."""

_NO_STREAM: Final = frozenset({400, 404, 405, 406, 410})
"""Statuses with which servers of other transports refuse to open a stream."""

_BEFORE_CANCELLING: Final = 1.0
"""Seconds that a cancellation waits for the request that it is about to arrive first."""

_SILENCE: Final = 30.0
"""Seconds that a server may take to answer a ping on its stream before the stream counts as dead."""

_PATIENCE: Final = 5.0
"""Seconds that a message is still being posted after its answer came on the stream."""


class SessionForgotten(UpstreamLost):
    """The server refused a message since it does not know the session, and so did not act on it."""


class NoSuchStream(UpstreamBadReply):
    """The server has no event stream at this address, at least not any more."""


class Session:
    """Carries the messages of one exchange. `gone` hears, once, that the session is over, and why."""

    def __init__(
        self,
        reach: HttpReach,
        client: Client,
        line: Line,
        limits: HttpLimits,
        gone: Callable[[Session, UpstreamError], None],
    ) -> None:
        self.exchange = Exchange(line.server, client, line.redactor, self, self._on_odd)
        self._reach = reach
        self._line = line
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._origin, self._target = take_apart(reach.url, line.server)
        self._heads: HeadWriter | None = None
        self._named: asyncio.Future[Secret] = self._loop.create_future()
        self._stream: asyncio.Task[None] | None = None
        self._posts: dict[asyncio.Future[Reply], asyncio.Task[None]] = {}
        self._heard = 0
        self._heard_before: dict[asyncio.Future[Reply], int] = {}
        self._checking: asyncio.Task[None] | None = None
        self._asides = Asides(limits.aside)
        self._over = False

    # --- the stream --------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the stream and learn where to post.

        Raises:
            NoSuchStream: there is none at this address.
            UpstreamError: the server cannot be reached, refuses us, or names no address that we accept.
        """
        self._stream = self._loop.create_task(self._listen())
        target = await self._named
        self._heads = HeadWriter(self._line.server, self._origin, target, self._reach.headers)

    async def _listen(self) -> None:
        server = self._line.server
        try:
            received = await self._line.hearing.exchange(self._line.heads.bare(b"GET", b""), self._take)
            if received.status in _NO_STREAM:
                raise NoSuchStream(
                    f"{server} has no event stream at this address ({received.status})",
                    fix="check the path in its url",
                )
            refuse_status(server, received)
            raise NoSuchStream(f"{server} answered with something that is no event stream")
        except UpstreamError as error:
            self._end(error)

    def _take(self, event: Event) -> bool:
        """Take one event; never enough.

        Raises:
            UpstreamBadReply: the stream begins with anything but a usable endpoint.
        """
        self._heard += 1
        if event.type == sse.MESSAGE:
            if not self._named.done():
                raise NoSuchStream(f"{self._line.server} opened a stream that does not name its endpoint")
            self.exchange.take(event.data)
        elif event.type == _ENDPOINT and not self._named.done():
            self._named.set_result(read_endpoint(event.data, self._origin, self._target, self._line.server))
        return False

    def _on_odd(self, message: bytes) -> None:  # noqa: ARG002 - what servers write is shown nowhere
        self.exchange.strays += 1

    # --- towards the server ------------------------------------------------------------------------------

    def send(self, message: bytes, reply: asyncio.Future[Reply]) -> None:
        """Post a request; the answer comes on the stream. What goes wrong goes into `reply`."""
        post = self._loop.create_task(self._post_request(message, reply))
        self._posts[reply] = post
        post.add_done_callback(lambda _: self._posts.pop(reply, None))
        self._heard_before[reply] = self._heard
        reply.add_done_callback(self._on_done)

    def recall(self, message: bytes, reply: asyncio.Future[Reply]) -> None:
        """Post the cancellation of a request, after the request."""
        post = self._posts.get(reply)

        async def post_after() -> None:
            if post is not None:
                await asyncio.wait([post], timeout=_BEFORE_CANCELLING)
            await self.deliver(message)

        self._asides.send(post_after)

    def drop(self, message: bytes) -> bool:
        """Post an answer or a notification that nobody waits for."""
        self._asides.send(lambda: self.deliver(message))
        return True

    async def deliver(self, message: bytes) -> None:
        """Post a notification.

        Raises:
            UpstreamError: the server does not accept it.
        """
        refuse_status(self._line.server, await self._post(message, again=True))

    async def _post_request(self, message: bytes, reply: asyncio.Future[Reply]) -> None:
        try:
            received = await self._post(message, again=False)
            if not self._is_answer(received, reply):
                self._refuse(received)
        except UpstreamError as error:
            if not reply.done():
                reply.set_exception(error)

    def _is_answer(self, received: Received, reply: asyncio.Future[Reply]) -> bool:
        """Tell whether a request was answered at once, as some servers do, and not on the stream."""
        if received.media != JSON or received.encoding:
            return False
        incoming = messages.read_incoming(received.body)
        if incoming is not None and incoming.reply is not None and incoming.id not in (None, b"null"):
            self.exchange.take(received.body)
        return reply.done()

    def _refuse(self, received: Received) -> None:
        """Judge what a request was answered with at once; its body does not matter.

        Raises:
            SessionForgotten: the session is unknown.
            UpstreamError: the message was refused.
        """
        try:
            refuse_status(self._line.server, received)
        except StatusReply as error:
            if error.status in _FORGETTING:
                raise SessionForgotten(error.message, fix=error.fix) from None
            raise

    async def _post(self, message: bytes, *, again: bool) -> Received:
        if self._heads is None:
            raise UpstreamLost(f"{self._line.server} has not named its endpoint yet")
        head = fields([("MCP-Protocol-Version", self.exchange.greeting.version)])
        return await self._line.exchange(self._heads.post(head, message), _unheard, again=again)

    def _on_done(self, reply: asyncio.Future[Reply]) -> None:
        """Give a message that was answered, or is not wanted any more, a last moment to be posted."""
        if self._heard_before.pop(reply) == self._heard and reply.cancelled():
            self.check()
        post = self._posts.get(reply)
        if post is not None:
            self._loop.call_later(_PATIENCE, post.cancel)

    def check(self) -> None:
        """See whether the stream is alive: one that was cut without a word would swallow every answer."""
        if not self._over and (self._checking is None or self._checking.done()):
            self._checking = self._loop.create_task(self._ping())

    async def _ping(self) -> None:
        try:
            async with asyncio.timeout(_SILENCE):
                await self.exchange.ask("ping", {})
        except TimeoutError:
            self._end(UpstreamLost(f"{self._line.server} fell silent on its stream"))
        except UpstreamError as error:
            if isinstance(error, SessionForgotten):
                self._end(error)

    # --- the end -----------------------------------------------------------------------------------------

    async def retire(self) -> None:
        """Hang up once the server has said to every request under way that it does not know us either."""
        if self._posts:
            await asyncio.wait(list(self._posts.values()), timeout=_PATIENCE)
        await self.close()

    async def close(self) -> None:
        """Hang up, after the messages that nobody waits for had their moment."""
        await self._asides.end(1.0)
        server = self._line.server
        self._end(UpstreamLost(f"the session with {server} was closed", reached=True))

    def _end(self, error: UpstreamError) -> None:
        if self._over:
            return
        self._over = True
        if self._stream is not None and self._stream is not asyncio.current_task():
            self._stream.cancel()
        if not self._named.done():
            self._named.set_exception(error)
        if self._checking is not None and self._checking is not asyncio.current_task():
            self._checking.cancel()
        for post in list(self._posts.values()):
            post.cancel()
        kind = UpstreamBadReply if isinstance(error, UpstreamBadReply) else UpstreamLost
        server = self._line.server
        self.exchange.end(
            lambda: kind(error.message, detail=error.detail, reached=True),
            lambda: SessionForgotten(f"{server} ended its stream before the request was sent"),
        )
        self._gone(self, error)


def _unheard(_event: Event) -> bool:
    """Leave a stream that a message was answered with: the stream of the session is the one that counts."""
    return True
