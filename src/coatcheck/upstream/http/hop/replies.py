"""Judges what came back for one request: its reply, a server that forgot us, or a failure of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from coatcheck.core.wire import messages, signs
from coatcheck.core.wire.messages import Incoming
from coatcheck.errors import UpstreamBadReply, UpstreamCredentialRefused
from coatcheck.model.call import Fault, Reply
from coatcheck.model.secret import Secret
from coatcheck.upstream.http.hop.reading import EVENTS, JSON, Received, bad_reply

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
_REASONS: Final = ("message", "error_description", "detail", "error", "title")
"""Where servers say why: JSON-RPC, OAuth (RFC 6750), problem details (RFC 9457) and their relatives."""
_LONGEST_REASON: Final = 2_000
_NOT_ACTED_ON: Final = frozenset({*range(300, 400), 400, 404, 405, 413, 415, 429})


class StatusReply(UpstreamBadReply):
    """The server answered with an HTTP `status` that says no, and with no JSON-RPC reply to our request.

    `fault` is the JSON-RPC error that it sent instead, under no id or another; it is not for callers.
    """

    status: int

    def __init__(self, server: str, status: int, fault: Fault | None = None) -> None:
        sentence, fix = _STATUS.get(status, (f"failed with status {status}", ""))
        super().__init__(f"{server} {sentence}", fix=fix, reached=status not in _NOT_ACTED_ON)
        self.status = status
        self.fault = fault


class Forgotten(StatusReply):
    """The server does not know the session or the era of the request, and so did not act on it."""


def read_body(server: str, id: bytes, received: Received, *, session: bool) -> Reply:
    """Return the reply to our request `id` from a body; `session`: the request named one.

    Raises:
        Forgotten: the server refused the session or the era; the request can be sent again.
        UpstreamCredentialRefused: 401 or 403.
        UpstreamBadReply: anything else that is no reply to this request.
    """
    incoming = messages.read_incoming(received.body) if received.media == JSON else None
    if received.status >= 300 and is_forgotten(received, incoming, id, session=session):
        raise Forgotten(server, received.status, _fault_of(incoming))
    _refuse_outright(server, received)
    reply = None if incoming is None or incoming.id != id else incoming.reply
    if reply is not None and (received.status < 300 or isinstance(reply, Fault)):
        return reply
    raise _no_reply(server, received, incoming)


def is_forgotten(received: Received, incoming: Incoming | None, id: bytes, *, session: bool) -> bool:
    """Tell whether the server does not know the session or the era that a request was sent under."""
    ours = incoming is not None and incoming.id == id
    fault = _fault_of(incoming)
    return signs.is_session_lost(received.status, fault, received.body, ours=ours, session=session)


def _fault_of(incoming: Incoming | None) -> Fault | None:
    reply = None if incoming is None else incoming.reply
    return reply if isinstance(reply, Fault) else None


def refuse_status(server: str, received: Received, *, session: bool = False) -> None:
    """Refuse a reply to a notification that is not 2xx; `session`: the notification named one.

    Raises:
        Forgotten: the server refused the session.
        UpstreamCredentialRefused: 401 or 403.
        UpstreamBadReply: any other status.
    """
    incoming = messages.read_incoming(received.body) if received.media == JSON else None
    if session and is_forgotten(received, incoming, b"", session=True):
        raise Forgotten(server, received.status)
    _refuse_outright(server, received)
    if received.status >= 300:
        raise StatusReply(server, received.status)


def _refuse_outright(server: str, received: Received) -> None:
    status = received.status
    if status in (401, 403):
        refused = UpstreamCredentialRefused(
            f"{server} refused the credential that is configured for it ({status})",
            fix="see `coatcheck credential list`, and rotate the one that fails",
        )
        refused.status, refused.said = status, _said(received)
        raise refused
    if 300 <= status < 400:
        raise StatusReply(server, status)
    if received.encoding not in (b"", b"identity"):
        raise bad_reply(server, "answered in a content encoding that was not asked for")


def _said(received: Received) -> Secret | None:
    """Return what the server gives as its reason in a JSON body, in one of the usual places."""
    members = messages.members_of(received.body) if received.media == JSON else None
    if members is None:
        return None
    nested = messages.members_of(members.get("error", b"")) or {}
    found = (messages.text_of(place.get(name)) for place in (nested, members) for name in _REASONS)
    said = next(filter(None, found), None)
    if said is not None and len(said) > _LONGEST_REASON:
        said = said[:_LONGEST_REASON].rpartition(" ")[0]  # half of a secret would not be known for one
    return Secret(said) if said else None


def _no_reply(server: str, received: Received, incoming: Incoming | None) -> UpstreamBadReply:
    status = received.status
    if status >= 300:
        return StatusReply(server, status, _fault_of(incoming))
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
