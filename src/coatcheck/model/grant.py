"""A grant: what a caller presents to us, and the principal it makes of that caller."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from coatcheck.model.server import Source


def in_scope(servers: frozenset[UUID] | None, server: UUID) -> bool:
    """Tell whether a scope holds a server; None holds every server, those that come later, too."""
    return servers is None or server in servers


@dataclass(frozen=True, slots=True)
class Grant:
    """A labelled, revocable bearer token. The token itself is never kept, only what it allows.

    `digest` is the SHA-256 of the whole token as 64 hexadecimal digits; `id` and `label` are public.
    `servers` None means every server.
    """

    id: str
    label: str
    subject: str
    digest: str
    roles: frozenset[str] = frozenset()
    servers: frozenset[UUID] | None = None
    source: Source = Source.FILE

    def may_reach(self, server: UUID) -> bool:
        """Tell whether its scope holds this server."""
        return in_scope(self.servers, server)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is kept of one token: its public id, an HMAC of the whole, and until when it is good.

    `until` None: as long as the grant. The former token of a rotated grant has an end of its own.
    """

    token_id: str
    hmac: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A link by which an owner fetches the token: it is made when the link is used, once."""

    code_hmac: str
    until: datetime


@dataclass(frozen=True, slots=True)
class IssuedGrant:
    """A grant that an operator issued, as the store keeps it.

    `servers` None means every server, `tools` None every tool; `tools` are globs over `server__tool`.
    `proofs` are at most two, the newest first; none until a claim was used. Times are UTC.
    `version` counts the changes, from 1.
    """

    id: str
    label: str
    subject: str
    servers: frozenset[UUID] | None
    tools: tuple[str, ...] | None
    proofs: tuple[Proof, ...]
    issued_at: datetime
    issued_by: str
    expires_at: datetime | None
    claim: Claim | None = None
    revoked_at: datetime | None = None
    revoked_by: str = ""
    because: str = ""
    note: str = ""
    version: int = 1

    def may_reach(self, server: UUID) -> bool:
        """Tell whether its scope holds this server."""
        return in_scope(self.servers, server)

    def is_over(self, now: datetime) -> bool:
        """Tell whether it was revoked or has expired."""
        return self.revoked_at is not None or self.expired_by(now)

    def expired_by(self, moment: datetime) -> bool:
        """Tell whether its time was over at a moment."""
        return self.expires_at is not None and self.expires_at <= moment


@dataclass(frozen=True, slots=True)
class Seen:
    """When and by what a grant was last used; kept beside the grant, and not under its MAC."""

    grant_id: str
    at: datetime
    address: str
    client: str
    """Name and version that the client gave, such as `claude-code 2.4`."""


class Voucher(StrEnum):
    """Who vouches for a principal: a grant, a trusted proxy's header, the machine itself, or no one."""

    GRANT = "grant"
    FORWARDED = "forwarded"
    LOCAL = "local"
    NONE = "none"


class Principal(msgspec.Struct, frozen=True):
    """Who is calling now. Made by an identifier and by nothing else; there is no default principal."""

    subject: str
    roles: frozenset[str]
    grant_id: str
    grant_label: str
    voucher: Voucher
    servers: frozenset[UUID] | None = None
    tools: tuple[str, ...] | None = None
    """Globs over `server__tool` that the grant is narrowed to; None: to nothing."""

    def may_reach(self, server: UUID) -> bool:
        """Tell whether the grant's scope holds this server."""
        return in_scope(self.servers, server)


ANONYMOUS = Principal("anonymous", frozenset(), "anonymous", "anonymous", Voucher.NONE)
"""The caller without a token, where the configuration serves such callers (loopback only)."""
