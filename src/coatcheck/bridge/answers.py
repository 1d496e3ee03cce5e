"""Reading what a gateway sends back over HTTP: the reply to a request, or the words for why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from coatcheck.bridge.trouble import BadAnswer, Lost, Refused, Trouble
from coatcheck.core.wire import messages
from coatcheck.model.call import Fault, Reply

EVENTS: Final = "text/event-stream"
_MAX_SENTENCE: Final = 500
_URL: Final = (
    "check the URL: it ends in /mcp for every server, or in /mcp/NAME/ for one that your grant reaches"
)
_NO_GATEWAY: Final = "check that the URL is that of a Coatcheck gateway; it ends in /mcp or in /mcp/NAME/"
_LATER: Final = "try again later, or see what the gateway has logged"
_MAY_HAVE: Final = "the request may have been acted on; look before you repeat it"
_OF_A_PROXY: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Replied:
    """The reply to a request, and the line that tells the client."""

    reply: Reply
    line: bytes


def one_line(message: bytes) -> bytes:
    """Return a JSON message on one line: line ends can only stand between its values, where a blank can."""
    return message.replace(b"\r", b" ").replace(b"\n", b" ")


def id_key(id: bytes | None) -> bytes:
    r"""Return an id in one spelling, so that `"a"` is known again as `"\u0061"`."""
    text = messages.text_of(id)
    return (id or b"null").strip() if text is None else messages.raw_of(text)


def is_for(incoming: messages.Incoming, id: bytes) -> bool:
    """Tell whether a message replies to our request; an error may lack the id (JSON-RPC 2.0, section 5)."""
    if incoming.reply is None:
        return False
    if incoming.id in {None, b"null"}:
        return isinstance(incoming.reply, Fault)
    return id_key(incoming.id) == id_key(id)


def replied(incoming: messages.Incoming, message: bytes, id: bytes) -> Replied:
    """Return the reply that `is_for` found, under the id that the client gave."""
    assert incoming.reply is not None  # noqa: S101  # for the type checker: `is_for` saw to it
    if incoming.id == id:
        return Replied(incoming.reply, one_line(message))
    return Replied(incoming.reply, one_line(messages.response(id, incoming.reply)))


def read_body(status: int, body: bytes, id: bytes) -> Replied:
    """Read the body of an answer that is no stream of events.

    Raises:
        BadAnswer: a success that is no reply to this request.
        Refused, Lost: an HTTP error that is no JSON-RPC error; `Lost` if the request may have got further.
    """
    incoming = messages.read_incoming(body)
    if incoming is not None and is_for(incoming, id):
        return replied(incoming, body, id)
    if 200 <= status < 300:
        raise BadAnswer("what came back is no JSON-RPC reply to this request", fix=_NO_GATEWAY)
    raise refusal(status, body)


def sentence_in(body: bytes) -> str:
    """Return what the gateway says in `{"error", "error_description"}` (RFC 6749), or ""."""
    members = messages.members_of(body) or {}
    text = messages.text_of(members.get("error_description")) or ""
    plain = "".join(char if char.isprintable() else " " for char in text[:_MAX_SENTENCE])
    return plain.strip().removesuffix(".")


def says_stopping(body: bytes) -> bool:
    """Tell whether this is the 503 of a gateway that is about to end, and so did nothing with the request."""
    return messages.text_of((messages.members_of(body) or {}).get("error")) == "stopping"


def refusal(status: int, body: bytes) -> Trouble:
    """Return the trouble for an HTTP error that is no JSON-RPC error, a 401 aside."""
    said = sentence_in(body)
    if 300 <= status < 400:
        return Refused(
            "the URL leads to another one, and a grant does not follow",
            fix="use the URL at which the gateway itself answers",
        )
    if status == 404:
        return Refused(said or "there is no MCP server at this URL", fix=_URL)
    if status == 405 and not said:
        return Refused("the URL takes no messages", fix=_NO_GATEWAY)
    if said:
        return Refused(f"{said} (HTTP status {status})")
    if status in _OF_A_PROXY:
        return Lost(f"HTTP status {status} came instead of an answer", fix=_MAY_HAVE)
    return Refused(
        f"HTTP status {status} came instead of an answer", fix=_LATER if status > 499 else _NO_GATEWAY
    )


def unauthorized(body: bytes, origin: str, mend: str) -> Refused:
    """Return the trouble for a 401: the gateway's sentence, where the grant came from, what to do."""
    said = sentence_in(body) or "the gateway does not accept the grant"
    return Refused(f"{said} (the grant came from {origin})", fix=mend)
