"""What all ways in have in common: a password is judged, a session is opened on record, a try is refused."""

from __future__ import annotations

from typing import Final, NamedTuple

from coatcheck.core import passwords
from coatcheck.errors import Busy, CoatcheckError, SignInRefused
from coatcheck.model.browser import BrowserSession, Way, Whose
from coatcheck.model.operator import Actor, Operator, OperatorRole
from coatcheck.model.secret import Secret
from coatcheck.operations.signing_in.brake import Brake
from coatcheck.operations.signing_in.entering import Entering
from coatcheck.operations.signing_in.hashing import Hashing
from coatcheck.operations.signing_in.sessions import BrowserSessions
from coatcheck.operations.signing_in.telling import NOT_IN, SignInRecord

_HOW: Final = "check it, or ask an admin for a new link"
_MAX_NAME_CHARS: Final = 64


class Opened(NamedTuple):
    """A new session, and the token that proves it: for the browser's cookie, once."""

    session: BrowserSession
    token: Secret


class Porter:
    """Lets in whom a way in has proven, and nobody whose coming is not on record."""

    def __init__(
        self,
        sessions: BrowserSessions,
        entering: Entering,
        hashing: Hashing,
        brake: Brake,
        told: SignInRecord,
    ) -> None:
        self._sessions = sessions
        self._entering = entering
        self._hashing = hashing
        self._brake = brake
        self._told = told

    def operator(self, whose: Whose, who: str) -> Operator | None:
        """Return the operator that somebody is, if it may sign in; None: an owner of grants, or nobody."""
        return self._entering.find(who) if whose is Whose.OPERATOR else None

    def actor(self, whose: Whose, who: str, address: str) -> Actor:
        """Return somebody as who makes changes: an operator with its role, and all others as viewers."""
        operator = self.operator(whose, who)
        return Actor(who, operator.role if operator is not None else OperatorRole.VIEWER, address)

    async def judged(self, name: str, password: Secret, address: str) -> Operator:
        """Return the operator that has this name and password.

        Raises:
            SignInRefused: there is none; it is on record.
            SlowDown, Busy: too many wrong tries from there; too many at once.
            Unavailable: it cannot be recorded.
        """
        name = name[:_MAX_NAME_CHARS]
        self._brake.spend(address, name)
        operator = self._entering.find(name)
        kept = operator.password if operator is not None else ""
        try:
            is_right = await self._hashing.fits(password.reveal(), name, kept)
        except Busy:
            self._brake.unjudged(address, name)
            raise
        if not is_right or operator is None:
            raise await self.refused(address, name, operator.name if operator is not None else "")
        self._brake.right(address, name)
        return operator

    async def rehash(self, operator: Operator, password: Secret) -> None:
        """Keep a password hashed as of today; it is tried the next time if that fails."""
        prepared = passwords.prepared(password.reveal())
        try:
            hashed = await self._hashing.hash_of(prepared or "", operator.name)
            await self._entering.set_password(operator.name, operator.password, hashed)
        except CoatcheckError:
            return

    async def open(
        self,
        actor: Actor,
        whose: Whose,
        how: Way,
        agent: str,
        by: str = "",
        of: Operator | None = None,
        *,
        proven: bool = True,
    ) -> Opened:
        """Sign somebody in, and have that on record before anybody can use it. `of`: as it was judged.

        Raises:
            SignedOut: they may not be signed in.
            SignInRefused: `of` was given another password meanwhile.
            Unavailable: it cannot be stored or recorded.
        """
        opened = Opened(
            *await self._sessions.open(whose, actor.name, how, actor.origin, agent, by, proven=proven)
        )
        if of is not None and not self._is_as_judged(of):
            self._sessions.void(opened.session.id)
            raise SignInRefused(NOT_IN, fix=_HOW)
        await self._record(actor, opened.session, "sign_in")
        if whose is Whose.OPERATOR:
            self._brake.met(actor.origin, actor.name)
        return opened

    async def renew(self, session: BrowserSession, actor: Actor, how: Way, by: str = "") -> Opened:
        """Give who has just proven anew who they are another token; the one of before is void at once.

        Raises:
            SignedOut: the session is over.
            Unavailable: it cannot be stored or recorded.
        """
        renewed = Opened(*await self._sessions.renew(session, how, by))
        await self._record(actor, renewed.session, "confirm")
        return renewed

    async def refused(self, address: str, presented: str, operator: str = "") -> SignInRefused:
        """Record a try that failed, and return what is told of it.

        Raises:
            Unavailable: it cannot be recorded.
        """
        await self._told.refused(address, presented, operator)
        return SignInRefused(NOT_IN, fix=_HOW)

    # --- within ------------------------------------------------------------------------------------------

    def _is_as_judged(self, operator: Operator) -> bool:
        """Tell whether the password that was judged is still the one: another was not set meanwhile."""
        found = self._entering.find(operator.name)
        return found is not None and found.password_at == operator.password_at

    async def _record(self, actor: Actor, session: BrowserSession, verb: str) -> None:
        try:
            await self._told.signed_in(actor, session, verb)
        except BaseException:
            self._sessions.void(session.id)
            raise
