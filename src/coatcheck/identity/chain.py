"""The chain of identifiers that the configuration asks for: the first that vouches or refuses decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from coatcheck.core.wire import peers
from coatcheck.identity.forwarded import ForwardedIdentifier
from coatcheck.identity.grants import UNKNOWN, GrantIdentifier
from coatcheck.identity.presented import read_bearer
from coatcheck.model.declaration import IdentityRules, Provider
from coatcheck.model.grant import ANONYMOUS, Grant, Principal
from coatcheck.ports import Identified, Identifier, NotMine, Presented, Refused

MISSING: Final = (
    "No grant was presented: send `Authorization: Bearer <grant>`. Ask whoever runs this gateway."
)

_PERHAPS_ANOTHERS: Final = frozenset({"unknown", "foreign", "malformed", "empty"})
"""Refusals that leave room for a later identifier: the header may be meant for the proxy in front."""


class AnonymousIdentifier:
    """Serves callers on this machine that present no token; a presented token is never its business."""

    def identify(self, presented: Presented) -> Identified:
        """Return the anonymous principal for a request without a token."""
        if presented.headers.get("authorization") or not peers.is_loopback(presented.address):
            return NotMine()
        return ANONYMOUS


class Chain:
    """Asks each identifier in order. Ends in a refusal: nobody is someone by default."""

    def __init__(self, identifiers: Sequence[Identifier]) -> None:
        self._identifiers = tuple(identifiers)

    def identify(self, presented: Presented) -> Principal | Refused:
        """Return who is calling, or the refusal owed."""
        refusal: Refused | None = None
        for identifier in self._identifiers:
            answer = identifier.identify(presented)
            if isinstance(answer, Principal):
                return answer
            if isinstance(answer, Refused):
                if answer.reason not in _PERHAPS_ANOTHERS:
                    return answer
                refusal = refusal or answer
        if refusal is not None:
            return refusal
        bearer = read_bearer(presented)
        if bearer is None:
            return Refused("missing", MISSING)
        return bearer if isinstance(bearer, Refused) else Refused("unknown", UNKNOWN, guess=True)


def chain_for(rules: IdentityRules, ended: Mapping[str, Grant]) -> Chain:
    """Build the chain for one configuration; without any provider, callers are anonymous."""
    made: list[Identifier] = []
    for provider in rules.providers or (Provider.NONE,):
        if provider is Provider.BEARER:
            live = {grant.digest: grant for grant in rules.grants}
            made.append(GrantIdentifier(live, ended))
        elif provider is Provider.FORWARDED:
            made.append(ForwardedIdentifier(rules.forwarded))
        else:
            made.append(AnonymousIdentifier())
    return Chain(made)
