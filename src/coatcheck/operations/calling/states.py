"""The state of requests with several rounds: what a server gives a client to keep, sealed for that client.

All callers of a server share our credential, so the server cannot tell them apart: without the seal, one
could answer for another (MCP 2026-07-28, multi round-trip requests: state is bound to its principal).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec
from msgspec.structs import replace

from coatcheck.core.policy.conditions.values import read_exact
from coatcheck.core.sealing.states import NONCE_BYTES, Seal
from coatcheck.core.wire import messages
from coatcheck.model.call import Call, Fault, Result, Target
from coatcheck.model.grant import Principal
from coatcheck.model.server import Server
from coatcheck.ports import Clock, Entropy

KEPT_SECONDS: Final = 3600.0
"""How long a client may take for one round; people take their time."""
_STATE: Final = "requestState"
_REFUSED: Final = Fault(
    messages.INVALID_PARAMS,
    "requestState is not what this request was given, or too old: make the request anew without it.",
)


class States:
    """Seals and opens `requestState`."""

    def __init__(self, seal: Seal, clock: Clock, entropy: Entropy) -> None:
        self._seal = seal
        self._clock = clock
        self._entropy = entropy

    def open(self, call: Call, principal: Principal, server: Server, target: Target) -> Call | Fault:
        """Return the call with the server's own state in place of ours, or why there is none in it."""
        if _STATE not in call.params:
            return call
        sealed = messages.text_of(call.params[_STATE])
        if sealed is None:
            return _REFUSED
        bindings = _bindings(call, principal, server, target)
        state = self._seal.open(sealed, bindings, self._clock.now().timestamp())
        if state is None:
            return _REFUSED
        return replace(call, params={**call.params, _STATE: messages.raw_of(state)})

    def seal(
        self, result: Result, call: Call, principal: Principal, server: Server, target: Target
    ) -> Result | None:
        """Return a result that asks for input with its state sealed; None if its state is no string."""
        members = messages.members_of(result.raw) or {}
        if _STATE not in members:
            return result
        state = messages.text_of(members[_STATE])
        if state is None:
            return None
        expires = self._clock.now().timestamp() + KEPT_SECONDS
        bindings = _bindings(call, principal, server, target)
        sealed = self._seal.seal(state, bindings, expires, self._entropy.token(NONCE_BYTES))
        members[_STATE] = messages.raw_of(sealed)
        return Result(messages.object_of(members))


def asks_for_input(result: Result) -> bool:
    """Tell whether a result says that the request is not done (SEP-2322)."""
    if b"input_required" not in result.raw:
        return False
    members = messages.members_of(result.raw) or {}
    return members.get("resultType") == b'"input_required"'


def _bindings(call: Call, principal: Principal, server: Server, target: Target) -> tuple[str, ...]:
    arguments = sha256(_plainly(call.params.get("arguments", b"{}"))).hexdigest()
    whom = (principal.subject, principal.grant_id, str(server.id))
    return ("state", *whom, call.method, target.name, arguments)


def _plainly(raw: bytes) -> bytes:
    """Return arguments alike, however they are written; as they are where that cannot be told."""
    try:
        return _encode(read_exact(raw))
    except (ValueError, OverflowError, RecursionError):
        return raw


_encode = msgspec.json.Encoder(decimal_format="number", order="sorted").encode
