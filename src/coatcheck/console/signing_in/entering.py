"""Signing in at a browser: by the one-time link, by a password, by a grant; proving it again; signing out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from coatcheck.console.web.page import (
    Answer,
    AnyPage,
    Asked,
    Door,
    Moved,
    Nothing,
    Shown,
    done,
    seen,
)
from coatcheck.console.web.refusing import Refusal
from coatcheck.core.going import way_back
from coatcheck.errors import Missing, Unfit
from coatcheck.model.browser import Whose
from coatcheck.model.secret import Secret
from coatcheck.operations.signing_in.signing import SigningIn

FIRST_STEPS = "/start"
_ONCE_MORE = "It is you. Now fill the form in and send it once more."
_NO_CODE = "It was used, is older than a day, or was never given out. A link works once."
_ASK_ANEW = (
    "Ask an admin for another. For the first operator, start the gateway again: it prints a new one as long "
    "as nobody signed in."
)


class Back(Struct):
    """Where to go on."""

    back: str = ""


class ProofQuery(Back):
    """The same; `unsent`: a form was sent there, and was not taken for want of the proof."""

    unsent: bool = False


class PasswordForm(Struct):
    """Name and password of an operator."""

    name: str
    password: Secret


class GrantForm(Struct):
    """The token of a grant."""

    token: Secret


class WelcomeForm(Struct):
    """The password that somebody chose, twice."""

    password: Secret
    again: Secret
    name: str = ""
    """What password managers keep it under; it says nothing to us."""


class ConfirmForm(Struct):
    """The password of whoever is signed in; `name` as in `WelcomeForm`."""

    password: Secret
    name: str = ""


class SigningInPages:
    """Serves signing in.

    `openid` is the name of the provider, empty without one. `operators`: they sign in here, too.
    """

    def __init__(self, signing: SigningIn, openid: str, *, operators: bool = True) -> None:
        self._operators = operators
        self._signing = signing
        self._openid = openid

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        return [
            seen("/login", Door.OPEN, self.ask, Back),
            done("/login", Door.OPEN, self.by_password, PasswordForm, Back, again=self.ask_again),
            seen("/login/grant", Door.OPEN, self.ask_grant),
            done("/login/grant", Door.OPEN, self.by_grant, GrantForm, again=self.ask_grant),
            seen("/welcome/{code}", Door.OPEN, self.welcome),
            done("/welcome/{code}", Door.OPEN, self.by_code, WelcomeForm, again=self.welcome_again),
            seen("/confirm", Door.SIGNED_IN, self.ask_proof, ProofQuery),
            done("/confirm", Door.SIGNED_IN, self.prove, ConfirmForm, ProofQuery, again=self.ask_proof_again),
            done("/logout", Door.SIGNED_IN, self.sign_out),
        ]

    async def ask(self, asked: Asked[Back, Nothing]) -> Answer:
        """Show the form for an operator's name and password."""
        if asked.session is not None:
            return Moved(way_back(asked.query.back))
        return await self.ask_again(asked)

    async def ask_again(self, asked: Asked[Back, Any]) -> Shown:
        """Show the form for an operator's name and password."""
        return Shown("signing_in/login.html", {"back": asked.query.back, "openid": self._openid})

    async def by_password(self, asked: Asked[Back, PasswordForm]) -> Answer:
        """Sign an operator in."""
        form = asked.form
        name = form.name.strip()
        opened = await self._signing.by_password(name, form.password, asked.address, asked.agent)
        return Moved(way_back(asked.query.back), enters=opened.token)

    async def ask_grant(self, asked: Asked[Nothing, Any]) -> Shown:  # noqa: ARG002 - the shape of a page
        """Show the form in which a developer gives the token of a grant."""
        return Shown("signing_in/grant.html", {"operators": self._operators})

    async def by_grant(self, asked: Asked[Nothing, GrantForm]) -> Answer:
        """Sign a developer in to their own page, by the token of a grant."""
        token = Secret(asked.form.token.reveal().strip())
        opened = await self._signing.by_grant(token, asked.address, asked.agent)
        return Moved("/mine", enters=opened.token)

    async def welcome(self, asked: Asked[Nothing, Any]) -> Answer:
        """Show which operator a first link is for; looking does not use the link up."""
        try:
            waiting = await self._signing.look(asked.names["code"], asked.address)
        except Missing:
            raise Refusal(404, "This link leads nowhere", _NO_CODE, _ASK_ANEW) from None
        return Shown("signing_in/welcome.html", {"operator": waiting})

    async def welcome_again(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show it once more to who sent the form; the link was counted then."""
        return Shown("signing_in/welcome.html", {"operator": self._signing.waiting(asked.names["code"])})

    async def by_code(self, asked: Asked[Nothing, WelcomeForm]) -> Answer:
        """Use the link up: set the operator's password, and sign them in."""
        form = asked.form
        if form.password.reveal() != form.again.reveal():
            raise Unfit("the two passwords differ", fix="type the same one twice")
        _, _, token = await self._signing.by_code(
            asked.names["code"], form.password, asked.address, asked.agent
        )
        return Moved(FIRST_STEPS, "You are signed in. Your password is set.", enters=token)

    async def ask_proof(self, asked: Asked[ProofQuery, Nothing]) -> Answer:
        """Ask for the password once more, before something that takes a fresh proof."""
        return await self.ask_proof_again(asked)

    async def ask_proof_again(self, asked: Asked[ProofQuery, Any]) -> Shown:
        """Ask for the password once more, before something that takes a fresh proof."""
        query, way = asked.query, asked.signed_in.how
        values = {"back": query.back, "unsent": query.unsent, "way": way, "openid": self._openid}
        return Shown("signing_in/confirm.html", values)

    async def prove(self, asked: Asked[ProofQuery, ConfirmForm]) -> Answer:
        """Check that password, and go back to what asked for it."""
        password = asked.form.password
        _, token = await self._signing.confirm(asked.signed_in, password, asked.address)
        said = _ONCE_MORE if asked.query.unsent else ""
        return Moved(way_back(asked.query.back), said, "info", enters=token)

    async def sign_out(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Sign this browser out."""
        await self._signing.sign_out(asked.signed_in, asked.address)
        to = "/login/grant" if asked.signed_in.whose is Whose.SUBJECT else "/login"
        return Moved(to, "You are signed out.", leaves=True)
