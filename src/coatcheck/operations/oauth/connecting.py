"""Connects an OAuth credential: a link for a person, and what comes back (RFC 6749, RFC 7636, RFC 9207)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from coatcheck.core import oauth
from coatcheck.errors import CoatcheckError, Unfit
from coatcheck.model.credential import Credential, OauthTerms
from coatcheck.model.oauth import AuthorizationServer, Discovery
from coatcheck.model.operator import Actor
from coatcheck.model.registry import Edit
from coatcheck.operations.credentials.showing import find_credential
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.oauth.desk import (
    OauthDesk,
    client_of,
    oauth_in,
    server_name,
    terms_of,
)
from coatcheck.operations.oauth.held import HeldTokens, first
from coatcheck.operations.oauth.renewing import CLIENT_CREDENTIALS

log = logging.getLogger(__name__)

CALLBACK: Final = "/oauth/callback"
LINK_SECONDS: Final = 600.0
MAX_LINKS: Final = 200
_MAX_CODE: Final = 4096


@dataclass(frozen=True, slots=True)
class Begun:
    """What to do next: open `url` in a browser within `seconds`; where that is empty, it is connected."""

    credential: str
    url: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Finished:
    """What the browser is shown in the end. `known`: the link was one of ours, and had not been used."""

    ok: bool
    known: bool
    title: str
    sentence: str


@dataclass(frozen=True, slots=True)
class _Link:
    """A link that was given out. `until` is monotonic."""

    credential: UUID
    actor: Actor
    server: AuthorizationServer
    terms: OauthTerms
    verifier: str
    resource: str
    asked: tuple[str, ...]
    until: float


class Connecting:
    """Links are kept in memory: each is good once, for ten minutes, and the newest of a credential alone."""

    def __init__(self, desk: OauthDesk) -> None:
        self._desk = desk
        self._links: dict[str, _Link] = {}

    async def begin(self, actor: Actor, ref: str, base: str) -> Begun:
        """Return the link by which a person lets us in. `base`: the URL that the gateway is reached by.

        With client credentials nobody is needed: tokens are asked for at once.

        Raises:
            Missing: there is no such credential.
            Unfit: it has nothing to do with OAuth, or its client belongs elsewhere.
            UpstreamError: the server, or its authorization server, cannot be reached or trusted.
        """
        desk = self._desk
        credential = find_credential(desk.snapshot(), ref)
        if credential.oauth is None:
            raise Unfit(
                f"the credential {credential.name} has nothing to do with OAuth",
                fix=f"to give it another value, run: coatcheck credential rotate {credential.name}",
            )
        terms = credential.oauth
        name = server_name(desk.snapshot(), credential)
        found = await desk.authorizer.discover(name, terms.resource, terms.issuer)
        asked = oauth.scopes_to_ask(terms.scopes, found)
        if terms.grant_type == CLIENT_CREDENTIALS:
            return await self._connect(actor, credential, found)
        if not found.server.pkce or not found.server.authorization_endpoint:
            raise Unfit(
                f"the authorization server of {name} does not announce PKCE with S256, so it is not used",
                fix="it must list S256 in code_challenge_methods_supported (RFC 8414)",
            )
        terms = await self._client(credential, found, asked, base + CALLBACK)
        return self._give_out(actor, credential, terms, found, asked)

    async def finish(self, query: Sequence[tuple[str, str]]) -> Finished:
        """Take what a browser brings back from the authorization server; never raises for what it brings."""
        said = dict(query)
        link = self._links.pop(_key(said.get("state", "")), None)
        if link is None or link.until < self._desk.clock.monotonic():
            return _NOWHERE
        name = self._name(link)
        if len(said) != len(query):
            return _failed(name, "the answer of the authorization server is ambiguous")
        if problem := oauth.issuer_problem(link.server, said.get("iss")):
            log.warning("an answer for %s was not used: %s", name, problem)
            return _failed(name, f"the answer cannot be trusted: {problem}")
        if "error" in said or not 0 < len(said.get("code", "")) <= _MAX_CODE:
            denied = said.get("error") == "access_denied"
            return _failed(name, "access was denied" if denied else "the authorization server gave no code")
        return await self._redeem(link, said["code"])

    # --- the link ------------------------------------------------------------------------------------------

    async def _client(
        self, credential: Credential, found: Discovery, asked: tuple[str, ...], redirect: str
    ) -> OauthTerms:
        """Return the terms with a client that is good at this authorization server."""
        terms, issuer = terms_of(credential), found.server.issuer
        here = oauth.same_issuer(terms.issuer, issuer)
        if terms.client_id and not terms.registered:
            if terms.issuer and not here:
                raise _elsewhere(credential)
            return replace(terms, issuer=issuer, redirect=redirect)
        if terms.client_id and here and terms.redirect == redirect and not terms.reconnect:
            return replace(terms, issuer=issuer)
        name = server_name(self._desk.snapshot(), credential)
        client = await self._desk.authorizer.register(name, terms.resource, found.server, redirect, asked)
        return replace(
            terms,
            issuer=issuer,
            client_id=client.id,
            client_secret=client.secret,
            auth_method=client.method,
            registered=True,
            redirect=redirect,
        )

    def _give_out(
        self,
        actor: Actor,
        credential: Credential,
        terms: OauthTerms,
        found: Discovery,
        asked: tuple[str, ...],
    ) -> Begun:
        entropy, clock = self._desk.entropy, self._desk.clock
        state, verifier = oauth.unpadded(entropy.token(32)), oauth.unpadded(entropy.token(48))
        query = {
            "response_type": "code",
            "client_id": terms.client_id,
            "redirect_uri": terms.redirect,
            "state": state,
            "code_challenge": oauth.code_challenge(verifier),
            "code_challenge_method": "S256",
            "resource": found.resource,
        }
        if asked:
            query["scope"] = " ".join(asked)
        if oauth.OFFLINE in asked:
            query["prompt"] = "consent"  # without it none is given (OpenID Connect Core 11)
        now = clock.monotonic()
        self._links = {
            key: link
            for key, link in self._links.items()
            if link.until > now and link.credential != credential.id
        }
        if len(self._links) >= MAX_LINKS:
            raise Unfit("too many links are waiting to be opened", fix="wait ten minutes")
        until = now + LINK_SECONDS
        self._links[_key(state)] = _Link(
            credential.id, actor, found.server, terms, verifier, found.resource, asked, until
        )
        url = oauth.link(found.server.authorization_endpoint, query)
        return Begun(credential.name, url, LINK_SECONDS)

    # --- tokens --------------------------------------------------------------------------------------------

    async def _redeem(self, link: _Link, code: str) -> Finished:
        name, terms = self._name(link), link.terms
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": terms.redirect,
            "code_verifier": link.verifier,
            "resource": link.resource,
        }
        at = self._desk.now()
        try:
            tokens = await self._desk.authorizer.ask(
                name, terms.resource, link.server, client_of(terms), form
            )
            held = first(tokens, at, link.resource, link.asked)
            kept = await self._keep(link.credential, held, terms, link.actor)
        except CoatcheckError as error:
            log.warning("%s could not be connected: %s", name, error.message)
            return _failed(name, error.message)
        if not kept:
            return _failed(name, "the credential was ended, or given other terms, meanwhile")
        return Finished(
            True, True, "Connected", f"Coatcheck is connected for {name}. You can close this page."
        )

    async def _connect(self, actor: Actor, credential: Credential, found: Discovery) -> Begun:
        terms = terms_of(credential)
        if terms.issuer and not oauth.same_issuer(terms.issuer, found.server.issuer):
            raise _elsewhere(credential)
        terms = replace(terms, issuer=found.server.issuer)
        asked = terms.scopes or found.scopes
        form = {"grant_type": CLIENT_CREDENTIALS, "resource": found.resource}
        form |= {"scope": " ".join(asked)} if asked else {}
        name = server_name(self._desk.snapshot(), credential)
        at = self._desk.now()
        tokens = await self._desk.authorizer.ask(name, terms.resource, found.server, client_of(terms), form)
        if not await self._keep(credential.id, first(tokens, at, found.resource, asked), terms, actor):
            raise Unfit(f"the credential {credential.name} was changed meanwhile", fix="connect it again")
        return Begun(credential.name)

    async def _keep(self, id: UUID, held: HeldTokens, terms: OauthTerms, actor: Actor) -> bool:
        """Make a connection durable; False: the credential is another one than when it began."""
        done = False

        def make(snapshot: Snapshot) -> Edit | None:
            nonlocal done
            now = oauth_in(snapshot, id)
            if now is None or terms_of(now).resource != terms.resource:
                return None
            done = True
            after = self._desk.connected(now, held, replace(terms, scopes=terms_of(now).scopes), actor)
            return Edit((after,), (self._desk.changed(actor, "credential.connect", now, after),))

        await self._desk.edit(make)
        return done

    def _name(self, link: _Link) -> str:
        credential = self._desk.find(link.credential)
        return "it" if credential is None else server_name(self._desk.snapshot(), credential)


def _key(state: str) -> str:
    """Return what a link is kept under, so that a look-up tells nothing of a state by its time."""
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()


def _elsewhere(credential: Credential) -> Unfit:
    return Unfit(
        f"the client of {credential.name} is for another authorization server than the server names now",
        fix="give the credential a client of that one, or see why the server changed it",
    )


def _failed(name: str, why: str) -> Finished:
    return Finished(
        False, True, "Not connected", f"Coatcheck could not be connected for {name}: {why}. Begin anew."
    )


_NOWHERE: Final = Finished(
    False,
    False,
    "This link leads nowhere",
    "It was used already, is older than ten minutes, or was never given out. Begin anew.",
)
