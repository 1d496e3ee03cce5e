"""Speaking to a legacy client of one's own accord: questions and their replies, news, and where both go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from coatcheck.core.wire import messages
from coatcheck.mcp.legacy.streams import Stream, Streams
from coatcheck.mcp.outlets import Item, Outlet, StandingWay, Way, item_of
from coatcheck.model.call import Fault, Notice, Question, Reply

ASK_SECONDS: Final = 600.0
"""Seconds that a client has to answer: people answer, and read before they do."""
STREAM_SECONDS: Final = 5.0
"""Seconds to wait for a stream on which a question can be asked."""
MAX_QUESTIONS: Final = 64
MAX_HELD: Final = 64
MAX_HELD_BYTES: Final = 256 * 1024

NO_STREAM: Final = Fault(messages.INTERNAL_ERROR, "The client has no open stream to be asked on.")
NO_ANSWER: Final = Fault(
    messages.INTERNAL_ERROR, f"The client did not answer within {ASK_SECONDS / 60:g} minutes."
)
ENDED: Final = Fault(messages.INTERNAL_ERROR, "The client's session has ended.")
TOO_MANY: Final = Fault(messages.INTERNAL_ERROR, "The client has too many questions to answer already.")
NO_OBJECT: Final = Fault(messages.INTERNAL_ERROR, "The client's reply is no object.")


class Outward(Way, Protocol):
    """The way of one request's answer, and of what comes before it."""

    @property
    def streaming(self) -> bool:
        """Whether no status can be sent any more."""
        ...

    def notify(self, notice: Notice) -> None:
        """Send a notification before the answer. Never blocks and never raises."""
        ...

    def pause(self, retry: int | None) -> None:
        """Let the client come back for the rest later, if it can (SEP-1699)."""
        ...

    async def answer(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the answer and end; once one has begun, another one is not sent."""
        ...

    async def finish(self, *, flush: bool) -> None:
        """End without an answer."""
        ...

    def abandon(self) -> None:
        """Stop everything; nothing more is sent."""
        ...


class Questions:
    """The questions that one client was asked and has not answered, by ids of our own."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._asked = 0

    async def ask(self, question: Question, put: Callable[[Item], None]) -> Reply:
        """Ask and wait for the reply. Who stops waiting tells the client so."""
        if len(self._waiting) >= MAX_QUESTIONS:
            return TOO_MANY
        self._asked += 1
        id = f"ask-{self._asked}"
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[id] = waiting
        params = messages.members_of(question.params) or {}
        put(Item(messages.request(messages.raw_of(id), question.method, params)))
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await waiting
        except TimeoutError:
            put(_cancelled(id, "no answer in time"))
            return NO_ANSWER
        except asyncio.CancelledError:
            put(_cancelled(id, "the server waits no longer"))
            raise
        finally:
            del self._waiting[id]

    def take(self, message: messages.CallerReply) -> bool:
        """Take a reply; return whether anyone waits for it."""
        waiting = self._waiting.get(messages.text_of(message.id) or "")
        if waiting is None or waiting.done():
            return False
        reply = message.reply
        whole = isinstance(reply, Fault) or reply.raw.startswith(b"{")
        waiting.set_result(reply if whole else NO_OBJECT)
        return True

    def close(self) -> None:
        """Answer every question: nobody else will."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(ENDED)


def _cancelled(id: str, reason: str) -> Item:
    params = messages.raw_of({"requestId": id, "reason": reason})
    return Item(messages.notification("notifications/cancelled", params))


class SessionVoice:
    """The voice of one session; implements `ports.Voice`.

    `standing` is the stream that belongs to no request: that of GET, or the only one that the transport has.
    """

    def __init__(self, streams: Streams, standing: StandingWay | None = None) -> None:
        self.streams = streams
        self._questions = Questions()
        self._standing = standing
        self._ways: dict[bytes, Outward] = {}
        self._held: list[Item] = []
        self._seekers = 0
        self._news = asyncio.Event()
        self._closed = False

    @property
    def listening(self) -> bool:
        """Whether the client has a stream open for what belongs to no request."""
        return self._standing is not None and self._standing.reachable

    # --- speaking (ports.Voice) ---

    async def ask(self, question: Question, within: bytes | None) -> Reply:
        """Ask the client, where it can hear it best; a fault if it cannot be asked."""
        way = self._way(within) or await self._seek(within)
        if self._closed:
            return ENDED
        if way is None:
            return NO_STREAM

        def put(item: Item) -> None:
            found = way if way.reachable else self._way(within)
            if found is not None:
                found.put(item)

        return await self._questions.ask(question, put)

    def tell(self, notice: Notice) -> None:
        """Send a notification on the standing stream, or hold it until there is one."""
        item = item_of(notice)
        if self._standing is not None and self._standing.reachable:
            self._standing.put(item)
        elif not self._closed:
            self._hold(item)

    def pause(self, within: bytes, retry: int | None) -> None:
        """Let the client go that waits for a request, and come back for the rest."""
        way = self._ways.get(within)
        if way is not None:
            way.pause(retry)

    # --- hearing ---

    def take(self, message: messages.CallerReply) -> bool:
        """Take a reply of the client's; return whether anyone waits for it."""
        return self._questions.take(message)

    # --- where to ---

    def enter(self, request_id: bytes, way: Outward) -> None:
        """Note a request under way, on whose stream the client can be asked."""
        self._ways[request_id] = way
        self._heed()

    def leave(self, request_id: bytes, way: Outward) -> None:
        """Forget a request that ended."""
        if self._ways.get(request_id) is way:
            del self._ways[request_id]

    def listen(self, outlet: Outlet) -> Stream:
        """Open the standing stream on a response; the one before ends."""
        stream = self.streams.open()
        stream.begin(outlet)
        before, self._standing = self._standing, stream
        if before is not None:
            before.end()
        self._release(stream)
        return stream

    def resume(self, stream: Stream, after: int, outlet: Outlet) -> bool:
        """Go on with a stream on another response; return whether it is the standing one."""
        stream.resume(outlet, after)
        standing = stream is self._standing
        if standing:
            self._release(stream)
        self._heed()
        return standing

    def close(self) -> None:
        """Say nothing more: the session is over."""
        self._closed = True
        self._questions.close()
        self._held.clear()
        if self._standing is not None:
            self._standing.cut()
        self.streams.close()
        self._news.set()

    def _way(self, within: bytes | None) -> Way | None:
        """Return where the client can be asked: by the request meant, the standing stream, any request."""
        meant = self._ways.get(within) if within is not None else None
        ways: list[Way | None] = [meant, self._standing, *self._ways.values()]
        return next((way for way in ways if way is not None and way.reachable), None)

    async def _seek(self, within: bytes | None) -> Way | None:
        """Wait a while for a stream to open."""
        self._seekers += 1
        try:
            async with asyncio.timeout(STREAM_SECONDS):
                while (way := self._way(within)) is None and not self._closed:
                    self._news.clear()
                    await self._news.wait()
                return way
        except TimeoutError:
            return None
        finally:
            self._seekers -= 1

    def _heed(self) -> None:
        if self._seekers:
            self._news.set()

    # --- what waits for a stream ---

    def _hold(self, item: Item) -> None:
        if item.key and any(held.key == item.key for held in self._held):
            return
        self._held.append(item)
        while len(self._held) > MAX_HELD or sum(len(held.message) for held in self._held) > MAX_HELD_BYTES:
            light = (index for index, held in enumerate(self._held) if held.light)
            del self._held[next(light, 0)]

    def _release(self, stream: Stream) -> None:
        held, self._held = self._held, []
        for item in held:
            stream.put(item)
        self._heed()
