"""One grant: what it reaches, who uses it, what revoking would end; changing, rotating and restoring it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from coatcheck.console.pages import plots
from coatcheck.console.pages.endings import ended_words, open_words
from coatcheck.console.pages.grants.issuing import IssuingPages
from coatcheck.console.pages.grants.listing import suggestions
from coatcheck.console.pages.grants.shapes import (
    ChangeForm,
    RotateForm,
    begins_change,
    filled_of,
    patch_of,
)
from coatcheck.console.pages.places import Places
from coatcheck.console.web.forms import BecauseForm
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.paths import grant_page
from coatcheck.core.activity import Knock, Series, Step
from coatcheck.errors import Unavailable
from coatcheck.model.reading import RadiusFilter
from coatcheck.model.record import RecordEntry, RecordFilter
from coatcheck.model.server import Source
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.permissions import Permission, may
from coatcheck.operations.policies.showing import words_of
from coatcheck.operations.readers import ReadKind
from coatcheck.operations.registry.views import GrantView
from coatcheck.operations.use_cases import UseCases

LOOKED_BACK: Final = timedelta(days=30)
MOST_CALLS: Final = 10
MOST_USES: Final = 50
OVERLAPS: Final = (
    ("0", "At once", "What it opened ends now, and the client must have the new token."),
    ("3600", "In an hour", "Both tokens are good until then."),
    ("86400", "In a day", "Both tokens are good until then."),
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the record tells of a grant; `why_not` says why it does not."""

    series: Series | None = None
    knock: Knock | None = None
    calls: Sequence[RecordEntry] = ()
    why_not: str = ""


