"""Signing in with OpenID Connect: to the provider, and back from it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from msgspec import Struct

from coatcheck.console.web.page import Answer, AnyPage, Asked, Door, Moved, Nothing, seen
from coatcheck.console.web.refusing import Refusal
from coatcheck.core.going import way_back
from coatcheck.errors import AuthorizationRefused, ConfirmFirst, OpenIdRefused, UpstreamError
from coatcheck.model.browser import Whose
from coatcheck.model.openid import Arrived
from coatcheck.model.secret import Secret
from coatcheck.operations.signing_in.openid import CALLBACK, OpenIdSignIn
from coatcheck.operations.signing_in.porter import Opened
from coatcheck.operations.signing_in.signing import SigningIn
from coatcheck.operations.signing_in.vouching import Entrant, Vouching

log = logging.getLogger(__name__)

COOKIE: Final = "openid"
"""What the browser keeps between the provider and us."""
_MOST_FIELDS: Final = 50
_TOO_MANY: Final = f"There are more than {_MOST_FIELDS} fields: no provider sends that. Begin anew."
_NO_PROVIDER: Final = "This gateway knows no provider of identities. Sign in with a password."
_FAILED: Final = "The provider could not be reached, or did not answer as it should. Try again in a moment."
_NOT_TAKEN: Final = (
    "It did not take what your browser brought back from it. Begin anew at the page for signing in. If that "
    "does not help, the gateway's log says more to an admin."
)


@dataclass(frozen=True, slots=True)
class OpenIdEntrance:
    """The way to a provider and back, and who comes back."""

    sign_in: OpenIdSignIn
    vouching: Vouching


class OpenIdQuery(Struct):
    """Where to go on; `again`: whoever is signed in proves it once more."""

    back: str = ""
    again: bool = False


class OpenIdPages:
    """Serves the way to the provider and back; without one it says so."""

    def __init__(self, signing: SigningIn, entrance: OpenIdEntrance | None) -> None:
        self._signing = signing
        self._entrance = entrance

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        return [
            seen("/login/openid", Door.OPEN, self.go, OpenIdQuery),
            seen(CALLBACK, Door.OPEN, self.come_back),
        ]

    async def go(self, asked: Asked[OpenIdQuery, Nothing]) -> Answer:
        """Go to the identity provider to sign in."""
        prove = asked.query.again and asked.session is not None
        try:
            url, cookie = await self._known.sign_in.begin(
                asked.origin, way_back(asked.query.back), prove=prove
            )
        except UpstreamError as error:
            raise Refusal(502, "The provider does not answer", _FAILED) from error
        return Moved(url, keeps={COOKIE: cookie})

    async def come_back(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Come back from the identity provider, and sign in whom it vouches for."""
        sign_in = self._known.sign_in
        try:
            pairs = parse_qsl(asked.search, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise Refusal(400, "The address could not be read", _TOO_MANY) from None
        cookie = asked.cookies.get(COOKIE, "")
        try:
            returned = sign_in.recognise(pairs, cookie)  # what is not ours is not counted, or on record
            arrived = await self._signing.back(lambda: sign_in.finish(returned), asked.address)
        except ConfirmFirst as error:
            raise Refusal.of(error, "That proves nothing new") from error
        except AuthorizationRefused as error:
            raise Refusal(403, "The provider refused", _NOT_TAKEN) from error
        except UpstreamError as error:
            raise Refusal(502, "The provider does not answer", _FAILED) from error
        try:
            entrant = await self._known.vouching.admit(arrived.vouched)
        except OpenIdRefused as error:
            log.warning("a sign-in by OpenID Connect was refused: %s", error.because)
            await self._signing.refused_by_provider(arrived.vouched.subject, asked.address)
            raise
        opened = await self._open(asked, entrant, arrived)
        to = arrived.return_to if entrant.whose is Whose.OPERATOR else "/mine"
        return Moved(to, enters=opened.token, keeps={COOKIE: Secret("")})

    async def _open(self, asked: Asked[Nothing, Nothing], entrant: Entrant, arrived: Arrived) -> Opened:
        """Begin a session, or renew the one of the same person, who was asked once more."""
        session, fresh = asked.session, arrived.vouched.fresh
        same = session is not None and (session.whose, session.who) == (entrant.whose, entrant.who)
        if session is None or not same or entrant.whose is not Whose.OPERATOR or not arrived.prove:
            return await self._signing.by_provider(entrant, asked.address, asked.agent, fresh=fresh)
        return await self._signing.confirm_by_provider(session, entrant, asked.address)

    @property
    def _known(self) -> OpenIdEntrance:
        if self._entrance is None:
            raise Refusal(404, "There is no such page", _NO_PROVIDER)
        return self._entrance
