"""Asks an authorization server for tokens, and to be registered there (RFC 6749, RFC 7591, RFC 8707)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from coatcheck.core.oauth import is_loopback_url
from coatcheck.core.wire import messages
from coatcheck.core.wire.challenges import scopes_of
from coatcheck.errors import AuthorizationRefused, UpstreamBadReply, UpstreamError
from coatcheck.model.oauth import AuthorizationServer, OauthClient, Tokens
from coatcheck.model.secret import Secret
from coatcheck.upstream.http.hop.reading import Received
from coatcheck.upstream.oauth.fetching import FORM, JSON, Fetching, read_object, text_in
from coatcheck.upstream.oauth.proving import NONE, Proving, method_for

MAX_TOKEN_CHARS: Final = 8000
"""A longer token would not fit into a header."""
_MAX_IDENTITY_CHARS: Final = 64 * 1024
_TOKEN: Final = re.compile(r"[!-~]+\Z")
_NUMBER: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?\Z")
_TRANSIENT: Final = frozenset({"server_error", "temporarily_unavailable", "slow_down"})
_REASONS: Final[Mapping[str, str]] = {
    "invalid_grant": "what was given for it is used up, expired or was revoked",
    "invalid_client": "it does not know this client, or refuses how the client proves itself",
    "unauthorized_client": "this client may not do that",
    "unsupported_grant_type": "it gives no tokens in this way",
    "invalid_scope": "it does not give the scopes that were asked for",
    "invalid_target": "it does not give tokens for this server",
    "invalid_request": "it does not take the request",
    "access_denied": "access was denied",
}
_LONGEST: Final = 10 * 366 * 86400.0


class Asking:
    """Asks for one server. `name` is what it is called in errors."""

    def __init__(self, name: str, fetching: Fetching, proving: Proving) -> None:
        self._who = f"the authorization server of {name}"
        self._fetching = fetching
        self._proving = proving

    async def tokens(
        self, server: AuthorizationServer, client: OauthClient, form: Mapping[str, str]
    ) -> Tokens:
        """Send a token request and return the answer.

        Raises:
            AuthorizationRefused: the server said no, and would again.
            Unfit: the client's private key cannot be used.
            UpstreamError: any other failure, which may pass.
        """
        fields, authorization = self._proving.prove(server, client, dict(form))
        body = Secret(urlencode(fields))
        received = await self._fetching.post(self._who, server.token_endpoint, FORM, body, authorization)
        if received.status == 200:
            return _read_tokens(self._who, read_object(self._who, received))
        raise self._refusal(received)

    async def register(
        self, server: AuthorizationServer, redirect: str, scopes: tuple[str, ...]
    ) -> OauthClient:
        """Register us with a server.

        Raises:
            AuthorizationRefused: it says no.
            UpstreamError: any other failure.
        """
        if not server.registration_endpoint:
            raise AuthorizationRefused(
                f"{self._who} registers no clients by itself",
                fix="register Coatcheck there by hand, and give the credential the client id and secret",
            )
        method = method_for(server.methods, secret=True)
        wanted = {
            "client_name": "Coatcheck",
            "redirect_uris": [redirect],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": method,
            "application_type": "native" if is_loopback_url(redirect) else "web",
            **({"scope": " ".join(scopes)} if scopes else {}),
        }
        body = Secret(messages.raw_of(wanted).decode("utf-8"))
        received = await self._fetching.post(self._who, server.registration_endpoint, JSON, body)
        if received.status not in (200, 201):
            raise self._refusal(received)
        return _read_client(self._who, read_object(self._who, received), method)

    def _refusal(self, received: Received) -> UpstreamError:
        status = received.status
        try:
            error = text_in(read_object(self._who, received), "error", 100)
        except UpstreamBadReply:
            error = ""
        if not error or status >= 500 or status == 429 or error in _TRANSIENT:
            return UpstreamBadReply(f"{self._who} failed with status {status}")
        reason = _REASONS.get(error, f"status {status}")
        return AuthorizationRefused(
            f"{self._who} refused: {reason}", error=error if error in _REASONS else ""
        )


def _read_tokens(who: str, said: Mapping[str, Any]) -> Tokens:
    access = text_in(said, "access_token", MAX_TOKEN_CHARS)
    if not access or not _TOKEN.match(access):
        raise UpstreamBadReply(f"{who} gave no access token that can be sent")
    if text_in(said, "token_type").lower() != "bearer":
        raise UpstreamBadReply(f"{who} gave a token that is no bearer token")
    refresh = text_in(said, "refresh_token", 4 * MAX_TOKEN_CHARS)
    identity = text_in(said, "id_token", _MAX_IDENTITY_CHARS)
    scope = said.get("scope")
    return Tokens(
        Secret(access),
        Secret(refresh) if refresh else None,
        _seconds(said.get("expires_in")),
        scopes_of(scope.split(" ")) if isinstance(scope, str) else None,
        Secret(identity) if identity else None,
    )


def _seconds(said: object) -> float | None:
    text = str(said) if isinstance(said, str | float) and not isinstance(said, bool) else ""
    return min(float(text), _LONGEST) if _NUMBER.match(text) else None


def _read_client(who: str, said: Mapping[str, Any], asked: str) -> OauthClient:
    id = text_in(said, "client_id", 2048)
    if not id or not id.isascii():
        raise UpstreamBadReply(f"{who} registered us without a client id")
    secret = text_in(said, "client_secret", 4096)
    method = text_in(said, "token_endpoint_auth_method", 100) or (asked if secret else NONE)
    return OauthClient(id, Secret(secret) if secret else None, method)
