"""Implements `ports.IdentityProvider`: what is said to the provider, by the rules of what we dial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from coatcheck.core import openid
from coatcheck.core.oauth import is_loopback_url
from coatcheck.errors import Busy, UpstreamBadReply
from coatcheck.model.oauth import OauthClient
from coatcheck.model.openid import OpenIdRules, ProviderDocument, Redeemed
from coatcheck.model.secret import Secret
from coatcheck.ports import Clock, Entropy
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.reading import Received
from coatcheck.upstream.oauth.asking import Asking
from coatcheck.upstream.oauth.discovering import endpoint_in, read_issuer
from coatcheck.upstream.oauth.fetching import FORM, Fetching, FetchLimits, read_object, text_in
from coatcheck.upstream.oauth.proving import Proving
from coatcheck.upstream.openid.keeping import Kept
from coatcheck.upstream.openid.signatures import BadToken, Signed, check_installed, prove, take_apart

MOST_AT_ONCE: Final = 16
"""How many codes are traded at once: everybody who opens the page can have us ask the provider."""
_FOR: Final = "single sign-on"
_WHO: Final = f"the authorization server of {_FOR}"

Keys = tuple[Mapping[str, Any], ...]


class HttpIdentityProvider:
    """The provider of these rules. An issuer on this machine may be dialled: an operator wrote it down."""

    def __init__(
        self,
        rules: OpenIdRules,
        egress: Egress,
        clock: Clock,
        entropy: Entropy,
        limits: FetchLimits | None = None,
    ) -> None:
        """Raises `ConfigError` where the extra is not installed."""
        check_installed()
        self._rules = rules
        here = is_loopback_url(rules.issuer)
        self._fetching = Fetching(replace(egress, loopback=here), limits or FetchLimits(), loopback=here)
        self._asking = Asking(_FOR, self._fetching, Proving(clock, entropy))
        self._document: Kept[ProviderDocument] = Kept(self._fetch_document, clock)
        self._keys: Kept[Keys] = Kept(self._fetch_keys, clock)
        self._under_way = 0

    async def describe(self) -> ProviderDocument:
        """Return the provider's document. See `ports.IdentityProvider`."""
        return await self._document.get()

    async def redeem(self, code: str, verifier: str, redirect: str) -> Redeemed:
        """Trade a code. See `ports.IdentityProvider`."""
        if self._under_way >= MOST_AT_ONCE:
            raise Busy("too many people sign in at once", fix="try again in a moment")
        self._under_way += 1
        try:
            return await self._redeem(code, verifier, redirect)
        finally:
            self._under_way -= 1

    async def about(self, access: Secret) -> Mapping[str, Any]:
        """Ask the UserInfo endpoint. See `ports.IdentityProvider`."""
        document = await self._document.get()
        if not document.about_url:
            return {}
        bearer = Secret(f"Bearer {access.reveal()}")
        received = await self._fetching.post(_WHO, document.about_url, FORM, Secret(""), bearer)
        return _answer(received, "its UserInfo endpoint")

    # --- tokens --------------------------------------------------------------------------------------------

    async def _redeem(self, code: str, verifier: str, redirect: str) -> Redeemed:
        document = await self._document.get()
        client = OauthClient(self._rules.client_id, self._rules.client_secret, "")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": verifier,
        }
        tokens = await self._asking.tokens(document.server, client, form)
        try:
            if tokens.identity is None:
                raise BadToken("there is none: does oidc_scopes have openid?")
            signed = take_apart(tokens.identity.reveal())
            claims = prove(signed, await self._keys_for(signed))
        except BadToken as error:
            raise openid.unusable(f"the ID token is refused: {error}") from None
        return Redeemed(claims, str(signed.head["alg"]), tokens.access)

    async def _keys_for(self, signed: Signed) -> Keys:
        """Return the provider's keys; fetched anew if the one that is named is not among them."""
        keys = await self._keys.get()
        return keys if openid.keys_for(signed.head, keys) else await self._keys.renewed()

    # --- what is fetched -----------------------------------------------------------------------------------

    async def _fetch_document(self) -> ProviderDocument:
        issuer = self._rules.issuer
        said = _answer(await self._fetching.get(_WHO, openid.document_url(issuer)), "its document")
        if text_in(said, "issuer") != issuer:
            raise UpstreamBadReply(
                f"the document of {_WHO} names another issuer than oidc_issuer, so it is not used",
                fix="write oidc_issuer exactly as the document has it; a slash at the end counts",
            )
        endpoint_in(_WHO, said, "authorization_endpoint", needed=True)
        keys = endpoint_in(_WHO, said, "jwks_uri", needed=True)
        about = endpoint_in(_WHO, said, "userinfo_endpoint")
        return ProviderDocument(read_issuer(_WHO, issuer, said), keys, about)

    async def _fetch_keys(self) -> Keys:
        document = await self._document.get()
        said = _answer(await self._fetching.get(_WHO, document.keys_url), "its keys")
        if not (found := openid.usable_keys(said)):
            raise UpstreamBadReply(f"{_WHO} has no key that ID tokens may be signed with")
        return found


def _answer(received: Received, what: str) -> Mapping[str, Any]:
    if received.status != 200:
        raise UpstreamBadReply(
            f"{_WHO} failed with status {received.status} when asked for {what}",
            fix="check oidc_issuer; an address that redirects is not followed",
        )
    return read_object(_WHO, received)
