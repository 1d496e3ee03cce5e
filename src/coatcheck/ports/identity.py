"""Ways of telling who is calling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from coatcheck.model.grant import Principal

STRANGER: Final = "print:"
"""How the trace of what is no grant of ours begins; a keyed print of it follows."""


class Presented(msgspec.Struct, frozen=True):
    """What a request brings to be identified by: header values by lower-case name, and the peer's address.

    `peer` is the address of the TCP peer, `address` the client's after trusted proxies were taken off.
    """

    headers: Mapping[str, tuple[str, ...]]
    peer: str
    address: str


class NotMine(msgspec.Struct, frozen=True):
    """This identifier has nothing to say on the request; the next one is asked."""


class Refused(msgspec.Struct, frozen=True):
    """The request presents something of this identifier's kind, and it is bad.

    `sentence` is told to the caller, `reason` is a stable word for the record, `trace` a public id, or
    `STRANGER` and a keyed print of what was presented, never the thing itself. `guess` marks the refusals
    that are throttled: an unknown token or a wrong secret.
    """

    reason: str
    sentence: str
    trace: str = ""
    guess: bool = False


Identified = Principal | Refused | NotMine


class Identifier(Protocol):
    """One way of telling who is calling."""

    def identify(self, presented: Presented) -> Identified:
        """Judge the request; never raises for anything a caller can send."""
        ...
