"""Puts on record who signed in and out at browsers, as changes, and who was refused, folded like callers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coatcheck.core.tokens import Pepper
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.browser import BrowserSession, Whose
from coatcheck.model.change import Change, ObjectKind
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
        await self._changes.add(self._changed(by, session, verb, begins=True))

    async def ended(self, by: Actor, ended: Sequence[BrowserView], verb: str) -> None:
        """Tell of sessions that were ended: `sign_out` one's own, `end_session` others. Each is tried.

        Raises:
            LedgerUnavailable: one cannot be recorded. Another try at it would find nothing to end.
        """
        failed: LedgerUnavailable | None = None
        for one in ended:
            try:
                await self._changes.add(self._changed(by, one, verb, begins=False))
            except LedgerUnavailable as error:
                failed = error
        if failed is not None:
            raise failed

    async def refused(self, address: str, presented: str, operator: str = "") -> None:
        """Tell of a try that failed: of which operator, or a print of what was presented. As `signed_in`."""
        trace = f"operator:{operator}" if operator else f"{STRANGER}{self._pepper.print_of(presented)}"
        await self._refusals.note(Refused("sign_in", NOT_IN, trace, guess=True), ROUTE, address)

    def _changed(self, by: Actor, one: BrowserSession | BrowserView, verb: str, *, begins: bool) -> Change:
        what = (_KINDS[one.whose], one.who, one.who)
        told = {"session": one.id, "how": one.how.value, "agent": one.agent}
        before, after = (None, told) if begins else (told, None)
        return self._scribe.changed(by, f"{one.whose.value}.{verb}", what, before, after)
