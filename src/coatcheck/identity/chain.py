"""The chain of identifiers that the configuration asks for: the first that vouches or refuses decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from coatcheck.core.tokens import Pepper
from coatcheck.core.wire import peers
from coatcheck.identity.forwarded import ForwardedIdentifier
from coatcheck.identity.grants import UNKNOWN, FileGrants, GrantIdentifier, IssuedGrants
from coatcheck.identity.presented import read_bearer
from coatcheck.model.declaration import Provider
from coatcheck.model.grant import ANONYMOUS, Grant, Principal
from coatcheck.model.known import Known
from coatcheck.model.subject import Subject
from coatcheck.ports import Clock, Identified, Identifier, NotMine, Presented, Refused

MISSING: Final = (
    "No grant was presented: send `Authorization: Bearer <grant>`. Ask whoever runs this gateway."
)

_DISABLED: Final = "This account is disabled here. Ask whoever runs this gateway."
_NO_SUBJECTS: Final[Mapping[str, Subject]] = MappingProxyType({})
_NO_GRANTS: Final[Mapping[str, Grant]] = MappingProxyType({})

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
    """Asks each identifier in order. Ends in a refusal: nobody is someone by default.

    Whoever vouches, a subject that is disabled is refused, and one that is stored has its own roles as well.
    """

    def __init__(
        self, identifiers: Sequence[Identifier], subjects: Mapping[str, Subject] = _NO_SUBJECTS
    ) -> None:
        self._identifiers = tuple(identifiers)
        self._subjects = subjects

    def identify(self, presented: Presented) -> Principal | Refused:
        """Return who is calling, or the refusal owed."""
        found = self._ask(presented)
        if isinstance(found, Refused):
            return found
        subject = self._subjects.get(found.subject)
        if subject is None:
            return found
        if subject.disabled:
            return Refused("disabled", _DISABLED, found.grant_id)
        return replace(found, roles=found.roles | subject.roles) if subject.roles else found

    def _ask(self, presented: Presented) -> Principal | Refused:
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


def chain_for(known: Known, pepper: Pepper, clock: Clock) -> Chain:
    """Build the chain for one snapshot; it costs the same however many grants there are.

    Grants that operators issued are asked for where the file says `bearer`, else last. Where it names no
    provider, callers without a token are anonymous only if `known` says so.
    """
    providers = known.rules.providers or ((Provider.NONE,) if known.anonymous else ())
    issued = IssuedGrants(known.issued, pepper, clock)
    made: list[Identifier] = []
    for provider in providers:
        if provider is Provider.BEARER:
            made.append(GrantIdentifier(FileGrants(known.live, known.ended), issued))
        elif provider is Provider.FORWARDED:
            made.append(ForwardedIdentifier(known.rules.forwarded))
        else:
            made.append(AnonymousIdentifier())
    if Provider.BEARER not in providers:
        made.append(GrantIdentifier(FileGrants(_NO_GRANTS, _NO_GRANTS), issued))
    return Chain(made, known.subjects)
