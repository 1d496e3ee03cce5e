"""Finds where tokens for a server are had: its own metadata, then that of its authorization server.

Sources: RFC 9728, RFC 8414, OpenID Connect Discovery 1.0; the order is that of MCP 2025-11-25 and
2026-07-28 (authorization). A server without metadata of its own is taken as its own authorization server, as
MCP 2025-03-26 had it, as far as that has metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from coatcheck.core import oauth
from coatcheck.core.wire.challenges import Challenge, read_challenge, scopes_of
from coatcheck.errors import UpstreamBadReply, UpstreamForbidden
from coatcheck.model.oauth import AuthorizationServer, Discovery
from coatcheck.model.secret import Secret
from coatcheck.upstream.http.hop.reading import Received
from coatcheck.upstream.oauth.fetching import JSON, Fetching, read_object, text_in, texts_in

_PROBE: Final = Secret('{"jsonrpc":"2.0","id":1,"method":"ping"}')
_USUAL_METHODS: Final = ("client_secret_basic",)
"""What holds where the metadata does not say (RFC 8414 section 2)."""


@dataclass(frozen=True, slots=True)
class _Resource:
    """What a server says of itself."""

    name: str
    issuers: tuple[str, ...]
    scopes: tuple[str, ...]


class Discovering:
    """Asks for one server. `name` is what it is called in errors."""

    def __init__(self, name: str, fetching: Fetching) -> None:
        self._name = name
        self._fetching = fetching

    async def find(self, url: str, wanted: str) -> Discovery:
        """Return where tokens for a server are had, at the issuer `wanted` if that is one of several.

        Raises:
            UpstreamError: something cannot be reached, or says what cannot be trusted.
        """
        challenge = await self._challenge(url)
        resource = await self._resource(url, challenge)
        if resource is None:
            issuer = wanted or oauth.origin_of(url)
            found = Discovery(await self.issuer(issuer), oauth.resource_of(url))
        else:
            issuers = resource.issuers
            issuer = next((one for one in issuers if oauth.same_issuer(one, wanted)), issuers[0])
            found = Discovery(await self.issuer(issuer), resource.name, resource.scopes)
        return replace(found, scopes=challenge.scopes or found.scopes)

    async def issuer(self, issuer: str) -> AuthorizationServer:
        """Return an authorization server by its issuer.

        Raises:
            UpstreamBadReply: it has no metadata, or is not the one it should be.
            UpstreamError: it cannot be reached.
        """
        who = f"the authorization server of {self._name}"
        if problem := oauth.url_problem(issuer):
            raise UpstreamForbidden(
                f"the address of {who} cannot be used: {problem}",
                fix="it comes from the metadata of the server: tell who runs it",
            )
        for url in oauth.issuer_metadata_urls(issuer):
            received = await self._fetching.get(who, url)
            if received.status == 200 and _is_json(received):
                return read_issuer(who, issuer, read_object(who, received))
            if received.status >= 500:
                raise UpstreamBadReply(
                    f"{who} failed with status {received.status} when asked for its metadata"
                )
        raise UpstreamBadReply(
            f"{who} has no metadata where it must be",
            fix="its issuer must serve /.well-known/oauth-authorization-server or openid-configuration",
        )

    # --- the server's own ----------------------------------------------------------------------------------

    async def _challenge(self, url: str) -> Challenge:
        """Ask the server without a token, to be refused."""
        received = await self._fetching.post(self._name, url, JSON, _PROBE)
        return read_challenge(received.challenge) if received.status in (401, 403) else Challenge()

    async def _resource(self, url: str, challenge: Challenge) -> _Resource | None:
        places = oauth.resource_metadata_urls(url)
        if challenge.metadata:
            places = (challenge.metadata, *places)
        for place in places:
            received = await self._fetching.get(self._name, place)
            if received.status == 200 and _is_json(received):
                return self._read_resource(url, read_object(self._name, received))
        return None

    def _read_resource(self, url: str, said: Mapping[str, Any]) -> _Resource:
        name = text_in(said, "resource")
        if not name or not oauth.covers(name, url):
            raise UpstreamBadReply(
                f"the metadata of {self._name} is about another resource, so it is not used",
                fix="check its url, and the public address that the server was told it has",
            )
        issuers = texts_in(said, "authorization_servers", 20)
        if not issuers:
            raise UpstreamBadReply(f"the metadata of {self._name} names no authorization server")
        scopes = scopes_of(texts_in(said, "scopes_supported"))
        return _Resource(name, issuers, scopes)


def _is_json(received: Received) -> bool:
    """Tell whether it can be metadata at all: some sites answer every path with a page."""
    return received.media.startswith(b"application/")


def read_issuer(who: str, issuer: str, said: Mapping[str, Any]) -> AuthorizationServer:
    """Return what metadata says of an authorization server.

    Raises:
        UpstreamBadReply: it is about another one.
        UpstreamForbidden: an endpoint of it is one that we never dial.
    """
    named = text_in(said, "issuer")
    if not oauth.same_issuer(named, issuer):
        raise UpstreamBadReply(
            f"{who} says that it is another one than was asked for, so it is not used",
            fix="its metadata must name the issuer that the server names (RFC 8414 section 3.3)",
        )
    methods = texts_in(said, "token_endpoint_auth_methods_supported", 50)
    return AuthorizationServer(
        named,
        endpoint_in(who, said, "token_endpoint", needed=True),
        endpoint_in(who, said, "authorization_endpoint"),
        endpoint_in(who, said, "registration_endpoint"),
        scopes_of(texts_in(said, "scopes_supported", 1000)),
        methods or _USUAL_METHODS,
        "S256" in texts_in(said, "code_challenge_methods_supported", 20),
        said.get("authorization_response_iss_parameter_supported") is True,
    )


def endpoint_in(who: str, said: Mapping[str, Any], name: str, *, needed: bool = False) -> str:
    """Return the URL of an endpoint; empty if there is none and none is `needed`.

    Raises:
        UpstreamForbidden: it is one that we never dial, or is `needed` and not there.
    """
    url = text_in(said, name)
    if not url and not needed:
        return ""
    if problem := oauth.url_problem(url):
        raise UpstreamForbidden(
            f"the {name} of {who} cannot be used: {problem}", fix="tell who runs the authorization server"
        )
    return url
