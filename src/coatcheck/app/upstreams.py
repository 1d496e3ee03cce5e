"""Chooses the upstream for a server by how it is reached, and gives it the limits that settings ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from coatcheck.config import Config
from coatcheck.model.server import HttpReach, Server
from coatcheck.ports import Bearers, Client, Clock, Upstream
from coatcheck.upstream.auto import Found, open_by_url
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.hop.reading import ReplyLimits
from coatcheck.upstream.lacking import LackingUpstream
from coatcheck.upstream.pace import Paces
from coatcheck.upstream.stdio.child import ChildLimits
from coatcheck.upstream.stdio.starter import StdioLimits
from coatcheck.upstream.stdio.upstream import StdioUpstream


def egress_of(config: Config) -> Egress:
    """Return what may be dialled."""
    return Egress(loopback=config.http.is_loopback, private=config.allow_private)


class RealUpstreams:
    """Implements `ports.Upstreams`. `environment` is the gateway's own, of which children get a little.

    `bearers` have the tokens for servers that want OAuth.
    """

    def __init__(
        self,
        config: Config,
        environment: Mapping[str, str],
        clock: Clock,
        bearers: Bearers | None = None,
    ) -> None:
        self._clock = clock
        self._environment = environment
        self._homes = config.data / "homes"
        self._egress = egress_of(config)
        self._http = HttpLimits(
            connect=config.connect_timeout,
            idle=config.upstream_idle,
            reply=ReplyLimits(body=config.reply_limit),
            bearers=bearers,
        )
        self._found = Found()
        self._paces = Paces()
        self._stdio = StdioLimits(
            connect_timeout=config.connect_timeout, child=ChildLimits(line_bytes=config.reply_limit)
        )

    def open(self, server: Server, client: Client) -> Upstream:
        """Return an upstream that connects on first use and speaks for this client."""
        if server.lacking:
            return LackingUpstream(server)
        pace = self._paces.of(server.id)
        if isinstance(server.reach, HttpReach):
            limits = replace(self._http, pace=pace)
            return open_by_url(server, self._egress, limits, client, self._found)
        return StdioUpstream(
            server,
            client=client,
            clock=self._clock,
            home=self._homes / server.name,
            ambient=self._environment,
            limits=replace(self._stdio, child=replace(self._stdio.child, pace=pace)),
        )
