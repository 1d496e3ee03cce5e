"""Judges what came back for one request: its reply, a server that forgot us, or a failure of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from coatcheck.core.wire import eras, messages, sse
from coatcheck.core.wire.messages import Incoming
from coatcheck.errors import UpstreamBadReply, UpstreamCredentialRefused
from coatcheck.model.call import Call, Fault, Notice, Reply
from coatcheck.upstream.http.reading import EVENTS, JSON, Received, bad_reply

PROGRESS: Final = "notifications/progress"

_NOT_OF_A_REQUEST: Final = frozenset(
    {
        "notifications/cancelled",
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

_SESSION_CODES: Final = frozenset({-32000, -32001, messages.INVALID_REQUEST})
_SESSION_WORDS: Final = re.compile(r"session|not initiali[sz]ed", re.IGNORECASE)


_STATUS: Final[Mapping[int, tuple[str, str]]] = {
    **{
        status: (
            f"answered with a redirect ({status}), which is never followed",
            "put the final address into its url",
        )
        for status in range(300, 400)
    },
    400: ("refused the request (400)", ""),
    404: ("answered 404", "check the path in its url"),
    405: ("answered 405", "check the path in its url"),
    413: ("refused the request as too large (413)", ""),
    429: ("is refusing requests for now (429)", "wait, or raise the limit there"),
    502: ("is not available behind its own proxy (502)", ""),
    503: ("is not available for now (503)", ""),
    504: ("did not answer its own proxy (504)", ""),
}
_NOT_ACTED_ON: Final = frozenset({*range(300, 400), 400, 404, 405, 413, 415, 429})


class StatusReply(UpstreamBadReply):
    """The server answered with an HTTP `status` that says no, and with no JSON-RPC reply to our request."""

    def __init__(self, server: str, status: int) -> None:
        sentence, fix = _STATUS.get(status, (f"failed with status {status}", ""))
        super().__init__(f"{server} {sentence}", fix=fix, reached=status not in _NOT_ACTED_ON)
        self.status = status


class Forgotten(StatusReply):
    """The server does not know the session or the era of the request, and so did not act on it."""


class Awaited:
    """One request under way: takes the events of its stream and, at the end, the reply.

    `tell` gets the notifications that belong to the request, `serve` the server's own requests.
    """

    __slots__ = ("_serve", "_server", "_tell", "_token", "id", "reply")

    def __init__(
        self,
        server: str,
        id: bytes,
        call: Call,
        tell: Callable[[Notice], None],
        serve: Callable[[Incoming], None],
    ) -> None:
        self.id = id
        self.reply: Reply | None = None
        self._server = server
        self._token = call.meta.get(eras.PROGRESS)
        self._tell = tell
        self._serve = serve

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
        if incoming.id is not None:
            self._serve(incoming)
        elif incoming.method is not None and incoming.method not in _NOT_OF_A_REQUEST:
            self._notice(incoming.method, incoming.params)
        return False

    def _notice(self, method: str, params: bytes) -> None:
        if method == PROGRESS:
            members = messages.members_of(params)
            if self._token is None or members is None or members.get(eras.PROGRESS) != self.id:
                return  # nobody asked for it, or it is about another request
            members[eras.PROGRESS] = self._token
            params = messages.object_of(members)
        self._tell(Notice(method, params))

    def read(self, received: Received) -> Reply:
        """Return the reply, from the stream or from the body.

        Raises:
            Forgotten: the server refused the session or the era; the request can be sent again.
            UpstreamCredentialRefused: 401 or 403.
            UpstreamBadReply: anything else that is no reply to this request.
        """
        if self.reply is not None:
            return self.reply
        _refuse_outright(self._server, received)
        incoming = messages.read_incoming(received.body) if received.media == JSON else None
        if _is_forgotten(received.status, incoming, self.id):
            raise Forgotten(self._server, received.status)
        reply = None if incoming is None or incoming.id != self.id else incoming.reply
        if reply is not None and (received.status < 300 or isinstance(reply, Fault)):
            return reply
        raise _no_reply(self._server, received, incoming)


def refuse_status(server: str, received: Received) -> None:
    """Refuse a reply to a notification that is not 2xx; its body does not matter.

    Raises:
        UpstreamCredentialRefused: 401 or 403.
        UpstreamBadReply: any other status.
    """
    _refuse_outright(server, received)
    if received.status >= 300:
        raise _no_reply(server, received, None)


def _refuse_outright(server: str, received: Received) -> None:
    status = received.status
    if status in (401, 403):
        raise UpstreamCredentialRefused(
            f"{server} refused the credential that is configured for it ({status})",
            fix="check the headers of this server in the configuration",
        )
    if 300 <= status < 400:
        raise StatusReply(server, status)
    if received.encoding not in (b"", b"identity"):
        raise bad_reply(server, "answered in a content encoding that was not asked for")


def _is_forgotten(status: int, incoming: Incoming | None, id: bytes) -> bool:
    """Tell a lost session or era from an answer.

    MCP 2025-11-25 (transports) wants 404 for a lost session; some servers answer 400 with an error of
    their own instead. A server that was replaced by one of another era refuses the path, or the session.
    """
    if status not in (400, 404, 405):
        return False
    fault = None if incoming is None else incoming.reply
    if incoming is None or not isinstance(fault, Fault):
        return status != 400
    if fault.code in _SESSION_CODES and _SESSION_WORDS.search(fault.message):
        return True
    return status == 404 and incoming.id != id


def _no_reply(server: str, received: Received, incoming: Incoming | None) -> UpstreamBadReply:
    status = received.status
    if status >= 300:
        return StatusReply(server, status)
    if received.media == JSON:
        return bad_reply(server, _json_problem(received.body, incoming))
    if received.media == EVENTS:
        return bad_reply(server, "opened a stream where none was asked for")
    if not received.body:
        return bad_reply(server, f"accepted the request without answering it ({status})")
    return bad_reply(server, "answered with a media type that is neither JSON nor an event stream")


def _json_problem(body: bytes, incoming: Incoming | None) -> str:
    if not body:
        return "answered with an empty body"
    if body.lstrip()[:1] == b"[":
        return "answered with a batch, which is not accepted"
    if incoming is None:
        return "answered with something that is no JSON-RPC message"
    if incoming.reply is None:
        return "answered with a message that is no reply"
    return "answered with the id of another request"
