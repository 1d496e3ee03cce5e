"""Has the server greeted: once for all who wait, anew when it forgot us, kept while somebody wants news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from coatcheck.core.wire import eras, reopening
from coatcheck.errors import UpstreamError
from coatcheck.model.era import Era
from coatcheck.model.server import HttpReach
from coatcheck.ports import Client
from coatcheck.upstream.http.awaited import unheard
from coatcheck.upstream.http.handshake import Handshake, OnlySse
from coatcheck.upstream.http.hearing import Patience
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.line import Line, open_line
from coatcheck.upstream.http.linked import Linked

_ALONE: Final = 0.5
"""How a pause is spread where nobody else waits for the same server: not at all."""


class Linking:
    """The link to one server, if there is one. `failed` hears why it could not be had in the background."""

    def __init__(
        self,
        server: str,
        reach: HttpReach,
        egress: Egress,
        limits: HttpLimits,
        client: Client,
        failed: Callable[[UpstreamError], None],
    ) -> None:
        self.linked: Linked | None = None
        self.attended = False
        self._server = server
        self._reach = reach
        self._egress = egress
        self._limits = limits
        self._client = client
        self._failed = failed
        self._first = client.era
        self._line: Line | None = None
        self._patience = Patience()
        self._linking: asyncio.Task[Linked] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def wanted(self) -> bool:
        """Whether the session is to be kept though nobody calls."""
        return self.attended or self._client.standing.watching

    @property
    def in_use(self) -> bool:
        """Whether something goes on besides calls, or somebody waits for news."""
        return self.wanted or (self.linked is not None and len(self.linked.questions) > 0)

    async def get(self) -> Linked:
        """Greet the server, once for all who wait; one who gives up does not disturb the others.

        Raises:
            UpstreamError: it cannot be greeted.
            asyncio.CancelledError: also when the link is being closed.
        """
        if self.linked is not None:
            return self.linked
        linking = self._linking
        if linking is None or linking.done():
            self._linking = linking = asyncio.get_running_loop().create_task(self._open())
            linking.add_done_callback(_retrieve)
        return await asyncio.shield(linking)

    @property
    def closed(self) -> bool:
        """Whether nothing is greeted any more."""
        return self._closed

    def forget(self, linked: Linked) -> None:
        """Take note that the server does not know this link any more; greeted anew on the next use."""
        if self.linked is linked:
            self.linked = None
            linked.end()
            self.keep()

    def attend(self, wanted: bool) -> None:
        """Listen to what belongs to no request, and keep the link for that; or do so no more."""
        self.attended = wanted
        if wanted:
            self.keep()
        elif self.linked is not None and not self._hears(self.linked):
            self.linked.hush()

    # --- making a link -------------------------------------------------------------------------------------

    async def _open(self) -> Linked:
        line = self._line
        if line is None:
            self._line = line = await open_line(self._server, self._reach, self._egress, self._limits)
        handshake = Handshake(self._server, self._reach.transport, line, self._limits.connect, self._client)
        try:
            linked = Linked(line, await handshake.open(self._first), self._client, self._limits)
            await self._prepare(linked)
        except BaseException:
            self._say_goodbye(line, handshake.session)
            raise
        finally:
            if handshake.silent:
                self._first = Era.LEGACY  # the next handshake need not wait for what is never answered
        self.linked = linked
        return linked

    async def _prepare(self, linked: Linked) -> None:
        try:
            await self._hear(linked)
            await self._replay(linked)
        except BaseException:
            linked.end()
            raise

    async def _replay(self, linked: Linked) -> None:
        """Set again what the session before was told to keep; what the server refuses now is left out."""
        if linked.link.modern:
            return
        for call in self._client.standing.calls():
            await linked.send(call, eras.OURSELVES, unheard, own=True)

    def _hears(self, linked: Linked) -> bool:
        """Tell whether the server is listened to: a client with a session of its own hears all of it."""
        if linked.link.modern:
            return self.attended
        return self.wanted or self._client.era is Era.LEGACY

    async def _hear(self, linked: Linked) -> None:
        if not self._hears(linked):
            return
        await linked.hear(self._patience, lambda: self.forget(linked))
        if not self._hears(linked):
            linked.hush()  # nobody waits for news any more, since while the stream was being opened

    # --- keeping it ----------------------------------------------------------------------------------------

    def keep(self) -> None:
        """See to it that there is a link and that it is listened to, if somebody waits for news."""
        if self.wanted and not self._closed and (self._keeping is None or self._keeping.done()):
            self._keeping = asyncio.get_running_loop().create_task(self._keep_on())

    async def _keep_on(self) -> None:
        """Have the server greeted and listened to, with ever longer pauses while it fails."""
        while self.wanted and not self._closed:
            try:
                linked = await self.get()
                await self._hear(linked)
            except OnlySse as error:
                self._failed(error)
                return  # it will not change by waiting, and another kind of upstream is needed
            except UpstreamError as error:
                self._patience.poor += 1
                self._failed(error)
                await asyncio.sleep(reopening.before_reopening(self._patience.poor, None, _ALONE))
            else:
                if self.linked is linked:
                    return

    # --- letting go ----------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Let go of the session and of every connection; the next use makes them anew."""
        linked, self.linked = self.linked, None
        if linked is not None and self._line is not None:
            linked.end()
            self._say_goodbye(self._line, linked.link.head if linked.link.session else b"")

    def _say_goodbye(self, line: Line, session: bytes) -> None:
        goodbye = asyncio.get_running_loop().create_task(self._end_session(line, session))
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)

    async def _end_session(self, line: Line, session: bytes) -> None:
        if session:
            await line.end_session(session)
        if self.linked is None:
            line.rest()

    def end_subscriptions(self) -> None:
        """End the streams of callers' subscriptions."""
        if self._line is not None:
            self._line.listens.close()

    async def close(self) -> None:
        """Let go for good. Who waits for a link is cancelled."""
        self._closed = True
        tasks = [task for task in (self._linking, self._keeping) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self.rest()
        if self._goodbyes:
            await asyncio.wait(set(self._goodbyes))
        if self._line is not None:
            await self._line.close()


def _retrieve(task: asyncio.Task[Linked]) -> None:
    if not task.cancelled():
        task.exception()  # those who waited have it; without this, asyncio logs it if all of them left
