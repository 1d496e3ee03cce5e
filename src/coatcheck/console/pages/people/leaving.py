"""Seeing somebody off: what would end with them, ending it, and the report of what did and what did not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from coatcheck.console.pages.endings import ended_words
from coatcheck.console.pages.people.reporting import rows_of, text_of
from coatcheck.console.pages.people.showing import OneQuery
from coatcheck.console.web import sheets
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Sent, Shown, done, saved, seen
from coatcheck.console.web.rendering import link, plural
from coatcheck.operations.people.leftovers import leftovers_of
from coatcheck.operations.people.offboarding import Report
from coatcheck.operations.permissions import Permission
from coatcheck.operations.use_cases import UseCases


class LeaveForm(Struct):
    """Who, and why."""

    name: str
    because: str = ""


class LeavingPages:
    """Serves offboarding, disabling and the report."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        read, write = Permission.SUBJECTS_READ, Permission.SUBJECTS_WRITE
        return [
            seen("/people/offboard", write, self.ask, OneQuery),
            done("/people/offboard", write, self.offboard, LeaveForm, OneQuery, again=self.ask_again),
            seen("/people/disable", write, self.ask_disable, OneQuery),
            done("/people/disable", write, self.disable, LeaveForm, OneQuery, again=self.ask_disable_again),
            seen("/people/report", read, self.report, OneQuery),
            saved("/people/report.csv", read, self.as_csv, OneQuery),
            saved("/people/report.txt", read, self.as_text, OneQuery),
        ]

    async def ask(self, asked: Asked[OneQuery, Nothing]) -> Answer:
        """Show what offboarding a person would end."""
        return await self._asked(asked, asked.query.name, "offboard")

    async def ask_again(self, asked: Asked[OneQuery, Any]) -> Shown:
        """Show it once more."""
        return await self._asked(asked, asked.said("name", asked.query.name), "offboard")

    async def ask_disable(self, asked: Asked[OneQuery, Nothing]) -> Answer:
        """Show what disabling a person would end."""
        return await self._asked(asked, asked.query.name, "disable")

    async def ask_disable_again(self, asked: Asked[OneQuery, Any]) -> Shown:
        """Show it once more."""
        return await self._asked(asked, asked.said("name", asked.query.name), "disable")

    async def _asked(self, asked: Asked[OneQuery, Any], name: str, verb: str) -> Shown:
        snapshot, now = self._cases.directory.snapshot, self._cases.clock.now()
        view = await self._cases.subjects.get(name)
        values = {
            "view": view,
            "verb": verb,
            "would": await self._cases.offboarding.would_end(name),
            "left": leftovers_of(snapshot, name, now, asked.actor.role),
        }
        return Shown("people/leave.html", values)

    async def offboard(self, asked: Asked[OneQuery, LeaveForm]) -> Answer:
        """Offboard a person: all their grants end; go to the report."""
        form = asked.form
        await self._cases.subjects.get(form.name)
        gone = await self._cases.offboarding.offboard(asked.actor, form.name, form.because.strip())
        grants = plural(len(gone.ended.revoked), "grant")
        return Moved(
            link("/people/report", name=form.name),
            f"{form.name} is offboarded: {grants} revoked. {ended_words(gone.ended, gone.browsers)}",
        )

    async def disable(self, asked: Asked[OneQuery, LeaveForm]) -> Answer:
        """Disable a person: they are refused, and their grants are kept."""
        form = asked.form
        await self._cases.subjects.get(form.name)
        gone = await self._cases.offboarding.disable(asked.actor, form.name, form.because.strip())
        return Moved(
            link("/people/one", name=form.name),
            f"{form.name} is disabled. {ended_words(gone.ended, gone.browsers)} The grants are kept.",
        )

    # --- the report ----------------------------------------------------------------------------------------

    async def report(self, asked: Asked[OneQuery, Nothing]) -> Answer:
        """Show what ended with somebody, and what did not."""
        report = await self._report(asked)
        return Shown("people/report.html", {"report": report, "view": report.subject})

    async def as_csv(self, asked: Asked[OneQuery, Nothing]) -> Sent:
        """Send the report as a table."""
        report = await self._report(asked)
        rows = rows_of(report, self._cases.clock.now())
        return Sent(sheets.whole(sheets.lines(rows)), sheets.CSV, "offboarding.csv")

    async def as_text(self, asked: Asked[OneQuery, Nothing]) -> Sent:
        """Send the report as a text."""
        report = await self._report(asked)
        text = text_of(report, self._cases.clock.now())
        return Sent(sheets.whole(text.encode("utf-8", "replace")), sheets.TEXT, "offboarding.txt")

    async def _report(self, asked: Asked[OneQuery, Nothing]) -> Report:
        return await self._cases.offboarding.report(asked.query.name, asked.actor.role)
