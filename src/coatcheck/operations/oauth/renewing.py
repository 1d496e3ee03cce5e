"""Renews the tokens of an OAuth credential: asks, makes the answer durable, and only then lets it be used."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from coatcheck.core.oauth import same_issuer
from coatcheck.errors import (
    AuthorizationRefused,
    Stale,
    Unavailable,
    Unfit,
    UpstreamCredentialRefused,
    UpstreamError,
    UpstreamUnreachable,
)
from coatcheck.model.credential import Credential
from coatcheck.model.oauth import AuthorizationServer, Tokens
from coatcheck.model.registry import Edit
from coatcheck.model.secret import Secret
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.oauth.desk import (
    RENEWING,
    OauthDesk,
    client_of,
    must_connect,
    number_of,
    oauth_in,
    server_name,
    terms_of,
)
from coatcheck.operations.oauth.held import HeldTokens, held_by

log = logging.getLogger(__name__)

CLIENT_CREDENTIALS: Final = "client_credentials"
_PAUSES: Final = (0.1, 0.5)
"""Seconds before asking a second and a third time, where the first failed in a way that may pass."""
_DESCRIBED: Final = 3600.0
"""Seconds for which the metadata of an authorization server are believed."""
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class _Unkept:
    """An answer that the store has not taken yet, and the material that it follows."""

    before: Secret
    held: HeldTokens


class Renewing:
    """Renews; the caller sees to it that no two renewals of one credential run at once."""

    def __init__(self, desk: OauthDesk) -> None:
        self._desk = desk
        self._unkept: dict[UUID, _Unkept] = {}
        self._dead: dict[UUID, Secret] = {}
        """Material that cannot be renewed any more."""
        self._described: dict[UUID, tuple[AuthorizationServer, float]] = {}

    def is_dead(self, credential: Credential) -> bool:
        """Tell whether its tokens were found not to be renewable any more."""
        active, dead = credential.active, self._dead.get(credential.id)
        return dead is not None and active is not None and active.material == dead

    async def renew(self, id: UUID) -> HeldTokens:
        """Return new tokens, durable already.

        Raises:
            UpstreamCredentialRefused: a person must connect the credential anew; that is on record.
            UpstreamUnreachable: it failed in a way that may pass.
        """
        credential = self._desk.find(id)
        if credential is None:
            raise UpstreamCredentialRefused("the credential for this server was ended")
        held, active = held_by(credential), credential.active
        if held is None or active is None or active.material is None:
            raise UpstreamCredentialRefused(
                f"{credential.name} was never connected: coatcheck credential connect {credential.name}"
            )
        before = active.material
        if self.is_dead(credential):
            raise must_connect(credential, terms_of(credential).reconnect or "its tokens are refused")
        unkept = self._unkept.get(id)
        if unkept is None or unkept.before != before:
            new = await self._ask(credential, held)
            self._unkept[id] = unkept = _Unkept(before, new)
        await self._keep(credential, unkept)
        kept = self._desk.find(id)
        return (None if kept is None else held_by(kept)) or unkept.held

    # --- asking --------------------------------------------------------------------------------------------

    async def _ask(self, credential: Credential, held: HeldTokens) -> HeldTokens:
        terms = terms_of(credential)
        form = {"resource": held.resource}
        if held.refresh is not None:
            form |= {"grant_type": "refresh_token", "refresh_token": held.refresh.reveal()}
        elif terms.grant_type == CLIENT_CREDENTIALS:
            form |= {"grant_type": CLIENT_CREDENTIALS}
            form |= {"scope": " ".join(held.scopes)} if held.scopes else {}
        else:
            raise await self.fail(
                credential, "its token has ended or is refused, and no refresh token was given with it"
            )
        try:
            at, tokens = await self._insist(credential, form)
        except (AuthorizationRefused, Unfit) as error:
            newer = self._newer(credential)
            if newer is not None:
                return newer
            raise await self.fail(credential, error.message) from None
        return held.followed_by(tokens, at)

    def _newer(self, credential: Credential) -> HeldTokens | None:
        """Return the tokens of a connection made meanwhile: at some servers that ends the one before."""
        now, before = self._desk.find(credential.id), credential.active
        if now is None or now.active is None or before is None or now.active.material == before.material:
            return None
        return held_by(now)

    async def _insist(self, credential: Credential, form: dict[str, str]) -> tuple[float, Tokens]:
        """Ask, and again after a moment where it fails in a way that may pass."""
        for pause in _PAUSES:
            try:
                return await self._ask_once(credential, form)
            except AuthorizationRefused:
                raise
            except UpstreamError:
                self._described.pop(credential.id, None)
                await asyncio.sleep(pause)
        return await self._ask_once(credential, form)

    async def _ask_once(self, credential: Credential, form: dict[str, str]) -> tuple[float, Tokens]:
        desk, terms = self._desk, terms_of(credential)
        name = server_name(desk.snapshot(), credential)
        server = await self._describe(credential, name)
        at = desk.now()
        tokens = await desk.authorizer.ask(name, terms.resource, server, client_of(terms), form)
        return at, tokens

    async def _describe(self, credential: Credential, name: str) -> AuthorizationServer:
        clock, terms = self._desk.clock, terms_of(credential)
        known = self._described.get(credential.id)
        if known is not None and known[0].issuer == terms.issuer and known[1] > clock.monotonic():
            return known[0]
        found = await self._desk.authorizer.describe(name, terms.resource, terms.issuer)
        self._described[credential.id] = (found, clock.monotonic() + _DESCRIBED)
        return found

    async def has_moved(self, credential: Credential) -> bool:
        """Tell whether the server names another authorization server than the tokens are from."""
        terms, name = terms_of(credential), server_name(self._desk.snapshot(), credential)
        try:
            found = await self._desk.authorizer.discover(name, terms.resource, terms.issuer)
        except UpstreamError:
            return False
        return not same_issuer(found.server.issuer, terms.issuer)

    # --- keeping -------------------------------------------------------------------------------------------

    async def _keep(self, credential: Credential, unkept: _Unkept) -> None:
        """Make an answer durable, unless the credential was connected anew or ended meanwhile."""
        id = credential.id

        def make(snapshot: Snapshot) -> Edit | None:
            now = oauth_in(snapshot, id)
            active = None if now is None else now.active
            if now is None or active is None or active.material != unkept.before:
                return None
            return Edit((self._desk.renewed(now, unkept.held),), ())

        for left in reversed(range(_TRIES)):
            try:
                await self._desk.edit(make)
            except Stale:
                if not left:
                    raise self._not_kept(credential) from None
            except Unavailable:
                raise self._not_kept(credential) from None
            else:
                break
        self._unkept.pop(id, None)

    def _not_kept(self, credential: Credential) -> UpstreamUnreachable:
        return UpstreamUnreachable(
            f"the new token of {credential.name} could not be made durable, so it is not used",
            fix="see to the store; the token is kept in memory until then",
        )

    # --- failing -------------------------------------------------------------------------------------------

    async def fail(self, credential: Credential, why: str) -> UpstreamCredentialRefused:
        """Keep on record that a person must connect the credential anew, once; return what callers hear."""
        active = credential.active
        if active is not None and active.material is not None:
            self._dead[credential.id] = active.material
        await self.flag(credential, why)
        return must_connect(credential, why)

    async def flag(self, credential: Credential, why: str, scopes: tuple[str, ...] = ()) -> None:
        """Set `reconnect`, and add scopes to those that are asked for next, unless it was connected anew.

        Never raises for the store.
        """

        def make(snapshot: Snapshot) -> Edit | None:
            now = oauth_in(snapshot, credential.id)
            if now is None or number_of(now) != number_of(credential):
                return None
            terms = terms_of(now)
            if terms.reconnect and not set(scopes) - set(terms.scopes):
                return None
            wanted = tuple(dict.fromkeys((*terms.scopes, *scopes)))
            after = replace(now, oauth=replace(terms, reconnect=why, scopes=wanted), version=now.version + 1)
            change = self._desk.changed(RENEWING, "credential.failing", now, after, why)
            return Edit((after,), (change,))

        log.warning("the credential %s must be connected anew: %s", credential.name, why)
        try:
            await self._desk.edit(make)
        except (Stale, Unavailable) as error:
            log.warning("that a credential must be connected anew could not be kept: %s", error.message)
