"""Signing in and out at browsers: by a one-time link, a password, a vouched identity, or a grant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from coatcheck.core import passwords, tokens
from coatcheck.errors import (
    AuthorizationRefused,
    ConfirmFirst,
    Missing,
    OpenIdRefused,
    SignedOut,
    SignInRefused,
)
from coatcheck.model.browser import BrowserSession, Way, Whose
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.openid import Arrived
from coatcheck.model.operator import Actor
from coatcheck.model.secret import Secret
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.operators import NO_LOGIN
from coatcheck.operations.registry.views import OperatorView
from coatcheck.operations.signing_in.brake import Brake
from coatcheck.operations.signing_in.entering import Entering
from coatcheck.operations.signing_in.hashing import Hashing
from coatcheck.operations.signing_in.porter import Opened, Porter
from coatcheck.operations.signing_in.sessions import BrowserSessions, BrowserView
from coatcheck.operations.signing_in.telling import SignInRecord
from coatcheck.operations.signing_in.vouching import Entrant
from coatcheck.ports import Presented

_NO_WORD: Final = "no word of the provider"
"""What is told of as presented by who brings back nothing good: the provider vouched for nobody."""


class Welcomed(NamedTuple):
    """What `Opened` is, of an operator who used a link."""

    operator: OperatorView
    session: BrowserSession
    token: Secret


class SigningIn:
    """The ways in, and out again."""

    def __init__(
        self,
        sessions: BrowserSessions,
        entering: Entering,
        hashing: Hashing,
        brake: Brake,
        told: SignInRecord,
        snapshot: Callable[[], Snapshot],
        *,
        at_provider: Brake,
        at_links: Brake,
    ) -> None:
        """`brake` is for what takes a form of ours. The others are for what any site can set off by a link.

        So who wastes the provider's time, or has browsers look at made-up links, keeps no password out.
        """
        self._sessions = sessions
        self._entering = entering
        self._hashing = hashing
        self._brake = brake
        self._at_provider = at_provider
        self._at_links = at_links
        self._told = told
        self._snapshot = snapshot
        self._porter = Porter(sessions, entering, hashing, brake, told)

    # --- in ----------------------------------------------------------------------------------------------

    def waiting(self, code: str) -> OperatorView:
        """Return whom a code of a link is for. Nothing is changed: links are looked at.

        Raises:
            Missing: the code is unknown, used or too old.
        """
        found = self._entering.waiting(code)
        if found is None:
            raise Missing(NO_LOGIN, fix="ask an admin for another")
        return found

    async def look(self, code: str, address: str) -> OperatorView:
        """Return the same to somebody who comes with a link.

        Raises:
            Missing: as `waiting`; it is on record.
            SlowDown: too many looked at wrong links from there.
            Unavailable: it cannot be recorded.
        """
        return await self._waiting(code, address, self._at_links)

    async def by_code(self, code: str, password: Secret | None, address: str, agent: str) -> Welcomed:
        """Use up a code; with a password, that is the operator's from then on.

        Raises:
            Unfit: the password cannot be one; the code stays good.
            Missing: the code is unknown, used or too old.
            SignedOut: the operator was ended, or invited anew, while it came in.
            SlowDown, Busy: too many wrong tries from there; too many at once.
            Unavailable: it cannot be stored or recorded.
        """
        name, hashed = (await self._waiting(code, address, self._brake)).name, ""
        if password is not None:
            hashed = await self._hashing.hash_of(passwords.fit(password.reveal(), name), name)
        view = await self._entering.enter(code, name, hashed, address)
        actor = Actor(name, view.role, address)
        return Welcomed(view, *await self._porter.open(actor, Whose.OPERATOR, Way.LINK, agent))

    async def by_password(self, name: str, password: Secret, address: str, agent: str) -> Opened:
        """Sign an operator in. What was wrong is not told, neither by words nor by time.

        Raises:
            SignInRefused: nobody has this name and password.
            SignedOut, SlowDown, Busy, Unavailable: as `by_code`.
        """
        name = name.strip().lower()
        operator = await self._porter.judged(name, password, address)
        if passwords.needs_rehash(operator.password):
            await self._porter.rehash(operator, password)
        return await self._porter.open(
            Actor(operator.name, operator.role, address), Whose.OPERATOR, Way.PASSWORD, agent, of=operator
        )

    async def by_provider(self, entrant: Entrant, address: str, agent: str, *, fresh: bool = False) -> Opened:
        """Sign in whom the provider of identities has just vouched for (`Vouching.admit`).

        Without `fresh` it knew them from before: what asks for a proof of the last minutes asks for one.

        Raises:
            SignedOut: they may not come in any more.
            Unavailable: as `by_code`.
        """
        actor = self._porter.actor(entrant.whose, entrant.who, address)
        return await self._porter.open(actor, entrant.whose, Way.OIDC, agent, by=entrant.by, proven=fresh)

    async def back(self, judge: Callable[[], Awaitable[Arrived]], address: str) -> Arrived:
        """Have judged what a browser of ours brings back from the provider (`OpenIdSignIn.finish`).

        Raises:
            OpenIdRefused, AuthorizationRefused: as `judge`; it is on record.
            SlowDown: too many were refused from there: each has us ask the provider.
            ConfirmFirst, UpstreamError, Busy: as `judge`.
            Unavailable: it cannot be recorded.
        """
        self._at_provider.spend(address)
        try:
            arrived = await judge()
        except (OpenIdRefused, AuthorizationRefused):
            await self._told.refused(address, _NO_WORD)
            raise
        except BaseException:
            self._at_provider.right(address)  # nobody has judged it, or it was right and too old
            raise
        self._at_provider.right(address)
        return arrived

    async def refused_by_provider(self, presented: str, address: str) -> None:
        """Put on record that nobody was let in who came from the provider; of `presented` only a print.

        Raises:
            Unavailable: it cannot be recorded.
        """
        await self._told.refused(address, presented)

    async def by_grant(self, token: Secret, address: str, agent: str) -> Opened:
        """Sign in the owner of a live grant, for a page of its own. Automations have such pages, too.

        The session lasts no longer than that token is good. It is the owner's, not the grant's: the page
        shows all grants of the owner, however narrow the one presented.

        Raises:
            SignInRefused: it is no live grant.
            SignedOut: it ended meanwhile.
            SlowDown, Unavailable: as `by_code`.
        """
        self._brake.spend(address)
        text = token.reveal().strip()
        headers = {"authorization": (f"Bearer {text}",)}
        found = self._snapshot().identify(Presented(headers, address, address))
        if not isinstance(found, Principal) or found.voucher is not Voucher.GRANT:
            raise await self._porter.refused(address, text)
        self._brake.right(address)
        known = tokens.public_id(text) if tokens.is_well_formed(text) else ""
        by = known if known in self._snapshot().issued else found.grant_id
        actor = self._porter.actor(Whose.SUBJECT, found.subject, address)
        return await self._porter.open(actor, Whose.SUBJECT, Way.GRANT, agent, by=by)

    # --- while in ----------------------------------------------------------------------------------------

    def actor_of(self, session: BrowserSession, address: str) -> Actor | None:
        """Return the operator who is signed in, as who makes changes; None: it is an owner of grants."""
        operator = self._porter.operator(session.whose, session.who)
        return None if operator is None else Actor(operator.name, operator.role, address)

    async def confirm(self, session: BrowserSession, password: Secret, address: str) -> Opened:
        """Let an operator prove anew who it is; another token takes the place of the session's, at once.

        Raises:
            SignInRefused: that is not its password, or it has none.
            SignedOut: the session is over.
            SlowDown, Busy, Unavailable: as `by_code`.
        """
        operator = await self._porter.judged(_operator_name(session), password, address)
        return await self._porter.renew(session, Actor(operator.name, operator.role, address), Way.PASSWORD)

    async def confirm_by_provider(self, session: BrowserSession, entrant: Entrant, address: str) -> Opened:
        """Do the same for whom the provider has just vouched for. Raises as `confirm`."""
        if (entrant.whose, entrant.who) != (session.whose, session.who):
            raise await self._porter.refused(address, entrant.by)
        actor = self._porter.actor(entrant.whose, entrant.who, address)
        return await self._porter.renew(session, actor, Way.OIDC, by=entrant.by)

    async def set_password(
        self, session: BrowserSession, old: Secret | None, new: Secret, address: str
    ) -> Opened:
        """Give an operator a password, or another: all its sessions end, and this one is opened anew.

        Raises:
            Unfit: the new one cannot be a password.
            SignInRefused: the old one is wrong.
            ConfirmFirst: there is no old one, and the sign-in is too long ago.
            Stale: it was given another password meanwhile, or may not sign in any more.
            SignedOut, SlowDown, Busy, Unavailable: as `confirm`.
        """
        name = _operator_name(session)
        operator = self._entering.find(name)
        if operator is None or not self._sessions.stands(session):
            raise SignedOut("You are signed out here.", fix="sign in again")
        prepared = passwords.fit(new.reveal(), name)
        if operator.password:
            operator = await self._porter.judged(name, old or Secret(""), address)
        elif not self._sessions.verified_recently(session):
            raise ConfirmFirst("Your first password needs a fresh sign-in.", fix="sign in again, then set it")
        hashed = await self._hashing.hash_of(prepared, name)
        actor = Actor(name, operator.role, address)
        await self._entering.set_password(name, operator.password, hashed, actor)
        opened = await self._porter.open(actor, Whose.OPERATOR, Way.PASSWORD, session.agent)
        self._sessions.void_of(Whose.OPERATOR, name, but=opened.session.id)
        return opened

    # --- out ---------------------------------------------------------------------------------------------

    async def sign_out(self, session: BrowserSession, address: str) -> None:
        """End one's own session; it is void whatever is raised.

        Raises:
            Unavailable: it is on record, but the store does not know yet, and is told again and again. Or it
                cannot be recorded: then it never will be.
        """
        ended = self._sessions.void(session.id)
        if ended is not None:
            actor = self._porter.actor(session.whose, session.who, address)
            await self._ended(actor, [ended], "sign_out")

    async def end_session(self, actor: Actor, id: str) -> BrowserView:
        """End somebody's session, or another of one's own.

        Raises:
            Missing: there is none.
            Unavailable: as `sign_out`.
        """
        ended = self._sessions.void(id)
        if ended is None:
            raise Missing("there is no such browser session", fix="it ended meanwhile")
        await self._ended(actor, [ended], "end_session")
        return ended

    async def end_sessions(
        self, actor: Actor, whose: Whose, who: str, but: str = ""
    ) -> Sequence[BrowserView]:
        """End all sessions of somebody, but for one if that is named. Raises as `sign_out`."""
        ended = self._sessions.void_of(whose, who, but)
        await self._ended(actor, ended, "end_session")
        return ended

    # --- within ------------------------------------------------------------------------------------------

    async def _waiting(self, code: str, address: str, brake: Brake) -> OperatorView:
        brake.spend(address)
        try:
            found = self.waiting(code)
        except Missing:
            await self._told.refused(address, code)
            raise
        brake.right(address)
        return found

    async def _ended(self, actor: Actor, ended: Sequence[BrowserView], verb: str) -> None:
        """Have on record what is void already, whether the store knows it by now or is owed it."""
        try:
            await self._sessions.settle()
        finally:
            await self._told.ended(actor, ended, verb)


def _operator_name(session: BrowserSession) -> str:
    if session.whose is not Whose.OPERATOR:
        raise SignInRefused("Owners of grants have no password here.", fix="sign in as an operator")
    return session.who
