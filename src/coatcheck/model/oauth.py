"""OAuth towards servers: authorization servers, what they give us, and what a server says of its own."""

from __future__ import annotations

from dataclasses import dataclass

from coatcheck.model.secret import Secret


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """An authorization server, as its metadata describes it (RFC 8414 section 2). Endpoints are URLs.

    `methods`: how clients may authenticate at the token endpoint. `pkce`: it announces S256 (RFC 7636).
    `says_issuer`: it promises `iss` in its authorization responses (RFC 9207 section 3).
    """

    issuer: str
    token_endpoint: str
    authorization_endpoint: str = ""
    registration_endpoint: str = ""
    scopes: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    pkce: bool = False
    says_issuer: bool = False


@dataclass(frozen=True, slots=True)
class Discovery:
    """Where tokens for a server are had. `resource` is how the server is named there (RFC 8707).

    `scopes` are those that the server asks for, or else names as its own (RFC 9728 section 2).
    """

    server: AuthorizationServer
    resource: str
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OauthClient:
    """What we are at one authorization server. `method` as for `OauthTerms.auth_method`.

    For `private_key_jwt` the secret is the private key, in PEM.
    """

    id: str
    secret: Secret | None
    method: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint answered (RFC 6749 section 5.1). `life` in seconds; None: it did not say.

    `scopes` None: those that were asked for. `identity`: an ID token (OpenID Connect Core 1.0, 3.1.3.3).
    """

    access: Secret
    refresh: Secret | None = None
    life: float | None = None
    scopes: tuple[str, ...] | None = None
    identity: Secret | None = None
