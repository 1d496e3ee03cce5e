"""The servers of the snapshot in force: one shared upstream each, and those that single clients have."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import UUID

from coatcheck.errors import UpstreamUnreachable
from coatcheck.model.server import Server
from coatcheck.operations.reaching.served import Changed, ListTimes, Served
from coatcheck.ports import Client, Clock, Upstreams


class Servers:
    """The servers in use. Follows the snapshot: a changed server gets a new upstream, the old one drains."""

    def __init__(self, upstreams: Upstreams, clock: Clock, times: ListTimes) -> None:
        self.changed: Changed = _unnoticed
        """Told of every server whose lists changed."""
        self._upstreams = upstreams
        self._clock = clock
        self._times = times
        self._served: dict[UUID, Served] = {}
        self._own: dict[Served, None] = {}
        self._retiring: set[Served] = set()
        self._closing: dict[asyncio.Task[None], UUID] = {}

    def apply(self, wanted: Mapping[str, Server]) -> None:
        """Use these servers from now on."""
        served: dict[UUID, Served] = {}
        for server in wanted.values():
            old = self._served.pop(server.id, None)
            if old is not None and old.server == server:
                served[server.id] = old
                continue
            new = self._open(server, None)
            if old is not None:
                new.inherit(old)
                self.retire(old)
            served[server.id] = new
        for gone in self._served.values():
            self.retire(gone)
        self._served = served

    def of(self, server: Server) -> Served:
        """Return the server in use.

        Ask right before it is used and keep nothing: an edit may put another upstream in its place.

        Raises:
            UpstreamUnreachable: an edit took the server away meanwhile.
        """
        try:
            return self._served[server.id]
        except KeyError:
            raise UpstreamUnreachable(f"{server.name} was just removed") from None

    def all(self) -> list[Served]:
        """Return every server in use, in the order of the file."""
        return list(self._served.values())

    def sessions(self) -> int:
        """Return how many sessions are open with servers over HTTP, those of single clients among them."""
        return sum(served.upstream.status().sessions for served in (*self._served.values(), *self._own))

    def open_own(self, server: Server, client: Client) -> Served:
        """Return a server in use by one client alone; `retire` it in the end."""
        own = self._open(server, client)
        self._own[own] = None
        shared = self._served.get(server.id)
        if shared is not None:
            own.inherit(shared)
        return own

    def _open(self, server: Server, client: Client | None) -> Served:
        return Served(server, self._upstreams, self._clock, self._times, self._note_changed, client)

    def _note_changed(self, served: Served) -> None:
        self.changed(served)

    def retire(self, old: Served) -> None:
        """Let calls in flight end, then let go of a server, in the background."""
        self._retiring.add(old)
        task = asyncio.create_task(self.let_go(old, self._times.drain))
        self._closing[task] = old.server.id
        task.add_done_callback(self._closing.pop)

    def withdrawn(self, server_ids: frozenset[UUID]) -> list[asyncio.Task[None]]:
        """Return what ends when every upstream of these servers, which are in use no more, was let go of.

        Their children are ended at once: nobody is to be answered by them any more.
        """
        for served in self._retiring:
            if served.server.id in server_ids:
                served.kill()
        return [task for task, server_id in self._closing.items() if server_id in server_ids]

    async def let_go(self, old: Served, drain: float) -> None:
        """Let calls in flight end within `drain` seconds, then let go of a server."""
        self._retiring.add(old)
        try:
            await old.close(drain)
        finally:
            self._retiring.discard(old)
            self._own.pop(old, None)

    async def close(self, drain: float) -> None:
        """Let go of every server."""
        closing = [served.close(drain) for served in self._served.values()]
        self._served = {}
        await asyncio.gather(*closing, *self._closing, return_exceptions=True)


def _unnoticed(served: Served) -> None:
    """Take a change that nobody waits for."""
