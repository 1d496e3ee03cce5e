"""How many children clients may have for themselves: per grant and in all. Idle ones make room for others."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from coatcheck.errors import Busy
from coatcheck.model.grant import Principal
from coatcheck.model.server import Server, StdioReach


@dataclass(frozen=True, slots=True)
class PlaceLimits:
    """Children that belong to one client's session: of one grant, and of all together."""

    per_grant: int = 8
    total: int = 64


class Tenant(Protocol):
    """Who has children: a conversation."""

    principal: Principal

    def is_idle(self, server_id: UUID) -> bool:
        """Tell whether its child of a server could be ended without loss."""
        ...

    def end_own(self, server_id: UUID) -> None:
        """End its child of a server; this leaves the place."""
        ...


_Place = tuple[Tenant, UUID]


class Places:
    """The places taken, least recently used first. Servers over HTTP need none: sessions are cheap."""

    def __init__(self, limits: PlaceLimits) -> None:
        self._limits = limits
        self._taken: OrderedDict[_Place, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, tenant: Tenant, server: Server) -> None:
        """Take a place, ending an idle child over a limit.

        Raises:
            Busy: every child that could make room is in use.
        """
        if not isinstance(server.reach, StdioReach):
            return
        grant_id = tenant.principal.grant_id
        if self._limits.per_grant <= sum(owner == grant_id for owner in self._taken.values()):
            self._make_room(grant_id)
        elif self._limits.total <= len(self._taken):
            self._make_room(None)
        self._taken[tenant, server.id] = grant_id

    def touch(self, tenant: Tenant, server: Server) -> None:
        """Take note that a place is in use."""
        if (tenant, server.id) in self._taken:
            self._taken.move_to_end((tenant, server.id))

    def leave(self, tenant: Tenant, server: Server) -> None:
        """Give a place back."""
        self._taken.pop((tenant, server.id), None)

    def _make_room(self, grant_id: str | None) -> None:
        for (tenant, server_id), owner in self._taken.items():
            if grant_id in {None, owner} and tenant.is_idle(server_id):
                tenant.end_own(server_id)
                return
        whose = "of this grant" if grant_id else "of all clients"
        limit = self._limits.per_grant if grant_id else self._limits.total
        raise Busy(
            f"All {limit} servers that run for single sessions {whose} are in use.",
            fix="close sessions that are no longer needed, or raise children_per_grant or children_total",
        )
