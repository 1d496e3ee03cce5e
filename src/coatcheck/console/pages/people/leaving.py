"""Seeing somebody off: what would end with them, ending it, and the report of what did and what did not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from coatcheck.console.pages.people.reporting import rows_of, text_of
from coatcheck.console.pages.people.showing import OneQuery
from coatcheck.console.web import sheets
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Sent, Shown, done, seen
from coatcheck.console.web.rendering import link
from coatcheck.model.browser import Whose
from coatcheck.operations.people.leftovers import leftovers_of
from coatcheck.operations.permissions import Permission, may
from coatcheck.operations.registry.views import Ended
from coatcheck.operations.signing_in.sessions import BrowserSessions
from coatcheck.operations.use_cases import UseCases


class LeaveForm(Struct):
    """Who, and why."""

    name: str
    because: str = ""


class LeavingPages:
    """Serves offboarding, disabling and the report."""

    def __init__(self, cases: UseCases, sessions: BrowserSessions) -> None:
        self._cases = cases
        self._sessions = sessions

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        read, write = Permission.SUBJECTS_READ, Permission.SUBJECTS_WRITE
        return [
            seen("/people/offboard", write, self.ask, OneQuery),
            done("/people/offboard", write, self.offboard, LeaveForm, OneQuery, again=self.ask_again),
            seen("/people/disable", write, self.ask_disable, OneQuery),
            done("/people/disable", write, self.disable, LeaveForm, OneQuery, again=self.ask_disable_again),
            seen("/people/report", read, self.report, OneQuery),
            seen("/people/report.csv", read, self.as_csv, OneQuery),
            seen("/people/report.txt", read, self.as_text, OneQuery),
        ]

    async def ask(self, asked: Asked[OneQuery, Nothing]) -> Answer:
        """Show what would end with somebody for good."""
        return await self._asked(asked.query.name, "offboard")

    async def ask_again(self, asked: Asked[OneQuery, Any]) -> Shown:
        """Show it once more."""
        return await self._asked(_name_of(asked), "offboard")

    async def ask_disable(self, asked: Asked[OneQuery, Nothing]) -> Answer:
        """Show what would end with somebody for a while."""
        return await self._asked(asked.query.name, "disable")

    async def ask_disable_again(self, asked: Asked[OneQuery, Any]) -> Shown:
        """Show it once more."""
        return await self._asked(_name_of(asked), "disable")

    async def _asked(self, name: str, verb: str) -> Shown:
        view = await self._cases.subjects.get(name)
        values = {
            "view": view,
            "verb": verb,
            "would": await self._cases.offboarding.would_end(name),
            "browsers": self._sessions.list(Whose.SUBJECT, name),
            "left": leftovers_of(self._cases.directory.snapshot, name, self._cases.clock.now()),
        }
        return Shown("people/leave.html", values)

    async def offboard(self, asked: Asked[OneQuery, LeaveForm]) -> Answer:
        """End somebody, and go to the report."""
        form = asked.form
        await self._cases.subjects.get(form.name)
        browsers = len(self._sessions.list(Whose.SUBJECT, form.name))
        ended = await self._cases.offboarding.offboard(asked.actor, form.name, form.because.strip(), browsers)
        grants = _counted(len(ended.revoked), "grant")
        return Moved(
            link("/people/report", name=form.name),
            f"{form.name} is offboarded: {grants} revoked, {_cut(ended)}.",
        )

    async def disable(self, asked: Asked[OneQuery, LeaveForm]) -> Answer:
        """Refuse somebody for a while."""
        form = asked.form
        await self._cases.subjects.get(form.name)
        browsers = len(self._sessions.list(Whose.SUBJECT, form.name))
        ended = await self._cases.offboarding.disable(asked.actor, form.name, form.because.strip(), browsers)
        return Moved(
            link("/people/one", name=form.name),
            f"{form.name} is disabled: {_cut(ended)}. The grants are kept.",
        )

    # --- the report ----------------------------------------------------------------------------------------

    async def report(self, asked: Asked[OneQuery, Nothing]) -> Answer:
        """Show what ended with somebody, and what did not."""
        report = await self._cases.offboarding.report(asked.query.name)
        return Shown("people/report.html", {"report": report, "view": report.subject})

    async def as_csv(self, asked: Asked[OneQuery, Nothing]) -> Answer:
        """Send the report as a table."""
        report = await self._cases.offboarding.report(asked.query.name)
        rows = rows_of(report, self._cases.clock.now(), operators=_sees_operators(asked))
        return Sent(sheets.whole(sheets.lines(rows)), sheets.CSV, "offboarding.csv")

    async def as_text(self, asked: Asked[OneQuery, Nothing]) -> Answer:
        """Send the report as a text."""
        report = await self._cases.offboarding.report(asked.query.name)
        text = text_of(report, self._cases.clock.now(), operators=_sees_operators(asked))
        return Sent(sheets.whole(text.encode("utf-8", "replace")), sheets.TEXT, "offboarding.txt")


def _sees_operators(asked: Asked[Any, Any]) -> bool:
    return may(asked.actor.role, Permission.OPERATORS_READ)


def _name_of(asked: Asked[OneQuery, Any]) -> str:
    return asked.typed.get("name", (asked.query.name,))[-1]


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _cut(ended: Ended) -> str:
    """Say what was cut off."""
    parts = (
        (ended.calls, "call cancelled", "calls cancelled"),
        (ended.streams, "stream closed", "streams closed"),
        (ended.sessions, "session ended", "sessions ended"),
    )
    told = [f"{number} {one if number == 1 else many}" for number, one, many in parts if number]
    return ", ".join(told) or "nothing was open"
