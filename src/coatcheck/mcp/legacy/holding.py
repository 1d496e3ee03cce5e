"""Streams that clients hold open with GET: one for each session, and those that are gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from coatcheck.core.wire import messages
from coatcheck.mcp import refusing
from coatcheck.mcp.legacy.sessions import Session
from coatcheck.mcp.legacy.streams import Stream
from coatcheck.mcp.outlets import Outlet, Receive, Send
from coatcheck.model.call import Fault
from coatcheck.operations.inflight import Cut, Inflight

_NOT_KEPT: Final = (
    "Last-Event-ID names no event of this session, or what came after it is not kept any more. "
    "The session goes on: open a stream without it."
)


async def hold(
    outlet: Outlet,
    receive: Receive,
    inflight: Inflight,
    grant_id: str,
    *,
    lasting: bool,
    before_stop: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Write a stream until it ends, its client goes away, its grant ends or the gateway stops.

    `lasting`: it ends with its client and not by itself. `before_stop` is awaited where the gateway stops.
    """
    task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
    entry = inflight.enter(grant_id, task, lasting=lasting)
    try:
        await outlet.serve(receive)
    except asyncio.CancelledError:
        if entry.cut is None:
            raise
        task.uncancel()
        if entry.cut is Cut.STOPPING:
            if before_stop is not None:
                await before_stop()
            outlet.end()
        else:
            outlet.cut()
        await outlet.close()
    finally:
        outlet.abandon()
        inflight.leave(entry)


async def serve_stream(
    session: Session, inflight: Inflight, receive: Receive, send: Send, event_id: str | None
) -> int:
    """Open the stream of a session, or go on with one after an event; return the HTTP status sent.

    Raises:
        Reject: 400 for an event that is unknown or whose successors are not kept.
    """
    outlet = Outlet(send)
    if event_id is None:
        stream, lasting = session.listen(outlet), True
    else:
        stream, lasting = _resume(session, outlet, event_id)
    try:
        await hold(outlet, receive, inflight, session.grant_id, lasting=lasting)
    finally:
        session.let_go(stream, outlet)
    return 200


def _resume(session: Session, outlet: Outlet, event_id: str) -> tuple[Stream, bool]:
    found = session.voice.streams.find(event_id)
    if found is None:
        raise refusing.counted(refusing.rpc(400, Fault(messages.INVALID_REQUEST, _NOT_KEPT)))
    stream, after = found
    return stream, session.resume(stream, after, outlet)
