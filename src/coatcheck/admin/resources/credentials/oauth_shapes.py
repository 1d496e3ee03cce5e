"""The shapes of OAuth towards servers: the terms of a credential, and the link by which it is connected."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from coatcheck.model.credential import OauthTerms
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.views import OauthView
from coatcheck.operations.oauth.connecting import Begun
from coatcheck.operations.registry.patches import OauthWanted

GrantType = Literal["authorization_code", "client_credentials"]
Url = Annotated[str, Meta(pattern=r"^https?://[!-~]+$", max_length=2_048)]
Scope = Annotated[str, Meta(pattern=r"^[!#-\[\]-~]+$", max_length=256)]
Scopes = Annotated[list[Scope], Meta(max_length=100)]
ClientId = Annotated[str, Meta(pattern=r"^[ -~]*$", max_length=2_048)]


class OauthShape(Struct, kw_only=True):
    """The terms of an OAuth credential. `reconnect`: why a person must connect it anew; empty: no need."""

    grant_type: str
    resource: str
    issuer: str
    client_id: str
    registered: bool
    scopes: list[str]
    reconnect: str


class OauthBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """How the tokens for a server are to be had.

    Without an `issuer` the server is asked for it; without a `client_id` a client is registered there.
    `client_credentials` need both `client_id` and `client_secret`.
    """

    grant_type: GrantType = "authorization_code"
    issuer: Url | None = None
    client_id: ClientId = ""
    client_secret: Secret | None = None
    scopes: Scopes = []


class NewOauthBody(OauthBody, forbid_unknown_fields=True, kw_only=True):
    """The same for a credential by itself. `resource` is the URL of the server that the tokens are for."""

    resource: Url


class ConnectionShape(Struct, kw_only=True):
    """What to do next: open `url` in a browser within `seconds`; null: it is connected already."""

    credential: str
    url: str | None
    seconds: float


def oauth_shape(view: OauthView) -> OauthShape:
    """Return the terms as they are told."""
    return OauthShape(
        grant_type=view.grant_type,
        resource=view.resource,
        issuer=view.issuer,
        client_id=view.client_id,
        registered=view.registered,
        scopes=list(view.scopes),
        reconnect=view.reconnect,
    )


def connection_shape(begun: Begun) -> ConnectionShape:
    """Return what is to be done for a connection."""
    return ConnectionShape(credential=begun.credential, url=begun.url or None, seconds=begun.seconds)


def terms_of(body: NewOauthBody) -> OauthTerms:
    """Return the terms that a body describes."""
    return OauthTerms(
        grant_type=body.grant_type,
        resource=body.resource,
        issuer=body.issuer or "",
        client_id=body.client_id,
        client_secret=body.client_secret,
        scopes=tuple(body.scopes),
    )


def wanted_of(body: OauthBody) -> OauthWanted:
    """Return what a body says of the tokens for a server."""
    return OauthWanted(
        grant_type=body.grant_type,
        scopes=tuple(body.scopes),
        issuer=body.issuer or "",
        client_id=body.client_id,
        client_secret=body.client_secret,
    )
