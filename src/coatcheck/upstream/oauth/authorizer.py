"""Implements `ports.Authorizer`: discovery, registration and tokens, by the rules of what we dial."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from coatcheck.core.oauth import is_loopback_url
from coatcheck.errors import UpstreamTimeout
from coatcheck.model.oauth import AuthorizationServer, Discovery, OauthClient, Tokens
from coatcheck.ports import Clock, Entropy
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.oauth.asking import Asking
from coatcheck.upstream.oauth.discovering import Discovering
from coatcheck.upstream.oauth.fetching import Fetching, FetchLimits
from coatcheck.upstream.oauth.proving import Proving


class HttpAuthorizer:
    """Speaks to authorization servers for servers that are named by their URL (`resource`)."""

    def __init__(
        self, egress: Egress, clock: Clock, entropy: Entropy, limits: FetchLimits | None = None
    ) -> None:
        self._egress = egress
        self._limits = limits or FetchLimits()
        self._proving = Proving(clock, entropy)

    async def discover(self, name: str, resource: str, issuer: str) -> Discovery:
        """Find where tokens for a server are had. See `ports.Authorizer`."""
        try:
            async with asyncio.timeout(self._limits.discovery):
                return await Discovering(name, self._fetching(resource)).find(resource, issuer)
        except TimeoutError:
            raise UpstreamTimeout(
                f"{name} and its authorization server were not found out about within "
                f"{self._limits.discovery:g} seconds",
                fix="check that both are up, and begin anew",
            ) from None

    async def describe(self, name: str, resource: str, issuer: str) -> AuthorizationServer:
        """Return an authorization server by its issuer. See `ports.Authorizer`."""
        return await Discovering(name, self._fetching(resource)).issuer(issuer)

    async def register(
        self, name: str, resource: str, server: AuthorizationServer, redirect: str, scopes: tuple[str, ...]
    ) -> OauthClient:
        """Register us. See `ports.Authorizer`."""
        asking = Asking(name, self._fetching(resource), self._proving)
        return await asking.register(server, redirect, scopes)

    async def ask(
        self,
        name: str,
        resource: str,
        server: AuthorizationServer,
        client: OauthClient,
        form: Mapping[str, str],
    ) -> Tokens:
        """Ask for tokens. See `ports.Authorizer`."""
        asking = Asking(name, self._fetching(resource), self._proving)
        return await asking.tokens(server, client, form)

    def _fetching(self, resource: str) -> Fetching:
        return Fetching(self._egress, self._limits, loopback=is_loopback_url(resource))
