"""JSON-RPC 2.0 messages: reading what callers and servers send, writing what we send.

Callers are read strictly (`read_message`), servers leniently but bounded (`read_incoming`): a caller's bytes
decide what happens, a server's bytes are only relayed. Values stay raw JSON bytes in both directions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from coatcheck.core.wire import strict
from coatcheck.errors import AmbiguousJson, BadJson, CallerError
from coatcheck.model.call import NO_PARAMS, Call, Fault, Reply, Result

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

MAX_ID_CHARS: Final = 256
MAX_ID_INTEGER: Final = 2**53 - 1

_REQUEST_MEMBERS = frozenset({"jsonrpc", "id", "method", "params"})
_REPLY_MEMBERS = frozenset({"jsonrpc", "id", "result", "error"})
_KNOWN_MEMBERS = _REQUEST_MEMBERS | _REPLY_MEMBERS
_KNOWN_PARAMS = frozenset(
    {"name", "uri", "arguments", "_meta", "cursor", "ref", "argument", "context", "requestId"}
)

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode
_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]*)\Z")
_NOT_READ = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_LONG_EXPONENT = re.compile(rb"[0-9][eE][+-]?[0-9]{3}")


class Unreadable(CallerError):
    """A body that is no acceptable message: the JSON-RPC `number` and, if it was readable, the `id`."""

    code = "unreadable"

    def __init__(self, number: int, message: str, id: bytes | None = None) -> None:
        super().__init__(message)
        self.number = number
        self.id = id


class CallerNotice(msgspec.Struct, frozen=True):
    """A notification from a caller: no answer is owed."""

    method: str
    params: Mapping[str, bytes] = NO_PARAMS


class CallerReply(msgspec.Struct, frozen=True):
    """A caller's reply to a request that a server made of it."""

    id: bytes
    reply: Reply


Message = Call | CallerNotice | CallerReply


# --- reading callers -------------------------------------------------------------------------------


def read_message(body: bytes) -> Message:
    """Read one message of a caller. Batches are refused for every protocol version.

    Raises:
        Unreadable: with the JSON-RPC error number owed (JSON-RPC 2.0 section 5.1).
    """
    plain = _read_plain(body)
    if plain is not None:
        return plain
    envelope = _read_envelope(body)
    id = envelope.get("id")
    try:
        return _read_kind(envelope, id)
    except Unreadable as error:
        if id is not None and error.id is None and _is_id(id):
            error.id = id
        raise


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    jsonrpc: Literal["2.0"]
    id: msgspec.Raw
    method: str
    params: dict[str, msgspec.Raw]


_request = msgspec.json.Decoder(_Request)


def _read_plain(body: bytes) -> Call | None:
    """Read a request as nearly all are, at a third of the cost; None for whatever else it may be."""
    if not strict.is_canonical(body):
        return None
    try:
        read = _request.decode(body)
        meta = _members.decode(read.params.pop("_meta", b"{}"))
    except _NOT_READ:
        return None
    id = bytes(read.id)
    if not _is_id(id) or not _KNOWN_PARAMS.issuperset(read.params):
        return None
    return Call(
        id,
        read.method,
        {name: bytes(raw) for name, raw in read.params.items()},
        {name: bytes(raw) for name, raw in meta.items()},
    )


def _read_envelope(body: bytes) -> dict[str, bytes]:
    try:
        value = strict.read(body)
        if isinstance(value, list):
            raise AmbiguousJson("batches are not accepted: send one message in a request")
        if not isinstance(value, dict):
            raise AmbiguousJson("the body must be one JSON-RPC object")
        strict.refuse_look_alikes(value, _KNOWN_MEMBERS, "the message")
    except BadJson as error:
        raise Unreadable(PARSE_ERROR, error.message) from None
    except AmbiguousJson as error:
        raise Unreadable(INVALID_REQUEST, error.message) from None
    return {name: bytes(raw) for name, raw in _members.decode(body).items()}


def _read_kind(envelope: dict[str, bytes], id: bytes | None) -> Message:
    if envelope.get("jsonrpc") != b'"2.0"':
        raise Unreadable(INVALID_REQUEST, 'the message needs "jsonrpc": "2.0"')
    if id is not None and not _is_id(id):
        raise Unreadable(INVALID_REQUEST, "the id must be a short string or an integer below 2^53")
    allowed = _REQUEST_MEMBERS if "method" in envelope else _REPLY_MEMBERS
    if not allowed.issuperset(envelope):
        extra = min(envelope.keys() - allowed)
        raise Unreadable(INVALID_REQUEST, f"the message has a member that does not belong: {extra[:80]!r}")
    if "method" in envelope:
        return _read_request(envelope, id)
    return _read_reply(envelope, id)


def _read_request(envelope: dict[str, bytes], id: bytes | None) -> Call | CallerNotice:
    method = text_of(envelope["method"])
    if method is None:
        raise Unreadable(INVALID_REQUEST, "the method must be a string")
    params: dict[str, bytes] = {}
    if "params" in envelope:
        found = members_of(envelope["params"])
        if found is None:
            raise Unreadable(INVALID_REQUEST, "params must be an object")
        try:
            strict.refuse_look_alikes(found, _KNOWN_PARAMS, "params")
        except AmbiguousJson as error:
            raise Unreadable(INVALID_REQUEST, error.message) from None
        params = found
    if id is None:
        return CallerNotice(method, params)
    meta = params.pop("_meta", None)
    if meta is None:
        return Call(id, method, params)
    members = members_of(meta)
    if members is None:
        raise Unreadable(INVALID_PARAMS, "params._meta must be an object")
    return Call(id, method, params, members)


