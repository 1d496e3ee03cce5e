"""The pages behind a claim link: one shows a button, and only what that sends fetches the token, once.

A link is fetched by many programs before its owner opens it (previews of chats, scanners of mail): looking
shows nothing that is secret and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from coatcheck.console.web.page import Answer, AnyPage, Asked, Door, Nothing, Shown, done, seen
from coatcheck.console.web.refusing import Refusal
from coatcheck.core import tokens
from coatcheck.core.client_pieces import VARIABLE, pastes, route_of
from coatcheck.errors import CoatcheckError, Missing
from coatcheck.model.browser import Whose
from coatcheck.model.secret import Secret
from coatcheck.operations.registry.views import GrantView
from coatcheck.operations.signing_in.signing import SigningIn
from coatcheck.operations.use_cases import UseCases

_NOWHERE: Final = (
    "It was used already, is too old, or was never given out. A link works once. If you did not use it "
    "yourself, tell whoever sent it: the grant can be revoked."
)
_USED: Final = (
    "You used it at this browser: the token was shown once, and is not shown again. Your own page is /mine."
)


class ClaimPages:
    """Serves `/claim/CODE`."""

    def __init__(self, cases: UseCases, signing: SigningIn) -> None:
        self._cases = cases
        self._signing = signing

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages. They are where clients are: whoever uses a grant can fetch one."""
        return [
            seen("/claim/{code}", Door.OPEN, self.show, anywhere=True),
            done("/claim/{code}", Door.OPEN, self.reveal, anywhere=True, before=_refuse_used),
        ]

    async def show(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show whose grant a claim link is for; looking does not use the link up."""
        try:
            waiting = self._cases.grants.claimable(asked.names["code"])
        except Missing:
            raise self._unknown(asked) from None
        return Shown("mine/claim.html", {"grant": waiting})

    async def reveal(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Use the link up: make the grant's token, show it once, and sign its owner in to their own page."""
        try:
            issued = await self._cases.grants.claim(asked.names["code"], asked.address)
        except Missing:
            raise self._unknown(asked) from None
        token = issued.token
        assert token is not None, "what was claimed has a token"  # noqa: S101
        grant = issued.grant
        values = {
            "grant": grant,
            "token": token.reveal(),
            "shell": f"export {VARIABLE}='{token.reveal()}'",
            "pastes": pastes(*route_of(self._cases.origin(), grant.servers), indent=2, token=token),
        }
        return Shown("mine/claimed.html", values, enters=await self._enter(asked, token, grant))

    async def _enter(self, asked: Asked[Any, Any], token: Secret, grant: GrantView) -> Secret | None:
        """Sign the owner in where nobody is: whoever tries a link as an operator stays one."""
        now = asked.session
        if not asked.may_enter or (now is not None and now.whose is Whose.OPERATOR):
            return None
        if now is not None and now.who == grant.subject:
            return None
        with suppress(CoatcheckError):  # the token is shown all the same, and lets its owner in later
            return (await self._signing.by_grant(token, asked.address, asked.agent)).token
        return None

    def _unknown(self, asked: Asked[Any, Any]) -> Refusal:
        if _used_here(asked):
            return _used()
        if not self._cases.spend(asked.address):
            return Refusal(429, "Too many wrong links", "Wait a minute.", headers={"Retry-After": "60"})
        return Refusal(404, "This link leads nowhere", _NOWHERE, "Ask for a new one.")


async def _refuse_used(asked: Asked[Any, Any]) -> None:
    """Refuse the form of a link that this browser used: reloading what was shown sends it again.

    Whoever claims is signed in by that, so the form's mark is of no use then.

    Raises:
        Refusal: 404.
    """
    if _used_here(asked):
        raise _used()


def _used_here(asked: Asked[Any, Any]) -> bool:
    """Tell whether whoever asks is signed in by the token that a link fetched."""
    code, now = asked.names["code"], asked.session
    return now is not None and tokens.is_well_formed(code) and now.by == tokens.public_id(code)


def _used() -> Refusal:
    return Refusal(404, "This link was used", _USED, on="/mine", button="Go to your own page")
