"""One request under way: takes the events of its stream, sorts what comes besides, ends with the reply."""

from __future__ import annotations

from typing import Final, Protocol

from coatcheck.core.wire import eras, messages, sse
from coatcheck.core.wire.messages import Incoming
from coatcheck.core.wire.notices import (
    CANCELLED,
    PROGRESS,
    end_of_listening,
    spelled,
    take_subscription,
)
from coatcheck.model.call import Call, Notice, Reply, Result
from coatcheck.ports import Notify
from coatcheck.upstream.http.hop import replies
from coatcheck.upstream.http.hop.reading import Received, bad_reply

OF_NO_REQUEST: Final = frozenset(
    {
        CANCELLED,
        "notifications/initialized",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
        "notifications/roots/list_changed",
        "notifications/subscriptions/acknowledged",
        "notifications/tools/list_changed",
    }
)
"""Notifications that are about the connection or the server, and so not for the caller of one request."""


def is_notice(incoming: Incoming) -> bool:
    """Tell a notification from a request; some servers write `"id": null` into one."""
    return incoming.id is None or incoming.id == b"null"


class Besides(Protocol):
    """Who takes what a server sends that is neither the reply nor about the request."""

    def on_request(self, incoming: Incoming, within: bytes | None) -> None:
        """Take a request of the server's; `within` as for `Voice.ask`."""
        ...

    def on_aside(self, method: str, params: bytes) -> None:
        """Take a notification of `OF_NO_REQUEST`."""
        ...


class Awaited:
    """One request under way. `tell` gets the notifications that belong to it, `besides` all else."""

    __slots__ = ("_besides", "_server", "_tell", "_token", "_within", "id", "reply")

    def __init__(
        self, server: str, id: bytes, call: Call, tell: Notify, besides: Besides, within: bytes | None
    ) -> None:
        self.id = id
        self.reply: Reply | None = None
        self._server = server
        self._token = call.meta.get(eras.PROGRESS)
        self._tell = tell
        self._besides = besides
        self._within = within

    def take(self, event: sse.Event) -> bool:
        """Take one event; True once the reply is there.

        Raises:
            UpstreamBadReply: the event is no message, or the reply to another request.
        """
        if event.type != sse.MESSAGE or not event.data:
            return False
        incoming = messages.read_incoming(event.data)
        if incoming is None:
            raise bad_reply(self._server, "sent an event that is no JSON-RPC message")
        if incoming.reply is not None:
            if incoming.id != self.id:
                raise bad_reply(self._server, "answered with the id of another request")
            self.reply = incoming.reply
            return True
        if not is_notice(incoming):
            self._besides.on_request(incoming, self._within)
        elif incoming.method is not None:
            self._on_notice(incoming.method, incoming.params)
        return False

    def _on_notice(self, method: str, params: bytes) -> None:
        if method in OF_NO_REQUEST:
            self._besides.on_aside(method, params)
        elif method == PROGRESS:
            self.on_progress(params)
        else:
            self._tell(Notice(method, params))

    def on_progress(self, params: bytes) -> None:
        """Take a notification of progress; dropped if nobody asked for it or it is about another request."""
        members = messages.members_of(params)
        if self._token is None or members is None or members.get(eras.PROGRESS) != self.id:
            return
        members[eras.PROGRESS] = self._token
        self._tell(Notice(PROGRESS, messages.object_of(members)))

    def read(self, received: Received, *, session: bool = False) -> Reply:
        """Return the reply, from the stream or from the body; `session`: the request named one.

        Raises:
            Forgotten: the server refused the session or the era; the request can be sent again.
            UpstreamCredentialRefused: 401 or 403.
            UpstreamBadReply: anything else that is no reply to this request.
        """
        if self.reply is not None:
            return self.reply
        return replies.read_body(self._server, self.id, received, session=session)


class Subscribed:
    """One `subscriptions/listen` under way: every notification of its stream goes to `tell` (SEP-2575).

    The id under which it was sent is ours and is taken out of everything. The server ends it with a result,
    or cancels it.
    """

    __slots__ = ("_server", "_tell", "id", "reply")

    def __init__(self, server: str, id: bytes, tell: Notify) -> None:
        self.id = id
        self.reply: Reply | None = None
        self._server = server
        self._tell = tell

    def take(self, event: sse.Event) -> bool:
        """Take one event; True once the subscription is over. What is no message is skipped."""
        if event.type != sse.MESSAGE or not event.data:
            return False
        incoming = messages.read_incoming(event.data)
        if incoming is None:
            return False
        if incoming.reply is not None and incoming.id is not None and spelled(incoming.id) == self.id:
            reply = incoming.reply
            self.reply = end_of_listening(reply) if isinstance(reply, Result) else reply
        elif incoming.method == CANCELLED:
            members = messages.members_of(incoming.params) or {}
            if spelled(members.get("requestId", b"")) == self.id:
                self.reply = Result(b"{}")
        elif incoming.method is not None and is_notice(incoming):
            self._tell(Notice(incoming.method, take_subscription(incoming.params)[1]))
        return self.reply is not None

    def read(self, received: Received) -> Reply:
        """Return how it ended, or the refusal in the body. Raises as `Awaited.read`."""
        if self.reply is not None:
            return self.reply
        reply = replies.read_body(self._server, self.id, received, session=False)
        return end_of_listening(reply) if isinstance(reply, Result) else reply


class _Nobody:
    """Takes nothing."""

    def on_request(self, incoming: Incoming, within: bytes | None) -> None:
        """Leave the server without an answer."""

    def on_aside(self, method: str, params: bytes) -> None:
        """Drop it."""


nobody: Final[Besides] = _Nobody()


def unheard(_notice: Notice) -> None:
    """Drop a notification."""
