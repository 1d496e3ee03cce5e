"""Puts on record who signed in and out at browsers, as changes, and who was refused, folded like callers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coatcheck.core.tokens import Pepper
from coatcheck.model.browser import BrowserSession, Whose
from coatcheck.model.change import ObjectKind
from coatcheck.model.operator import Actor
from coatcheck.operations.refusals import Refusals
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.signing_in.sessions import BrowserView
from coatcheck.ports import STRANGER, ChangeLog, Refused

ROUTE: Final = "/sign-in"
"""What stands on record as the route of a refused sign-in."""
NOT_IN: Final = "That did not sign you in: the name, the password or the link is wrong, or no longer good."

_KINDS: Final = {Whose.OPERATOR: ObjectKind.OPERATOR, Whose.SUBJECT: ObjectKind.SUBJECT}


class SignInRecord:
    """Writes to the chain what the console does about being signed in."""

    def __init__(self, changes: ChangeLog, scribe: Scribe, refusals: Refusals, pepper: Pepper) -> None:
        self._changes = changes
        self._scribe = scribe
        self._refusals = refusals
        self._pepper = pepper

    async def signed_in(self, by: Actor, session: BrowserSession, verb: str) -> None:
        """Tell of a new session. `verb` is `sign_in`, or `confirm` where one took another's place.

        Raises:
            LedgerUnavailable: it cannot be recorded.
        """
        what = (_KINDS[session.whose], session.who, session.who)
        told = {"session": session.id, "how": session.how.value, "agent": session.agent}
        await self._changes.add(self._scribe.changed(by, f"{session.whose.value}.{verb}", what, None, told))

    async def ended(self, by: Actor, ended: Sequence[BrowserView], verb: str) -> None:
        """Tell of sessions that were ended: `sign_out` one's own, `end_session` others. As `signed_in`."""
        for one in ended:
            what = (_KINDS[one.whose], one.who, one.who)
            told = {"session": one.id, "how": one.how.value, "agent": one.agent}
            await self._changes.add(self._scribe.changed(by, f"{one.whose.value}.{verb}", what, told, None))

    async def refused(self, address: str, presented: str, operator: str = "") -> None:
        """Tell of a try that failed: of which operator, or a print of what was presented. As `signed_in`."""
        trace = f"operator:{operator}" if operator else f"{STRANGER}{self._pepper.print_of(presented)}"
        await self._refusals.note(Refused("sign_in", NOT_IN, trace, guess=True), ROUTE, address)
