"""One request and its reply: a JSON body, or a stream of events with other messages before the reply."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from coatcheck.bridge import answers
from coatcheck.bridge.answers import Replied
from coatcheck.bridge.hop import Answer, Headers, Hop, lost, too_long
from coatcheck.core.wire import eras, messages, sse

SAFE: Final = eras.LISTS | {
    *("initialize", "ping", "server/discover", "logging/setLevel"),
    *("resources/subscribe", "resources/unsubscribe", "subscriptions/listen"),
}
"""Methods that may be sent again when it is unknown whether they were acted on: twice is as good as once."""

_MOST_RETRY: Final = 30.0
_EVENT_ID: Final = re.compile(rb"[!-~](?:[ -~]{0,1022}[!-~])?\Z")

Other = Callable[[messages.Incoming, bytes], Awaitable[None]]
"""Takes what is no reply to our request: the message read, and the message on one line."""


@dataclass(slots=True)
class Cursor:
    """How far a stream was read: the last event id as a header shows it, and seconds before a new attempt."""

    id: str = ""
    retry: float = 1.0


async def events(
    answer: Answer, cursor: Cursor, limit: int
) -> AsyncGenerator[tuple[messages.Incoming, bytes], None]:
    """Yield each message of a stream with its bytes; what is no message is skipped.

    Raises:
        BadAnswer: an event is longer than `limit` bytes.
        Lost: the connection broke. A stream that simply ends, ends.
    """
    reader = sse.Reader(limit)
    async with aclosing(answer.chunks()) as chunks:
        async for chunk in chunks:
            try:
                found = reader.feed(chunk)
            except sse.OversizedEvent:
                raise too_long(limit) from None
            if reader.retry is not None:
                cursor.retry = min(reader.retry / 1000, _MOST_RETRY)
            for event in found:
                if event.id:  # one that fits no header cannot be gone back to
                    cursor.id = event.id.decode("ascii") if _EVENT_ID.match(event.id) else ""
                incoming = messages.read_incoming(event.data) if event.data else None
                if incoming is not None:
                    yield incoming, event.data


async def read_reply(answer: Answer, id: bytes, cursor: Cursor, limit: int, other: Other) -> Replied:
    """Return the reply to the request `id`; `other` gets what comes before it.

    Raises:
        BadAnswer, Refused: there is none in it.
        Lost: the answer ended too early; `cursor` tells whether it can be gone back to.
    """
    if not answer.is_stream:
        return answers.read_body(answer.status, await answer.read(), id)
    async with aclosing(events(answer, cursor, limit)) as found:
        async for incoming, data in found:
            if answers.is_for(incoming, id):
                return answers.replied(incoming, data, id)
            await other(incoming, answers.one_line(data))
    raise lost()


async def ask(hop: Hop, headers: Headers, line: bytes, id: bytes, limit: int, other: Other) -> Replied:
    """Post a request that needs no going back, and return its reply.

    Raises:
        Trouble: there is none.
    """
    async with aclosing(await hop.open("POST", headers, line)) as answer:
        return await read_reply(answer, id, Cursor(), limit, other)


async def drop(incoming: messages.Incoming, line: bytes) -> None:
    """Take a message that nobody waits for."""
