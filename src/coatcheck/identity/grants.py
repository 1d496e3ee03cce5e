"""Telling callers by the grant they present: looked up by digest, compared in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

from coatcheck.core import tokens
from coatcheck.identity.presented import read_bearer
from coatcheck.model.grant import Grant, Principal, Voucher
from coatcheck.ports import Identified, NotMine, Presented, Refused

UNKNOWN: Final = "This grant is not known here. Ask whoever runs this gateway for a new one."
_MISTYPED: Final = "This grant is damaged: its checksum does not agree, so characters are missing or changed."
_ENDED: Final = "This grant was revoked. Ask whoever runs this gateway for a new one."
_NOBODY: Final[tuple[str, Principal | None]] = ("0" * 64, None)
"""What an unknown token is compared with, so that it costs as much as a known one."""


class GrantIdentifier:
    """Knows the grants that are live, by the SHA-256 of their tokens, and those that ended."""

    def __init__(self, live: Mapping[str, Grant], ended: Mapping[str, Grant]) -> None:
        self._live = {digest: (grant.digest, principal_of(grant)) for digest, grant in live.items()}
        self._ended = ended

    def identify(self, presented: Presented) -> Identified:
        """Return the principal of the grant presented; `NotMine` if no token is."""
        bearer = read_bearer(presented)
        if bearer is None:
            return NotMine()
        if isinstance(bearer, Refused):
            return bearer
        digest = tokens.digest(bearer.token)
        known, principal = self._live.get(digest, _NOBODY)
        if hmac.compare_digest(known, digest) and principal is not None:
            return principal
        return self._refuse(bearer.token, digest)

    def _refuse(self, token: str, digest: str) -> Refused:
        trace = f"sha256:{digest[:12]}"
        if digest in self._ended:
            return Refused("revoked", _ENDED, self._ended[digest].id)
        if tokens.looks_like_ours(token) and not tokens.is_well_formed(token):
            return Refused("malformed", _MISTYPED, trace)
        if kind := tokens.foreign_kind(token):
            sentence = f"This is a {kind}, not a grant. It was just sent over the network: rotate it now."
            return Refused("foreign", sentence, trace)
        return Refused("unknown", UNKNOWN, trace, guess=True)


def principal_of(grant: Grant) -> Principal:
    """Return who is calling when this grant is presented."""
    return Principal(grant.subject, grant.roles, grant.id, grant.label, Voucher.GRANT, grant.servers)
