"""Watching resources of modern servers: one stream for each resource, shared by all who watch it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final
from uuid import UUID

from coatcheck.core.backoff import NO_DEATHS, BackoffRules, after_death
from coatcheck.core.wire import messages
from coatcheck.errors import UpstreamError
from coatcheck.model.call import Call, Caller, Fault, Notice
from coatcheck.model.decision import Permit
from coatcheck.operations.reaching.conversation import UPDATED
from coatcheck.operations.reaching.servers import Servers
from coatcheck.ports import Clock

log = logging.getLogger(__name__)

LISTEN: Final = "subscriptions/listen"
_BACKOFF: Final = BackoffRules()
Updated = Callable[[Notice], None]


def listen_call(uri: str) -> Call:
    """Return the request that watches one resource (MCP 2026-07-28, subscriptions)."""
    wanted = messages.raw_of({"resourceSubscriptions": [uri]})
    return Call(b"0", LISTEN, {"notifications": wanted})


class _Stream:
    """One stream: who listens to it, and the task that keeps it open."""

    def __init__(self) -> None:
        self.listeners: dict[Updated, None] = {}
        self.task: asyncio.Task[None] | None = None


class Watches:
    """All streams. What comes on one goes to everyone who watches; each of them was permitted to."""

    def __init__(self, servers: Servers, clock: Clock) -> None:
        self._servers = servers
        self._clock = clock
        self._streams: dict[tuple[UUID, str], _Stream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def watch(self, permit: Permit, caller: Caller, updated: Updated) -> Callable[[], None]:
        """Call `updated` with every update of the permitted resource; calling what is returned ends that."""
        key = (permit.server.id, permit.target.name)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream()
            stream.task = asyncio.get_running_loop().create_task(self._keep(stream, permit, caller))
        stream.listeners[updated] = None

        def end() -> None:
            stream.listeners.pop(updated, None)
            if not stream.listeners and self._streams.get(key) is stream:
                del self._streams[key]
                if stream.task is not None:
                    stream.task.cancel()

        return end

    async def _keep(self, stream: _Stream, permit: Permit, caller: Caller) -> None:
        """Keep the stream open while anyone watches: a server that ends it is asked again, ever later."""

        def take(notice: Notice) -> None:
            if notice.method == UPDATED:
                for updated in list(stream.listeners):
                    updated(notice)

        deaths = NO_DEATHS
        while True:
            began = self._clock.monotonic()
            try:
                upstream = self._servers.of(permit.server).upstream
                reply = await upstream.forward(permit, caller, take)
            except UpstreamError as error:
                log.info("watching a resource of %s: %s", permit.server.name, error.message)
            else:
                if isinstance(reply, Fault):
                    log.info("%s refuses to have a resource watched: %d", permit.server.name, reply.code)
            now = self._clock.monotonic()
            deaths = after_death(deaths, now, now - began, _BACKOFF)
            await asyncio.sleep(max(1.0, deaths.pause_left(now)))
