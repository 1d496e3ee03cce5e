"""What keeps a request from its answer, sorted by whether the gateway may have acted on it."""

from __future__ import annotations

from coatcheck.core.wire import messages
from coatcheck.errors import CoatcheckError
from coatcheck.model.call import Fault


class Trouble(CoatcheckError):
    """A request that gets no answer of the gateway. Message and fix go to the client."""

    code = "bridge"


class Unreached(Trouble):
    """There was no connection, so nothing was sent. `lasting`: another attempt would end the same way."""

    code = "gateway_unreached"

    def __init__(self, message: str, *, fix: str = "", lasting: bool = False) -> None:
        super().__init__(message, fix=fix)
        self.lasting = lasting


class Lost(Trouble):
    """The connection ended after the request was sent and before its answer: it may have been acted on."""

    code = "gateway_lost"


class Refused(Trouble):
    """The gateway refused the request, and gave a reason that is no JSON-RPC error."""

    code = "gateway_refused"


class BadAnswer(Trouble):
    """What came back is no answer, or is longer than the limit."""

    code = "gateway_bad_answer"


class SessionGone(Trouble):
    """The gateway does not know the session (any more), so it did nothing with the request."""

    code = "session_gone"


def fault_of(trouble: Trouble) -> Fault:
    """Return the JSON-RPC error that tells a client; `data.bridge` is true as the gateway did not say it."""
    told = f"coatcheck bridge: {trouble.message}" + (f". {_sentence(trouble.fix)}" if trouble.fix else "")
    return Fault(messages.INTERNAL_ERROR, told, messages.raw_of({"bridge": True, "code": trouble.code}))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."