def _read_reply(envelope: dict[str, bytes], id: bytes | None) -> CallerReply:
    if id is None or ("result" in envelope) == ("error" in envelope):
        raise Unreadable(INVALID_REQUEST, "the message is neither a request nor a notification nor a reply")
    if "result" in envelope:
        return CallerReply(id, Result(envelope["result"]))
    fault = _read_fault(envelope["error"])
    if fault is None:
        raise Unreadable(INVALID_REQUEST, "the error of a reply needs an integer code and a message")
    return CallerReply(id, fault)


def _is_id(raw: bytes) -> bool:
    if _INTEGER.match(raw):
        return len(raw) <= 17 and abs(int(raw)) <= MAX_ID_INTEGER
    text = text_of(raw)
    return text is not None and len(text) <= MAX_ID_CHARS and text.isprintable()


# --- reading servers -------------------------------------------------------------------------------


class Incoming(msgspec.Struct, frozen=True):
    """A server's message. A reply has `reply`; a request has `method` and `id`; a notification `method`."""

    id: bytes | None
    method: str | None = None
    params: bytes = b"{}"
    reply: Reply | None = None


class _ErrorShape(msgspec.Struct):
    code: Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
    message: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Shape(msgspec.Struct):
    jsonrpc: str
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    method: str | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _ErrorShape | msgspec.UnsetType | None = msgspec.UNSET  # some servers write null beside a result


_shape = msgspec.json.Decoder(_Shape)
_error_shape = msgspec.json.Decoder(_ErrorShape)


def read_incoming(body: bytes) -> Incoming | None:
    """Read one message of a server, or return None for anything that is not one (also for batches).

    Text is checked to be UTF-8 and numbers to fit a double, since the decoder skips both in raw values.
    """
    try:
        if not body.isascii():
            body.decode("utf-8")
        if _LONG_EXPONENT.search(body):
            strict.refuse_wide_numbers(body)
        shape = _shape.decode(body)
    except (*_NOT_READ, BadJson):
        return None
    if shape.jsonrpc != "2.0":
        return None
    return _incoming_of(shape)


def _incoming_of(shape: _Shape) -> Incoming | None:
    id = None if isinstance(shape.id, msgspec.UnsetType) else bytes(shape.id)
    if not isinstance(shape.method, msgspec.UnsetType):
        params = b"{}" if isinstance(shape.params, msgspec.UnsetType) else bytes(shape.params)
        if params == b"null":
            params = b"{}"
        return Incoming(id, shape.method, params) if params.startswith(b"{") else None
    if isinstance(shape.error, _ErrorShape):
        return Incoming(id, reply=_fault_of(shape.error))
    if isinstance(shape.result, msgspec.UnsetType):
        return None
    result = bytes(shape.result)
    return Incoming(id, reply=Result(result)) if result.startswith(b"{") else None


def _fault_of(error: _ErrorShape) -> Fault:
    data = None if isinstance(error.data, msgspec.UnsetType) else bytes(error.data)
    return Fault(error.code, error.message, data)


def _read_fault(raw: bytes) -> Fault | None:
    try:
        return _fault_of(_error_shape.decode(raw))
    except msgspec.DecodeError:
        return None


# --- raw values --------------------------------------------------------------------------------------


def members_of(raw: bytes) -> dict[str, bytes] | None:
    """Return the members of a JSON object, each raw, in their order; None if it is not an object."""
    try:
        return {name: bytes(value) for name, value in _members.decode(raw).items()}
    except _NOT_READ:
        return None


def items_of(raw: bytes) -> list[bytes] | None:
    """Return the items of a JSON array, each raw; None if it is not an array."""
    try:
        return [bytes(value) for value in _items.decode(raw)]
    except _NOT_READ:
        return None


def text_of(raw: bytes | None) -> str | None:
    """Return a JSON string decoded; None if there is none or it is not a string."""
    if raw is None or not raw.startswith(b'"'):
        return None
    try:
        return _text.decode(raw)
    except _NOT_READ:
        return None


def raw_of(value: Any) -> bytes:
    """Write a value of plain Python types as JSON."""
    return _encode(value)


def object_of(members: Mapping[str, bytes]) -> bytes:
    """Write an object from raw members, in their order."""
    return b"{%b}" % b",".join([b"%b:%b" % (_encode(name), raw) for name, raw in members.items()])


# --- writing -------------------------------------------------------------------------------------------


def request(id: bytes, method: str, params: Mapping[str, bytes]) -> bytes:
    """Write a request. `id` is a JSON lexeme, `params` raw members."""
    return b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":%b}' % (id, _encode(method), object_of(params))


def notification(method: str, params: bytes = b"{}") -> bytes:
    """Write a notification with raw params."""
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}' % (_encode(method), params)


def response(id: bytes, reply: Reply) -> bytes:
    """Write the response to a request, with the id as it came."""
    if isinstance(reply, Result):
        return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, reply.raw)
    data = b"" if reply.data is None else b',"data":%b' % reply.data
    error = b'{"code":%d,"message":%b%b}' % (reply.code, _encode(reply.message), data)
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (id, error)
