"""Requests and answers over one child's pipes: many at once, told apart by ids of our own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from coatcheck.core.redact import Redactor
from coatcheck.core.wire import eras, messages
from coatcheck.core.wire.lines import Tail
from coatcheck.errors import UpstreamBadReply, UpstreamError, UpstreamLost, UpstreamUnreachable
from coatcheck.model.call import NO_PARAMS, Call, Fault, Notice, Reply, Result
from coatcheck.model.catalogue import Greeting
from coatcheck.model.era import LEGACY_VERSIONS, Era
from coatcheck.ports import Notify
from coatcheck.upstream.stdio.child import Child
from coatcheck.upstream.stdio.pipes import Backlogged

_PROGRESS: Final = "notifications/progress"
_MESSAGE: Final = "notifications/message"
_JUNK_SHOWN: Final = 200
_PONG: Final = Result(b"{}")
_NOT_OFFERED: Final = Fault(messages.METHOD_NOT_FOUND, "Method not found")
_UNGREETED: Final = Greeting(Era.LEGACY, LEGACY_VERSIONS[0], NO_PARAMS)


Gone = Callable[["Exchange", str], None]
"""Hears that the child of an exchange is gone, and why."""


class _Pending:
    """A request that waits for its answer; `token` is the caller's progress token."""

    __slots__ = ("future", "notify", "token")

    def __init__(self, future: asyncio.Future[Reply], notify: Notify | None, token: bytes | None) -> None:
        self.future = future
        self.notify = notify
        self.token = token


