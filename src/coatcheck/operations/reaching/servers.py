"""The servers of the snapshot in force: one shared upstream each, and those that single clients have.

A server whose credential is to change can be prepared: the one that was tried is then the one in use, so that
the switch costs no start and no handshake.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from typing import Any, Final
from uuid import UUID

from coatcheck.errors import UpstreamUnreachable
from coatcheck.model.credential import Replace
from coatcheck.model.server import Server
from coatcheck.operations.reaching.held import Held, Holding
from coatcheck.operations.reaching.likeness import same_but_filled
from coatcheck.operations.reaching.served import NOBODY, UNPINNED, Changed, Heed, ListTimes, Pins, Served
from coatcheck.ports import Client, Clock, Upstreams

RESTART_DRAIN: Final = 30.0
"""Most seconds that calls of a server that cannot run twice may take to end before it is restarted."""
KEEP_SECONDS: Final = 60.0
"""How long a prepared server waits to be used before it is let go of."""


class Servers:
    """The servers in use. Follows the snapshot: a changed server gets a new upstream, the old one drains.

    One that says `replace: restart` never runs twice: the new upstream begins when the old one has ended, and
    calls wait meanwhile.
    """

    def __init__(self, upstreams: Upstreams, clock: Clock, times: ListTimes) -> None:
        self.changed: Changed = _unnoticed
        """Told of every server whose lists changed."""
        self.heed: Heed = NOBODY
        """Told what servers make of their credentials. To be set before `apply`."""
        self.pins: Pins = UNPINNED
        """Judges what servers list. To be set before `apply`."""
        self._upstreams = upstreams
        self._clock = clock
        self._times = times
        self._served: dict[UUID, Served] = {}
        self._own: dict[Served, None] = {}
        self._prepared: dict[UUID, Served] = {}
        self._timers: dict[UUID, asyncio.TimerHandle] = {}
        self._holds: dict[UUID, Held] = {}
        self._retiring: set[Served] = set()
        self._closing: dict[asyncio.Task[None], Served] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def apply(self, wanted: Mapping[str, Server]) -> None:
        """Use these servers from now on."""
        served: dict[UUID, Served] = {}
        for server in wanted.values():
            old = self._served.pop(server.id, None)
            if old is None:
                served[server.id] = self._take_prepared(server) or self._open(server, None)
            elif old.server == server:
                served[server.id] = old
            else:
                served[server.id] = self._replaced(server, old)
            served[server.id].server = server  # equal ones may differ in what they allow of themselves
        for gone in self._served.values():
            self._holds.pop(gone.server.id, None)
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

    def find(self, server_id: UUID) -> Served | None:
        """Return the server in use of this id, if there is one."""
        return self._served.get(server_id)

    def judge_again(self, server_ids: Collection[UUID]) -> None:
        """Hold back by what is accepted now, wherever the lists of these servers are at hand."""
        for served in (*self._served.values(), *self._own, *self._prepared.values()):
            if served.server.id in server_ids:
                served.judge_again()

    def sessions(self) -> int:
        """Return how many sessions are open with servers over HTTP, those of single clients among them."""
        return sum(served.upstream.status().sessions for served in (*self._served.values(), *self._own))

    def renew(self, served: Served) -> bool:
        """Tell whether something else is in use by now than what somebody used."""
        current = self._served.get(served.server.id)
        return current is not None and current is not served and current.server != served.server

    def open_own(self, server: Server, client: Client) -> Served:
        """Return a server in use by one client alone; `retire` it in the end."""
        own = self._open(server, client)
        self._own[own] = None
        shared = self._served.get(server.id)
        if shared is not None:
            own.inherit(shared)
        return own

    def _open(self, server: Server, client: Client | None, upstreams: Upstreams | None = None) -> Served:
        via = upstreams or self._upstreams
        return Served(server, via, self._clock, self._times, self._note_changed, client, self.heed, self.pins)

    def _note_changed(self, served: Served) -> None:
        self.changed(served)

    # --- one in the place of another -----------------------------------------------------------------------

    def _replaced(self, server: Server, old: Served) -> Served:
        new = self._take_prepared(server)
        if new is None and server.upkeep.replace is Replace.RESTART:
            new = self._open_after(server, old)
        else:
            new = new or self._open(server, None)
            self.retire(old)
        hold = self._holds.pop(server.id, None)
        if hold is not None and not hold.released:
            hold.release(new.upstream, owned=False)
        if new.catalogue is None:
            new.inherit(old)
        if same_but_filled(new.server, old.server):
            new.kin = old.kin
        return new

    def _open_after(self, server: Server, old: Served) -> Served:
        """Return a server that begins when all that runs of it has ended."""
        holding = Holding()
        new = self._open(server, None, holding)
        self.retire(old, min(self._times.drain, RESTART_DRAIN))
        self._spawn(self._bring(holding.opened))
        return new

    async def _bring(self, held: Held) -> None:
        await self._ended(held.server.id)
        if not held.released:
            held.release(self._upstreams.open(held.server, held.client), owned=True)

    async def _ended(self, server_id: UUID) -> None:
        """Return when everything that callers share of a server, and that is being let go of, has ended."""
        while tasks := [
            task
            for task, served in self._closing.items()
            if served.server.id == server_id and served not in self._own
        ]:
            await asyncio.wait(tasks)

    # --- trying before using -------------------------------------------------------------------------------

    def prepare(self, server: Server) -> Served:
        """Open a server beside the one in use, to be used as soon as it is wanted just so.

        It is let go of after `KEEP_SECONDS`, or by `discard`.
        """
        self._forget_prepared(server.id)
        new = self._prepared[server.id] = self._open(server, None)
        current = self._served.get(server.id)
        if current is not None:
            new.inherit(current)
        return new

    def keep(self, server_id: UUID) -> None:
        """Have a prepared server wait for a while, in which it may be wanted."""
        loop = asyncio.get_running_loop()
        if server_id in self._prepared and server_id not in self._holds:
            self._timers[server_id] = loop.call_later(KEEP_SECONDS, self._forget_prepared, server_id)

    def open_beside(self, server: Server) -> Served:
        """Return a server that nobody else uses and whose refusals are no news; `close` it in the end."""
        return Served(server, self._upstreams, self._clock, self._times, _unnoticed)

    async def hold(self, server_id: UUID) -> None:
        """End a server that cannot run twice, and have calls wait, until another is wanted or `discard`."""
        old = self._served.get(server_id)
        if old is None or server_id in self._holds:
            return
        holding = Holding()
        new = self._open(old.server, None, holding)
        new.inherit(old)
        new.kin = old.kin
        self._served[server_id], self._holds[server_id] = new, holding.opened
        self.retire(old, min(self._times.drain, RESTART_DRAIN))
        self.changed(new)  # who listens for changes is to listen here
        await self._ended(server_id)

    async def discard(self, server_id: UUID) -> None:
        """Let go of what was prepared; a server that was held goes on as it was."""
        self._forget_prepared(server_id)
        hold = self._holds.pop(server_id, None)
        if hold is not None:
            await self._bring(hold)

    def _take_prepared(self, server: Server) -> Served | None:
        prepared = self._prepared.get(server.id)
        if prepared is None or prepared.server != server:
            return None
        self._stop_timer(server.id)
        return self._prepared.pop(server.id)

    def _forget_prepared(self, server_id: UUID) -> None:
        self._stop_timer(server_id)
        prepared = self._prepared.pop(server_id, None)
        if prepared is not None:
            self.retire(prepared, 0.0)

    def _stop_timer(self, server_id: UUID) -> None:
        timer = self._timers.pop(server_id, None)
        if timer is not None:
            timer.cancel()

    # --- what still uses a credential ----------------------------------------------------------------------

    def in_use(self) -> Mapping[UUID, Mapping[int, int]]:
        """Return, by credential and number of its version, how many calls, sessions and children use it."""
        found: dict[UUID, dict[int, int]] = {}
        for served in dict.fromkeys((*self._served.values(), *self._own, *self._retiring)):
            status = served.upstream.status()
            weight = status.in_flight + status.sessions + (status.pid is not None)
            if served in self._retiring:
                weight = max(weight, 1)
            for use in {(use.credential, use.number) for use in served.server.uses} if weight else ():
                numbers = found.setdefault(use[0], {})
                numbers[use[1]] = numbers.get(use[1], 0) + weight
        return found

    def draining(self, credential: UUID, number: int) -> list[asyncio.Task[None]]:
        """Return what ends when everything that is being let go of has ceased to use a version."""
        return [task for task, served in self._closing.items() if _uses(served.server, credential, number)]

    # --- letting go ----------------------------------------------------------------------------------------

    def retire(self, old: Served, drain: float | None = None) -> None:
        """Let calls in flight end, then let go of a server, in the background."""
        self._retiring.add(old)
        task = asyncio.create_task(self.let_go(old, self._times.drain if drain is None else drain))
        self._closing[task] = old
        task.add_done_callback(self._closing.pop)

    def withdrawn(self, server_ids: frozenset[UUID]) -> list[asyncio.Task[None]]:
        """Return what ends when every upstream of these servers, which are in use no more, was let go of.

        Their children are ended at once: nobody is to be answered by them any more.
        """
        for served in self._retiring:
            if served.server.id in server_ids:
                served.kill()
        return [task for task, served in self._closing.items() if served.server.id in server_ids]

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
        for server_id in list(self._prepared):
            self._forget_prepared(server_id)
        closing = [served.close(drain) for served in self._served.values()]
        self._served = {}
        self._holds.clear()
        await asyncio.gather(*closing, *self._closing, *self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _uses(server: Server, credential: UUID, number: int) -> bool:
    return any((use.credential, use.number) == (credential, number) for use in server.uses)


def _unnoticed(served: Served) -> None:
    """Take a change that nobody waits for."""
