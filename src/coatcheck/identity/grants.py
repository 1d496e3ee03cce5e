"""Telling callers by the grant they present: one look-up, one comparison in constant time, then the clock."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

from coatcheck.core import tokens
from coatcheck.core.tokens import Pepper
from coatcheck.identity.presented import read_bearer
from coatcheck.model.grant import Grant, IssuedGrant, Principal, Proof, Voucher
from coatcheck.ports import STRANGER, Clock, Identified, NotMine, Presented, Refused

UNKNOWN: Final = "This grant is not known here. Ask whoever runs this gateway for a new one."
_MISTYPED: Final = "This grant is damaged: its checksum does not agree, so characters are missing or changed."
_ENDED: Final = "This grant was revoked. Ask whoever runs this gateway for a new one."
_EXPIRED: Final = "This grant has expired. Ask whoever runs this gateway for a new one."
_ROTATED: Final = "This grant has a new token and this is its old one. Ask whoever runs this gateway for it."


class FileGrants:
    """The grants that the file declares, by the SHA-256 of their tokens; those that ended are told so."""

    def __init__(self, live: Mapping[str, Grant], ended: Mapping[str, Grant]) -> None:
        self._live = live
        self._ended = ended

    def find(self, digest: str) -> Principal | Refused | None:
        """Return whose token has this digest; None: no grant of the file."""
        grant = self._live.get(digest)
        if hmac.compare_digest(grant.digest if grant else tokens.NO_PROOF, digest) and grant is not None:
            return principal_of(grant)
        if digest in self._ended:
            return Refused("revoked", _ENDED, self._ended[digest].id)
        return None


class IssuedGrants:
    """The grants that operators issued, by the public ids of their tokens."""

    def __init__(self, issued: Mapping[str, IssuedGrant], pepper: Pepper, clock: Clock) -> None:
        self._issued = issued
        self._pepper = pepper
        self._clock = clock

    def trace(self, token: str) -> str:
        """Return what stands on record for a token that is nobody's: its print."""
        return f"{STRANGER}{self._pepper.print_of(token)}"

    def find(self, token: str) -> Principal | Refused | None:
        """Return whose token this is. None: an id that nobody has, or a wrong secret, at one cost."""
        public = tokens.public_id(token)
        grant = self._issued.get(public)
        proof = _proof_of(grant, public)
        if not self._pepper.fits(token, proof.hmac if proof else "") or grant is None or proof is None:
            return None
        return self._judge(grant, proof)

    def _judge(self, grant: IssuedGrant, proof: Proof) -> Principal | Refused:
        """Say how a grant stands whose whole token was presented."""
        if grant.revoked_at is not None and not grant.expired_by(grant.revoked_at):
            return Refused("revoked", _ENDED, grant.id)
        now = self._clock.now()
        if grant.is_over(now):
            return Refused("expired", _EXPIRED, grant.id)
        if proof.until is not None and proof.until <= now:
            return Refused("rotated", _ROTATED, grant.id)
        return Principal(
            grant.subject, frozenset(), grant.id, grant.label, Voucher.GRANT, grant.servers, grant.tools
        )


class GrantIdentifier:
    """Asks the grants of both sources."""

    def __init__(self, of_file: FileGrants, issued: IssuedGrants) -> None:
        self._of_file = of_file
        self._issued = issued

    def identify(self, presented: Presented) -> Identified:
        """Return the principal of the grant presented; `NotMine` if no token is."""
        bearer = read_bearer(presented)
        if bearer is None:
            return NotMine()
        if isinstance(bearer, Refused):
            return bearer
        return self._of_file.find(tokens.digest(bearer.token)) or self._find_issued(bearer.token)

    def _find_issued(self, token: str) -> Principal | Refused:
        if tokens.looks_like_ours(token):
            if not tokens.is_well_formed(token):
                return Refused("malformed", _MISTYPED, self._issued.trace(token))
            if token.startswith(tokens.GRANT_PREFIX) and (found := self._issued.find(token)) is not None:
                return found
        elif kind := tokens.foreign_kind(token):
            sentence = f"This is a {kind}, not a grant. It was just sent over the network: rotate it now."
            return Refused("foreign", sentence, self._issued.trace(token))
        return Refused("unknown", UNKNOWN, self._issued.trace(token), guess=True)


def principal_of(grant: Grant) -> Principal:
    """Return who is calling when this grant of the file is presented."""
    return Principal(grant.subject, grant.roles, grant.id, grant.label, Voucher.GRANT, grant.servers)


def _proof_of(grant: IssuedGrant | None, public: str) -> Proof | None:
    if grant is None:
        return None
    return next((proof for proof in grant.proofs if proof.token_id == public), None)
