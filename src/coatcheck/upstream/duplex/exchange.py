"""Requests and answers over a stream of messages: many at once, told apart by ids of our own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from coatcheck.core.redact import Redactor
from coatcheck.core.wire import eras, messages, notices
from coatcheck.core.wire.messages import Incoming
from coatcheck.errors import UpstreamBadReply, UpstreamError
from coatcheck.model.call import NO_PARAMS, Call, Caller, Fault, Notice, Reply, Result
from coatcheck.model.catalogue import Greeting
from coatcheck.model.era import LEGACY_VERSIONS, Era
from coatcheck.ports import Client, Hop, Notify
from coatcheck.upstream.duplex.underway import Request, Underway
from coatcheck.upstream.questions import Questions

_PONG: Final = Result(b"{}")
_ENDED: Final = Result(b"{}")
_NOT_OFFERED: Final = Fault(messages.METHOD_NOT_FOUND, "Method not found")
_UNGREETED: Final = Greeting(Era.LEGACY, LEGACY_VERSIONS[0], NO_PARAMS)
_LONGEST_ID: Final = messages.MAX_ID_CHARS + 2

Failure = Callable[[], UpstreamError]
"""Makes the error for one request."""


class Carrier(Protocol):
    """Takes messages to the server. Nothing blocks."""

    def send(self, message: bytes, reply: asyncio.Future[Reply]) -> None:
        """Send a request. If that fails later on, the error goes into `reply`.

        Raises:
            UpstreamError: it cannot be sent.
        """
        ...

    def recall(self, message: bytes, reply: asyncio.Future[Reply]) -> None:
        """Send the cancellation of a request that was sent with this `reply`, if that can be sent."""
        ...

    def drop(self, message: bytes) -> bool:
        """Send an answer or a notification, if that can be sent; tell whether it can."""
        ...

    async def deliver(self, message: bytes) -> None:
        """Send a notification and return once the server has it, as far as can be told.

        Raises:
            UpstreamError: it cannot be sent.
        """
        ...


class Exchange:
    """Talks to one server and listens to it. Once ended it stays so: a new child or session gets a new one.

    `odd` is given what is no message; `strays` counts the answers and notifications that belong to no
    request under way.
    """

    def __init__(
        self, name: str, client: Client, redactor: Redactor, carrier: Carrier, odd: Callable[[bytes], None]
    ) -> None:
        self.name = name
        self.greeting = _UNGREETED
        self.strays = 0
        self.questions = Questions(client, redactor, self._answer)
        self._client = client
        self._redactor = redactor
        self._carrier = carrier
        self._odd = odd
        self._underway = Underway()
        self._last_id = 0
        self._loop = asyncio.get_running_loop()
        self._refusal: Failure | None = None

    # --- towards the server ----------------------------------------------------------------------------

    async def call(
        self,
        call: Call,
        caller: Caller,
        notify: Notify | None = None,
        *,
        own: bool = False,
        hop: Hop | None = None,
    ) -> Reply:
        """Send a call under an id of our own and return the answer; a cancelled one is cancelled there.

        `own`: it is the gateway's, so nothing that the server says meanwhile belongs to it.

        Raises:
            UpstreamError: the server is gone, does not read, or answered badly.
        """
        greeting = self.greeting
        token = call.meta.get(eras.PROGRESS)
        id = self._next_id()
        progress = None if token is None else id
        params = eras.request_params(call, greeting.era, greeting.version, progress, caller)
        listens = call.method == notices.LISTEN
        future: asyncio.Future[Reply] = self._loop.create_future()
        request = Request(future, notify, token, None if own else call.id, listens=listens)
        message = messages.request(id, call.method, params)
        if hop is not None:
            hop.request_bytes = len(message)
        self._send(id, message, request)
        try:
            return await future
        except asyncio.CancelledError:
            if self._underway.cancel(id):
                self._recall(id, future)
            raise
        except UpstreamError:
            self._underway.end(id)
            raise

    async def ask(self, method: str, params: Mapping[str, bytes]) -> Reply:
        """Send a request of the handshake and return the answer; never cancelled on the server's side.

        Raises:
            UpstreamError: as for `call`.
        """
        id = self._next_id()
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._send(id, messages.request(id, method, params), Request(future))
        try:
            return await future
        finally:
            self._underway.end(id)

    async def deliver(self, method: str, params: bytes = b"{}") -> None:
        """Send a notification.

        Raises:
            UpstreamError: the server is gone, or does not take it.
        """
        self.refuse_if_ended()
        await self._carrier.deliver(messages.notification(method, params))

    def end_listening(self) -> None:
        """End every subscription here and there, as if the server had done so."""
        for id in self._underway.listening():
            request = self._underway.end(id)
            if request is not None and not request.future.done():
                request.future.set_result(_ENDED)
                self._recall(id, request.future)

    def _next_id(self) -> bytes:
        self._last_id += 1
        return b"%d" % self._last_id

    def _send(self, id: bytes, message: bytes, request: Request) -> None:
        self.refuse_if_ended()
        self._carrier.send(message, request.future)
        self._underway.add(id, request)

    def _recall(self, id: bytes, reply: asyncio.Future[Reply]) -> None:
        self._carrier.recall(messages.notification(notices.CANCELLED, b'{"requestId":%b}' % id), reply)

    def _answer(self, id: bytes, reply: Reply) -> None:
        if not self._carrier.drop(messages.response(id, reply)):
            self.strays += 1

    # --- from the server -------------------------------------------------------------------------------

    def take(self, message: bytes) -> bool:
        """Take one message: an answer, a notification, a request of the server's, or none of them.

        Returns whether it was the answer to a request under way.
        """
        incoming = messages.read_incoming(message)
        if incoming is None:
            self._on_odd(message)
        elif incoming.reply is not None:
            return self._on_reply(incoming.id, incoming.reply)
        elif incoming.method is None:
            pass  # there is no such message
        elif incoming.id is None or incoming.id == b"null":  # which some write for a notification
            self._on_notice(incoming.method, incoming.params)
        elif len(incoming.id) <= _LONGEST_ID:
            self._on_request(incoming)
        return False

    def _on_request(self, incoming: Incoming) -> None:
        if self.greeting.era is Era.LEGACY:
            lone = self._underway.lone_call()
            self.questions.take(incoming, None if lone is None else lone.caller_id)
        elif incoming.id is not None:  # a modern server must not ask, so nobody is (SEP-2575)
            self._answer(incoming.id, _PONG if incoming.method == "ping" else _NOT_OFFERED)

    def _on_reply(self, id: bytes | None, reply: Reply) -> bool:
        if (id is None or id == b"null") and isinstance(reply, Fault):
            id = self._underway.only_ask()  # what is not understood is refused without its id
        request = None if id is None else self._underway.end(id)
        if request is None:
            self.strays += 1
        elif not request.future.done():
            if request.listens and isinstance(reply, Result):
                reply = notices.end_of_listening(reply)
            request.future.set_result(self._redactor.redact_reply(reply))
        return request is not None

    def _on_odd(self, message: bytes) -> None:
        """Fail the request that a malformed answer belongs to; show anything else to the operator."""
        if not message.strip():
            return
        members = messages.members_of(message) or {}
        id = members.get("id")
        request = None if id is None or "method" in members else self._underway.end(id)
        if request is None:
            self._odd(message)
        elif not request.future.done():
            request.future.set_exception(
                UpstreamBadReply(f"{self.name} answered with something that is no answer", reached=True)
            )

    # --- notifications ---------------------------------------------------------------------------------

    def _on_notice(self, method: str, params: bytes) -> None:
        subscription, params = notices.take_subscription(params)
        if method == notices.PROGRESS:
            self._on_progress(params)
        elif method == notices.CANCELLED:
            self._on_cancelled(params)
        elif subscription is not None:
            self._tell(self._find_listener(subscription), method, params)
        elif method in notices.ONLY_OF_CLIENTS:
            self.strays += 1
        else:
            # Else nobody can say whose log message it is.
            lone = self._underway.lone_call() if method == notices.MESSAGE else None
            self._tell(self._client.tell if lone is None else lone.notify, method, params)

    def _on_progress(self, raw: bytes) -> None:
        params = messages.members_of(raw) or {}
        request = self._underway.find(params.get(eras.PROGRESS, b""))
        if request is None or request.token is None:
            self.strays += 1
            return
        params[eras.PROGRESS] = request.token
        self._tell(request.notify, notices.PROGRESS, messages.object_of(params))

    def _on_cancelled(self, params: bytes) -> None:
        """Take the end of a question, or of a subscription: only a modern server has any of those."""
        if self.greeting.era is Era.LEGACY:
            self.questions.cancel(params)
            return
        members = messages.members_of(params) or {}
        id = notices.spelled(members.get("requestId", b""))
        request = self._underway.find(id)
        if request is not None and request.listens:
            self._on_reply(id, _ENDED)

    def _find_listener(self, subscription: bytes) -> Notify | None:
        request = self._underway.find(subscription)
        return request.notify if request is not None and request.listens else None

    def _tell(self, notify: Notify | None, method: str, params: bytes) -> None:
        if notify is None:
            self.strays += 1
        else:
            notify(self._redactor.redact_notice(Notice(method, params)))

    # --- the end -----------------------------------------------------------------------------------------

    def end(self, failure: Failure, refusal: Failure) -> None:
        """Fail every request under way, and from now on refuse to send: the server is gone."""
        self._refusal = refusal
        self.questions.end()
        for request in self._underway.end_all():
            if not request.future.done():
                request.future.set_exception(failure())

    def refuse_if_ended(self) -> None:
        """Raise if nothing can be sent any more.

        Raises:
            UpstreamError: the server is gone.
        """
        if self._refusal is not None:
            raise self._refusal()
