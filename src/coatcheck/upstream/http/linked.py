"""A server that was greeted: sends it calls, and takes what it says besides, until it forgets us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from coatcheck.core.wire import eras, messages
from coatcheck.core.wire.messages import Incoming
from coatcheck.core.wire.notices import ACKNOWLEDGED, CANCELLED, LISTEN, ONLY_OF_CLIENTS, PROGRESS
from coatcheck.model.call import Call, Caller, Notice, Reply
from coatcheck.model.catalogue import Greeting
from coatcheck.ports import Client, Hop, Notify
from coatcheck.upstream.http.awaited import Awaited, Subscribed, is_notice
from coatcheck.upstream.http.handshake import Link
from coatcheck.upstream.http.hearing import Hearing, Patience, source_of
from coatcheck.upstream.http.hop.connection import StreamEnded
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.hop.reading import Received
from coatcheck.upstream.http.line import Line
from coatcheck.upstream.http.resuming import Resuming
from coatcheck.upstream.own import CALL_TOOL
from coatcheck.upstream.questions import Questions

_LONGEST_ID: Final = messages.MAX_ID_CHARS + 2
_NOT_TOLD: Final = ONLY_OF_CLIENTS | {ACKNOWLEDGED}


class Linked:
    """One greeted server. A legacy one may ask and tell; what a modern one sends unasked is dropped."""

    def __init__(self, line: Line, link: Link, client: Client, limits: HttpLimits) -> None:
        self.link = link
        self.expiry = b""
        """What the server said last of when our credential ends."""
        self.questions = Questions(client, line.redactor, self._answer)
        self._line = line
        self._client = client
        self._limits = limits
        self._under_way: dict[bytes, Awaited] = {}
        """Calls whose callers asked for progress: some servers report it on the GET stream."""
        self._hearing: Hearing | None = None
        self._taking = False

    @property
    def greeting(self) -> Greeting:
        """What the server said of itself."""
        return self.link.greeting

    # --- towards the server --------------------------------------------------------------------------------

    async def send(
        self, call: Call, caller: Caller, notify: Notify, *, own: bool, hop: Hop | None = None
    ) -> Reply:
        """Send a call under an id of our own and return the reply; `own`: it is the gateway's.

        Raises:
            Forgotten: the server refused the session or the era; the call was not acted on.
            UpstreamError: any other failure.
        """
        line, link = self._line, self.link
        if call.method == LISTEN and link.modern:
            return await self._subscribe(call, caller, notify, hop)
        id = line.next_id()
        awaited = Awaited(line.server, id, call, self._clean(notify), self, None if own else call.id)
        token = id if eras.PROGRESS in call.meta else None
        greeting = link.greeting
        params = eras.request_params(call, greeting.era, greeting.version, token, caller)
        body = messages.request(id, call.method, params)
        request = line.heads.post(link.head_for(call.method, params, call.mirrored), body)
        _note(hop, size=len(body))
        if token is not None:
            self._under_way[id] = awaited
        try:
            try:
                received = await line.exchange(request, awaited.take, again=own and call.method != CALL_TOOL)
            except StreamEnded as ended:
                received = await self._resume(ended, awaited, call, own=own)
        except asyncio.CancelledError:
            if not link.modern and not own:
                line.aside(link.head, messages.notification(CANCELLED, b'{"requestId":%b}' % id))
            raise
        finally:
            self._under_way.pop(id, None)
        self.expiry = received.expiry or self.expiry
        _note(hop, received=received)
        return line.redactor.redact_reply(awaited.read(received, session=link.session))

    async def _resume(self, ended: StreamEnded, awaited: Awaited, call: Call, *, own: bool) -> Received:
        if self.link.modern or not ended.resume_from:
            raise ended

        def pause(retry: int | None) -> None:
            if not own:
                self._client.pause(call.id, retry)

        resuming = Resuming(self._line, self.link.head, awaited, ended)
        return await resuming.run(self._limits.resumptions, pause)

    async def _subscribe(self, call: Call, caller: Caller, notify: Notify, hop: Hop | None) -> Reply:
        line, link = self._line, self.link
        subscribed = Subscribed(line.server, line.next_id(), self._clean(notify))
        params = eras.request_params(call, link.greeting.era, link.greeting.version, None, caller)
        body = messages.request(subscribed.id, call.method, params)
        request = line.heads.post(link.head_for(call.method, params, call.mirrored), body)
        _note(hop, size=len(body))
        received = await line.listens.exchange(request, subscribed.take)
        _note(hop, received=received)
        return line.redactor.redact_reply(subscribed.read(received))

    async def relay(self, notice: Notice) -> None:
        """Send a notification of the client's; a modern server has no use for it.

        Raises:
            Forgotten: the server refused the session.
            UpstreamError: any other failure.
        """
        if not self.link.modern:
            link = self.link
            await self._line.tell(notice.method, link.head, notice.params, session=link.session)

    def _answer(self, id: bytes, reply: Reply) -> None:
        self._line.aside(self.link.head, messages.response(id, reply), minor=self._taking)

    # --- from the server -----------------------------------------------------------------------------------

    def on_request(self, incoming: Incoming, within: bytes | None) -> None:
        """Ask the client; a modern server must not ask and gets no answer (SEP-2575)."""
        if not self.link.modern and incoming.id is not None and len(incoming.id) <= _LONGEST_ID:
            self._taking = True  # what is answered at once is a ping or one question too many
            self.questions.take(incoming, within)
            self._taking = False

    def on_aside(self, method: str, params: bytes) -> None:
        """Take what came on a request's stream and belongs to no request; at a modern server nothing does."""
        if self.link.modern:
            return
        if method == CANCELLED:
            self.questions.cancel(params)
        elif method not in _NOT_TOLD:
            self._client.tell(self._line.redactor.redact_notice(Notice(method, params)))

    def _on_message(self, message: bytes) -> None:
        """Take a message of the GET stream. What is none, and replies, are skipped."""
        incoming = messages.read_incoming(message)
        if incoming is None or incoming.method is None:
            return
        if not is_notice(incoming):
            self.on_request(incoming, None)
        elif incoming.method == PROGRESS:
            members = messages.members_of(incoming.params) or {}
            awaited = self._under_way.get(members.get(eras.PROGRESS, b""))
            if awaited is not None:
                awaited.on_progress(incoming.params)
        else:
            self.on_aside(incoming.method, incoming.params)

    def _clean(self, notify: Notify) -> Notify:
        redact = self._line.redactor.redact_notice
        return lambda notice: notify(redact(notice))

    # --- hearing -------------------------------------------------------------------------------------------

    async def hear(self, patience: Patience, lost: Callable[[], None]) -> None:
        """Listen to what belongs to no request; returns when that is open, or after a moment.

        `lost` hears that the server does not know the session any more.
        """
        if self._hearing is None:
            source = source_of(self._line, self.link, self._on_message, self._clean(self._client.tell))
            if source is None:
                return
            self._hearing = Hearing(self._line, source, patience, lost)
        await self._hearing.settled(self._limits.hearing)

    def hush(self) -> None:
        """Stop listening. Of a server that has no stream, that is remembered."""
        if self._hearing is not None and not self._hearing.over:
            self._hearing.stop()
            self._hearing = None

    def end(self) -> None:
        """Take no more: the server forgot us, or we let go of it."""
        self.hush()
        self.questions.end()


def _note(hop: Hop | None, *, size: int = 0, received: Received | None = None) -> None:
    """Take note of what is known by now; what another try sends takes the place of the first."""
    if hop is None:
        return
    hop.request_bytes = size or hop.request_bytes
    if received is None:
        hop.status = None
    else:
        hop.status, hop.bearer = received.status, received.bearer
