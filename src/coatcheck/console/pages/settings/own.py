"""What everybody sets for themselves: the password, a token for programs, and their browsers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from msgspec import Struct

from coatcheck.console.pages.settings.browsers import browser_of
from coatcheck.console.web.page import Answer, AnyPage, Asked, Door, Moved, Nothing, Shown, done, seen
from coatcheck.errors import Missing, Unfit
from coatcheck.model.browser import Whose
from coatcheck.model.secret import Secret
from coatcheck.operations.permissions import Permission, may
from coatcheck.operations.registry.views import OperatorView
from coatcheck.operations.signing_in.sessions import BrowserSessions, BrowserView
from coatcheck.operations.signing_in.signing import SigningIn
from coatcheck.operations.use_cases import UseCases

ME = "/settings/me"
SESSIONS = "/settings/sessions"


class What(StrEnum):
    """What is done with a token."""

    MAKE = "make"
    VOID = "void"


class PasswordForm(Struct):
    """The password of before, if there was one, and the new one twice."""

    password: Secret
    again: Secret
    former: Secret = Secret("")
    name: str = ""
    """What password managers keep it under; it says nothing to us."""


class TokenForm(Struct):
    """What to do with the token."""

    what: What


@dataclass(frozen=True, slots=True)
class Browser:
    """One session as it is shown: `browser` says in words what its agent is."""

    view: BrowserView
    browser: str
    is_this: bool


class OwnSettingPages:
    """Serves what is one's own."""

    def __init__(self, cases: UseCases, sessions: BrowserSessions, signing: SigningIn) -> None:
        self._cases = cases
        self._sessions = sessions
        self._signing = signing

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        own = Permission.SELF
        return [
            seen(ME, Door.SIGNED_IN, self.show),
            done(f"{ME}/password", Door.SIGNED_IN, self.set_password, PasswordForm, again=self.show_again),
            seen(f"{ME}/token", own, self.ask_token, proven=True),
            done(f"{ME}/token", own, self.token, TokenForm, proven=True, once=f"{ME}/token"),
            seen(SESSIONS, own, self.list),
            done(f"{SESSIONS}/others/end", own, self.end_others),
            done(f"{SESSIONS}/{{id}}/end", own, self.end_one),
            done(f"{SESSIONS}/all/{{id}}/end", Permission.OPERATORS_WRITE, self.end_any),
        ]

    # --- password and token --------------------------------------------------------------------------------

    async def show(self, asked: Asked[Nothing, Any]) -> Answer:
        """Show one's own name, role and form for the password; developers are led to `/mine`."""
        if asked.by is None:
            return Moved("/mine")
        return await self.show_again(asked)

    async def show_again(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show the same."""
        session = asked.signed_in
        if session.whose is not Whose.OPERATOR:
            raise Unfit("Owners of grants have no password here.", fix="sign in as an operator")
        values = {
            "view": operator_of(self._cases, session.who),
            "way": session.how,
            "since": session.created_at,
            "is_proven": self._sessions.verified_recently(session),
        }
        return Shown("settings/me.html", values)

    async def set_password(self, asked: Asked[Nothing, PasswordForm]) -> Answer:
        """Set one's own password; all other browsers of one's own are signed out."""
        form = asked.form
        if form.password.reveal() != form.again.reveal():
            raise Unfit("the two new passwords differ", fix="type the same one twice")
        former = form.former if form.former.reveal() else None
        opened = await self._signing.set_password(asked.signed_in, former, form.password, asked.address)
        said = "Your password is set. All other browsers are signed out."
        return Moved(ME, said, enters=opened.token)

    async def ask_token(self, asked: Asked[Nothing, Any]) -> Answer:
        """Show whether one has an API token; the token itself cannot be shown."""
        return Shown("settings/own_token.html", {"view": operator_of(self._cases, asked.actor.name)})

    async def token(self, asked: Asked[Nothing, TokenForm]) -> Answer:
        """Make, replace or void one's own API token."""
        name = asked.actor.name
        if asked.form.what is What.VOID:
            await self._cases.operators.void_token(asked.actor, name)
            return Moved(f"{ME}/token", "The token is void.")
        view, token = await self._cases.operators.token(asked.actor, name)
        return Shown("settings/token_made.html", made_of(self._cases, view, token, f"{ME}/token"))

    # --- browsers ------------------------------------------------------------------------------------------

    async def list(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """List the browsers that one is signed in at; to admins those of everybody."""
        session = asked.signed_in
        views = self._sessions.list()
        own = [one for one in views if (one.whose, one.who) == (session.whose, session.who)]
        others = [one for one in views if one not in own]
        may_see = may(asked.actor.role, Permission.OPERATORS_WRITE)
        values = {
            "own": [_browser(one, session.id) for one in own],
            "others": [_browser(one, session.id) for one in others] if may_see else [],
            "may_see": may_see,
        }
        return Shown("settings/sessions.html", values)

    async def end_one(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Sign one browser of one's own out."""
        session, id = asked.signed_in, asked.names["id"]
        own = self._sessions.list(session.whose, session.who)
        if not any(one.id == id for one in own):
            raise Missing("there is no such browser session of yours", fix="it ended meanwhile")
        if id == session.id:
            await self._signing.sign_out(session, asked.address)
            return Moved("/login", "You are signed out.", leaves=True)
        await self._signing.end_session(asked.actor, id)
        return Moved(SESSIONS, "That browser is signed out.")

    async def end_others(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Sign all browsers of one's own out, but this one."""
        session = asked.signed_in
        ended = await self._signing.end_sessions(asked.actor, session.whose, session.who, session.id)
        count = len(ended)
        said = f"{count} other {'browser is' if count == 1 else 'browsers are'} signed out."
        return Moved(SESSIONS, said if ended else "There was no other browser.")

    async def end_any(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Sign a browser of somebody out."""
        ended = await self._signing.end_session(asked.actor, asked.names["id"])
        return Moved(SESSIONS, f"{ended.who} is signed out at that browser.")


def operator_of(cases: UseCases, name: str) -> OperatorView:
    """Return an operator as it is shown.

    Raises:
        Missing: there is none of this name.
    """
    for view in cases.operators.list():
        if view.name == name:
            return view
    raise Missing("there is no such operator", fix="Settings, Operators names them")


def made_of(cases: UseCases, view: OperatorView, token: Secret, back: str) -> dict[str, Any]:
    """Return what the page of a token just made needs; it is shown there and nowhere again."""
    return {"view": view, "token": token.reveal(), "api": str(cases.overview()["api"]), "back": back}


def _browser(view: BrowserView, this: str) -> Browser:
    return Browser(view, browser_of(view.agent), view.id == this)
