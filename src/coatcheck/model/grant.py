"""A grant: what a caller presents to us, and the principal it makes of that caller."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from coatcheck.model.server import Source


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


class Voucher(StrEnum):
    """Who vouches for a principal: a grant, a trusted proxy's header, the machine itself, or no one."""

    GRANT = "grant"
    FORWARDED = "forwarded"
    LOCAL = "local"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling now. Made by an identifier and by nothing else; there is no default principal."""

    subject: str
    roles: frozenset[str]
    grant_id: str
    grant_label: str
    voucher: Voucher
    servers: frozenset[UUID] | None = None

    def may_reach(self, server: UUID) -> bool:
        """Tell whether the grant's scope holds this server."""
        return self.servers is None or server in self.servers


ANONYMOUS = Principal("anonymous", frozenset(), "anonymous", "anonymous", Voucher.NONE)
"""The caller without a token, where the configuration serves such callers (loopback only)."""
