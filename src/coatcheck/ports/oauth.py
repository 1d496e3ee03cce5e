"""Tokens for servers that want OAuth, and the authorization servers that give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from coatcheck.errors import UpstreamCredentialRefused
from coatcheck.model.oauth import AuthorizationServer, Discovery, OauthClient, Tokens
from coatcheck.model.secret import Secret


class Bearers(Protocol):
    """Access tokens for servers that want OAuth, kept good: renewed early, and once for all who wait."""

    def find(self, credential: UUID) -> Secret | None:
        """Return a token that is good now without waiting, or None: then `get` is to be asked."""
        ...

    async def get(self, credential: UUID) -> Secret:
        """Return a token that is good now, renewed first if need be.

        Raises:
            UpstreamCredentialRefused: there is none to be had until an operator connects the credential
                anew. The message is fit for callers.
            UpstreamUnreachable: the authorization server, or our store, fails for now.
        """
        ...

    async def refused(self, credential: UUID, token: Secret) -> Secret:
        """Take note that the server answered 401 to this token, and return another one to send once more.

        Raises:
            UpstreamCredentialRefused, UpstreamUnreachable: as for `get`; also where the token is a new one.
        """
        ...

    def version_of(self, credential: UUID, token: Secret) -> int:
        """Return the number of the credential's version that a token came with; 0: nobody knows any more."""
        ...

    def hush(self, credential: UUID) -> Sequence[Secret]:
        """Return all that is secret of it now, tokens and the client's secret, to be taken out of answers."""
        ...

    async def outgrown(self, credential: UUID, scopes: tuple[str, ...]) -> UpstreamCredentialRefused:
        """Take note that the server wants these scopes as well, and return what the caller is told."""
        ...


class Authorizer(Protocol):
    """Authorization servers. `name` is what errors call the server that tokens are for, `resource` its URL.

    Every method raises an `UpstreamError` with a message fit for operators, which quotes nothing.
    """

    async def discover(self, name: str, resource: str, issuer: str) -> Discovery:
        """Find where tokens for a server are had: at `issuer`, if it names that one among others."""
        ...

    async def describe(self, name: str, resource: str, issuer: str) -> AuthorizationServer:
        """Return an authorization server by its issuer."""
        ...

    async def register(
        self, name: str, resource: str, server: AuthorizationServer, redirect: str, scopes: tuple[str, ...]
    ) -> OauthClient:
        """Register us, to be called back at `redirect` (RFC 7591).

        Raises:
            AuthorizationRefused: it registers nobody, or not us.
        """
        ...

    async def ask(
        self,
        name: str,
        resource: str,
        server: AuthorizationServer,
        client: OauthClient,
        form: Mapping[str, str],
    ) -> Tokens:
        """Send a token request: `form` without what proves the client.

        Raises:
            AuthorizationRefused: the server said no, and would again.
            Unfit: the client's private key cannot be used.
        """
        ...
