"""The answers that end a request before it reaches a server: refusals and errors, each in its one form."""

from __future__ import annotations

import json
from typing import Final

from coatcheck.core.wire import messages
from coatcheck.model.call import Call, Fault
from coatcheck.ports import Refused

RawHeaders = list[tuple[bytes, bytes]]

_CLOSE: Final = (b"connection", b"close")


class Reject(Exception):
    """A complete HTTP answer, raised from wherever the request turned out to be unacceptable.

    `sentence` says why, for the record; `call` is the request refused, where it could be read. `recorded`
    False marks what is counted only: nothing that a caller wanted was refused.
    """

    call: Call | None = None
    recorded = True

    def __init__(self, status: int, body: bytes, headers: RawHeaders, sentence: str) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers
        self.sentence = sentence


def problem(status: int, error: str, sentence: str, *headers: tuple[bytes, bytes]) -> Reject:
    """Return an answer that is no JSON-RPC: `{"error", "error_description"}` (the form of RFC 6749)."""
    body = json.dumps({"error": error, "error_description": sentence}).encode()
    return Reject(status, body, list(headers), sentence)


def misframed(status: int, sentence: str) -> Reject:
    """Return the answer to a head or body that was not read to its end; the connection closes."""
    return problem(status, "bad_request", sentence, _CLOSE)


def rpc(status: int, fault: Fault, id: bytes | None = None) -> Reject:
    """Return a JSON-RPC error; `id` None where it could not be read (JSON-RPC 2.0, section 5)."""
    return Reject(status, messages.response(id or b"null", fault), [], f"{fault.code}: {fault.message}")


def rpc_call(status: int, fault: Fault, call: Call) -> Reject:
    """Return a JSON-RPC error that answers a request which could be read."""
    reject = rpc(status, fault, call.id)
    reject.call = call
    return reject


def no_session(status: int, message: messages.Message | None, sentence: str) -> Reject:
    """Return the error for a message, or a wish for a stream, that belongs to no session of the caller."""
    fault = Fault(messages.INVALID_REQUEST, sentence)
    return rpc_call(status, fault, message) if isinstance(message, Call) else rpc(status, fault)


def unknown_method(status: int, call: Call) -> Reject:
    """Return the error for a method that is not in the table of the caller's era."""
    return rpc_call(status, Fault(messages.METHOD_NOT_FOUND, f"Unknown method: {call.method[:100]}"), call)


def unauthorized(refused: Refused) -> Reject:
    """Return the 401 for a refused caller (RFC 6750 section 3).

    There is no `resource_metadata`: clients that discover OAuth drop the header they were given.
    """
    challenge = 'Bearer realm="coatcheck"'
    if refused.reason != "missing":
        plain = refused.sentence.replace("\\", "").replace('"', "'")
        challenge += f', error="invalid_token", error_description="{plain}"'
    return problem(401, "invalid_token", refused.sentence, (b"www-authenticate", challenge.encode("ascii")))


def nothing_here() -> Reject:
    """Return the 404 for a path of unknown shape."""
    return problem(404, "not_found", "There is nothing at this path.")


def no_server() -> Reject:
    """Return the 404 for a server that does not exist or is out of reach: alike for both."""
    return problem(404, "not_found", "This grant reaches no server of this name.")


def too_many_guesses() -> Reject:
    """Return the 429 for an address that presented too many unknown grants."""
    sentence = "Too many unknown grants from this address: wait a minute."
    return problem(429, "slow_down", sentence, (b"retry-after", b"60"))


def wrong_method(allowed: bytes) -> Reject:
    """Return the 405 for a method that this path does not take."""
    return problem(405, "method_not_allowed", "This path does not take this method.", (b"allow", allowed))


def stopping() -> Reject:
    """Return the 503 of a gateway that takes no new requests."""
    return counted(problem(503, "stopping", "This gateway is stopping.", _CLOSE))


def uncertain(refused: Refused) -> Reject:
    """Return the 503 of a gateway that cannot tell who was revoked."""
    return counted(problem(503, refused.reason, refused.sentence))


def sealed() -> Reject:
    """Return the 503 of a gateway that has not the key of its store; why is for operators alone."""
    return counted(
        problem(503, "sealed", "This gateway is sealed: it waits for the key of its store.", _CLOSE)
    )


def client_gone() -> Reject:
    """Return the end of a request whose body never came to its end, or broke the framing."""
    return counted(misframed(400, "The client went away."))


def counted(reject: Reject) -> Reject:
    """Mark a refusal that is not put on record: nothing that a caller wanted was refused."""
    reject.recorded = False
    return reject