class Exchange:
    """Listens to one child and talks to it. Once gone it stays gone: a new child gets a new exchange.

    `junk` counts the lines that were no message, `strays` the answers and notifications that belong to no
    request under way.
    """

    def __init__(self, name: str, tail: Tail, redactor: Redactor, gone: Gone) -> None:
        self.name = name
        self.child: Child | None = None
        self.greeting = _UNGREETED
        self.junk = 0
        self.strays = 0
        self._tail = tail
        self._redactor = redactor
        self._tell_gone = gone
        self._pending: dict[bytes, _Pending] = {}
        self._last_id = 0
        self._loop = asyncio.get_running_loop()
        self._cause: str | None = None

    # --- towards the server ----------------------------------------------------------------------------

    async def call(self, call: Call, notify: Notify | None) -> Reply:
        """Send a call under an id of our own and return the answer; a cancelled one is cancelled there.

        Raises:
            UpstreamError: the child is gone, does not read, or answered badly.
        """
        greeting = self.greeting
        token = call.meta.get(eras.PROGRESS)
        id = self._next_id()
        progress = None if token is None else id
        params = eras.request_params(call, greeting.era, greeting.version, progress)
        future = self._send(id, messages.request(id, call.method, params), notify, token)
        try:
            return await future
        except asyncio.CancelledError:
            if self._pending.pop(id, None) is not None:
                self.tell("notifications/cancelled", b'{"requestId":%b}' % id)
            raise

    async def ask(self, method: str, params: Mapping[str, bytes]) -> Reply:
        """Send a request of the handshake and return the answer; never cancelled on the server's side.

        Raises:
            UpstreamError: as for `call`.
        """
        id = self._next_id()
        future = self._send(id, messages.request(id, method, params), None, None)
        try:
            return await future
        finally:
            self._pending.pop(id, None)

    def tell(self, method: str, params: bytes = b"{}") -> None:
        """Send a notification, unless the child is gone or does not read."""
        self._write_if_read(messages.notification(method, params))

    def _next_id(self) -> bytes:
        self._last_id += 1
        return b"%d" % self._last_id

    def _send(
        self, id: bytes, line: bytes, notify: Notify | None, token: bytes | None
    ) -> asyncio.Future[Reply]:
        self.refuse_if_gone()
        if b"\n" in line or b"\r" in line:  # between values only: within strings they are escaped
            line = line.replace(b"\r", b" ").replace(b"\n", b" ")
        try:
            self._write(line)
        except Backlogged:
            raise UpstreamUnreachable(f"{self.name} has stopped reading requests") from None
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._pending[id] = _Pending(future, notify, token)
        return future

    def _write(self, line: bytes) -> None:
        if self.child is None:
            raise Backlogged
        self.child.write(line)

    def _write_if_read(self, line: bytes) -> None:
        try:
            self._write(line)
        except Backlogged:
            self.strays += 1

    def refuse_if_gone(self) -> None:
        """Raise if nothing can be sent any more.

        Raises:
            UpstreamLost: the child is gone.
        """
        if self._cause is not None:
            detail = f"{self.name} {self._cause}"
            raise UpstreamLost(f"{self.name} stopped before the request was sent", detail=detail)

    # --- from the server -------------------------------------------------------------------------------

    def on_line(self, line: bytes) -> None:
        """Take one line: an answer, a notification, a request of the server's, or junk."""
        incoming = messages.read_incoming(line)
        if incoming is None:
            self._on_odd_line(line)
        elif incoming.reply is not None:
            self._on_reply(incoming.id, incoming.reply)
        elif incoming.method is not None and incoming.id is None:
            self._on_notice(incoming.method, incoming.params)
        elif incoming.id is not None:
            reply = _PONG if incoming.method == "ping" else _NOT_OFFERED
            self._write_if_read(messages.response(incoming.id, reply))

    def _on_reply(self, id: bytes | None, reply: Reply) -> None:
        pending = None if id is None else self._pending.pop(id, None)
        if pending is None:
            self.strays += 1
        elif not pending.future.done():
            pending.future.set_result(self._redactor.redact_reply(reply))

    def _on_odd_line(self, line: bytes) -> None:
        """Fail the request that a malformed answer belongs to; show any other line to the operator."""
        if not line.strip():
            return
        members = messages.members_of(line) or {}
        id = members.get("id")
        pending = None if id is None or "method" in members else self._pending.pop(id, None)
        if pending is None:
            self.junk += 1
            self._tail.add_line(b"(stdout, no message) " + line[:_JUNK_SHOWN])
        elif not pending.future.done():
            pending.future.set_exception(
                UpstreamBadReply(f"{self.name} answered with something that is no answer", reached=True)
            )

    def _on_notice(self, method: str, params: bytes) -> None:
        pending: _Pending | None = None
        if method == _PROGRESS:
            pending, params = self._find_progress(params)
        elif method == _MESSAGE and len(self._pending) == 1:  # else nobody can say whose it is
            pending = next(iter(self._pending.values()))
        if pending is None or pending.notify is None:
            self.strays += 1
            return
        pending.notify(self._redactor.redact_notice(Notice(method, params)))

    def _find_progress(self, raw: bytes) -> tuple[_Pending | None, bytes]:
        """Return the request that the token belongs to, and the params with the caller's token again."""
        params = messages.members_of(raw) or {}
        pending = self._pending.get(params.get(eras.PROGRESS, b""))
        if pending is None or pending.token is None:
            return None, raw
        params[eras.PROGRESS] = pending.token
        return pending, messages.object_of(params)

    def on_stderr(self, chunk: bytes) -> None:
        """Keep the last of what the server writes to its standard error."""
        self._tail.feed(chunk)

    def on_gone(self, cause: str, *, oversized: bool) -> None:
        """Fail every request under way: the child will not answer."""
        self._cause = cause
        pending, self._pending = self._pending, {}
        for request in pending.values():
            if not request.future.done():
                request.future.set_exception(self._lost(oversized))
        self._tell_gone(self, cause)

    def _lost(self, oversized: bool) -> UpstreamError:
        detail = f"{self.name} {self._cause}"
        if oversized:
            return UpstreamBadReply(
                f"{self.name} sent an answer that is too large", detail=detail, reached=True
            )
        return UpstreamLost(f"{self.name} stopped before it answered", detail=detail, reached=True)