class GrantPages:
    """Serves one grant. `issuing` shows a new token once."""

    def __init__(self, cases: UseCases, issuing: IssuingPages) -> None:
        self._cases = cases
        self._issuing = issuing

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        writing, one = Permission.GRANTS_WRITE, "/grants/{ref}"
        return [
            seen(one, Permission.GRANTS_READ, self.show),
            seen(f"{one}/touched", Permission.RECORDS, self.touched),
            done(f"{one}/revoke", writing, self.revoke, BecauseForm, again=self.show_again),
            done(f"{one}/restore", writing, self.restore, again=self.show_again),
            seen(f"{one}/change", writing, self.ask_change),
            done(f"{one}/change", writing, self.change, ChangeForm, again=self.ask_change_again),
            seen(f"{one}/rotate", writing, self.ask_rotation),
            done(
                f"{one}/rotate",
                writing,
                self.rotate,
                RotateForm,
                again=self.ask_rotation_again,
                once="/grants",
            ),
        ]

    # --- looking -----------------------------------------------------------------------------------------

    async def show(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show a grant: its terms, what it did, and what is open by it."""
        if asked.part == "open-now":
            view = await self._cases.grants.get(asked.names["ref"])
            return Shown("grants/open.html", {**_frame(view), "open": self._cases.grants.open_now([view.id])})
        return await self.show_again(asked)

    async def show_again(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show it once more."""
        cases = self._cases
        view = await cases.grants.get(asked.names["ref"])
        subject = cases.directory.snapshot.registry.subjects.get(view.subject)
        counted = await self._count(asked, view)
        uses = cases.policy_uses.bearing_on(view.id)
        open_now = cases.grants.open_now([view.id])
        values = {
            **_frame(view),
            "places": Places(cases.directory.snapshot),
            "automation": subject is not None and subject.kind is SubjectKind.AUTOMATION,
            "counted": counted,
            "points": plots.counts(counted.series),
            "uses": [(use, words_of(use)) for use in uses[:MOST_USES]],
            "more_uses": max(0, len(uses) - MOST_USES),
            "open": open_now,
            "open_words": open_words(open_now),
            "file": cases.overview()["config"]["path"] if view.source is Source.FILE else "",
            "because": asked.said("because"),
        }
        return Shown("grants/one.html", values)

    async def touched(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show all that was done with a grant; that somebody asked is on record."""
        view = await self._cases.grants.get(asked.names["ref"])
        found = await self._cases.radii.find(RadiusFilter(grant=view.id))
        if found is not None:
            await self._cases.readers.look(asked.actor, ReadKind.RADIUS, {"grant": view.id})
        return Shown("grants/touched.html", {**_frame(view), "found": found})

    # --- doing -------------------------------------------------------------------------------------------

    async def revoke(self, asked: Asked[Nothing, BecauseForm]) -> Answer:
        """Revoke a grant; the answer comes when what it opened has ended."""
        ref, because = asked.names["ref"], asked.form.because.strip()
        ended = await self._cases.grants.revoke(asked.actor, [ref], because)
        view = ended.grants[0]
        if view.id not in ended.revoked:
            return Moved(grant_page(view.id), f"{view.label} was revoked before.", "info")
        return Moved(grant_page(view.id), f"{view.label} is revoked. {ended_words(ended)}")

    async def restore(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Let a revoked grant of the servers file be good again."""
        view = await self._cases.grants.restore(asked.actor, asked.names["ref"])
        return Moved(grant_page(view.id), f"{view.label} is good again, as the file declares it.")

    async def ask_change(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show the form for changing a grant."""
        return await self.ask_change_again(asked)

    async def ask_change_again(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show it once more."""
        view = await self._cases.grants.get(asked.names["ref"])
        offered = suggestions(self._cases)
        known = set(offered["servers"])
        gone = [name for name in view.servers or () if name not in known]
        values = {
            **_frame(view),
            **offered,
            "servers": [*offered["servers"], *gone],
            "filled": filled_of(asked.typed, begins_change(view)),
        }
        return Shown("grants/change.html", values)

    async def change(self, asked: Asked[Nothing, ChangeForm]) -> Answer:
        """Change a grant."""
        patch = patch_of(asked.form, self._cases.clock.now())
        view = await self._cases.grants.change(asked.actor, asked.names["ref"], patch, asked.form.version)
        return Moved(grant_page(view.id), f"{view.label} is changed, from the next call on.")

    async def ask_rotation(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show the form for a new token of a grant."""
        return await self.ask_rotation_again(asked)

    async def ask_rotation_again(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show it once more."""
        view = await self._cases.grants.get(asked.names["ref"])
        values = {**_frame(view), "overlaps": OVERLAPS, "overlap": asked.said("overlap", "3600")}
        return Shown("grants/rotate.html", values)

    async def rotate(self, asked: Asked[Nothing, RotateForm]) -> Answer:
        """Make a new token for a grant, and show it once."""
        form = asked.form
        issued = await self._cases.grants.rotate(
            asked.actor, asked.names["ref"], float(form.overlap), form.version
        )
        return self._issuing.shown(issued, again=True)

    # --- within ------------------------------------------------------------------------------------------

    async def _count(self, asked: Asked[Any, Any], view: GrantView) -> Counted:
        """Return what the record tells; single calls only to those who may read it, which is on record."""
        since, cases = self._cases.clock.now() - LOOKED_BACK, self._cases
        try:
            series = await cases.activity.over(since, step=Step.DAY, grant=view.id)
            knocks = await cases.activity.knocking(since)
            knock = next((one for one in knocks.items if one.grant_id == view.id), None)
            calls: Sequence[RecordEntry] = ()
            if may(asked.actor.role, Permission.RECORDS):
                await cases.readers.look(asked.actor, ReadKind.LIST, {"grant": view.id, "limit": MOST_CALLS})
                calls = (await cases.ledger.look(RecordFilter(grant=view.id, limit=MOST_CALLS))).entries
            return Counted(series, knock, calls[::-1])
        except Unavailable as error:
            return Counted(why_not=error.message)


def _frame(view: GrantView) -> dict[str, Any]:
    """Return what all pages about one grant need."""
    return {
        "view": view,
        "here": grant_page(view.id),
        "of_file": view.source is Source.FILE,
        "over": view.state.is_over,
    }
