"""The editor of a policy: rows for people beside the document, cases, a replay of what was called, saving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.policies.drafting import Draft, drafted
from coatcheck.console.pages.policies.reading import Typed
from coatcheck.console.pages.policies.ready import ready
from coatcheck.console.pages.policies.rules import rules_of, tools_of
from coatcheck.console.pages.policies.shapes import (
    CHOICES,
    DAYS,
    SECTIONS,
    WINDOWS,
    DraftForm,
    place_of,
    visual_of,
)
from coatcheck.console.pages.policies.trying import tried
from coatcheck.console.web.forms import RunQuery
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.paths import policy_page
from coatcheck.console.web.refusing import Refusal, status_of
from coatcheck.core.policy.builtin import BUILT_IN
from coatcheck.core.policy.editing.yaml_writing import write_yaml
from coatcheck.core.policy.trying.suggesting import name_for
from coatcheck.errors import CoatcheckError, Missing, Unfit
from coatcheck.model.policy import Default
from coatcheck.model.stored_policy import UseKind
from coatcheck.operations.permissions import Permission, may
from coatcheck.operations.policies.replay_runs import ReplayRun
from coatcheck.operations.policies.replaying import MOST_ENTRIES, ReplayQuestion
from coatcheck.operations.policies.views import PolicyView
from coatcheck.operations.readers import ReadKind
from coatcheck.operations.use_cases import UseCases

MOST_CHANGES: Final = 25
SECONDS: Final = 600.0
"""A replay may take as long, its wait for others among it; whoever began it sees how far it is."""
SHORT: Final = 1.0
"""Seconds that a page waits for a replay: with few calls it is over by then."""
_BLANK: Final = "blank"


class NewQuery(Struct):
    """What to begin with: `blank`, or a policy that comes with Coatcheck; for which server, if for one."""

    start: str = ""
    server: str = ""


class EditQuery(Struct):
    """The server whose tools are shown; by default the one that the policy is used on."""

    server: str = ""


@dataclass(frozen=True, slots=True)
class Edited:
    """The policy that is edited, None for a new one, and where its editor is."""

    view: PolicyView | None = None

    @property
    def name(self) -> str:
        """Its name; empty for a new one."""
        return self.view.name if self.view is not None else ""

    @property
    def path(self) -> str:
        """Where the editor is."""
        return policy_page(self.name, "edit") if self.view is not None else "/policies/new"


class EditorPages:
    """Serves the editor. Looking changes nothing and is for all who may read policies; saving is not."""

    def __init__(self, cases: UseCases, typed: Typed) -> None:
        self._cases = cases
        self._typed = typed

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        pages: list[AnyPage] = [
            seen("/policies/new", Permission.POLICIES_READ, self.begin, NewQuery),
            seen("/policies/{name}/edit", Permission.POLICIES_READ, self.open, EditQuery),
        ]
        for path in ("/policies/new", "/policies/{name}/edit"):
            pages += [
                done(path, Permission.POLICIES_READ, self.draft, DraftForm),
                seen(f"{path}/replay", Permission.RECORDS, self.look, RunQuery),
                done(f"{path}/replay", Permission.RECORDS, self.replay, DraftForm),
                done(f"{path}/replay/stop", Permission.RECORDS, self.stop, DraftForm),
                done(f"{path}/save", Permission.POLICIES_WRITE, self.save, DraftForm),
            ]
        return pages

    async def begin(self, asked: Asked[NewQuery, Nothing]) -> Answer:
        """Show what a new policy can begin with, or the editor with what was chosen."""
        query = asked.query
        found = ready().get(query.start)
        if found is None and query.start != _BLANK:
            return Shown("policies/new.html", {"ready": list(ready().values()), "server": query.server})
        name = name_for(query.server, "policy") if query.server else "new-policy"
        text = found.text if found is not None else f"coatcheck: 1\nname: {name}\ndefault: read-only\n"
        form = DraftForm(text=text, server=query.server, cases=found.cases if found is not None else "")
        return await self._show(asked, form, Edited())

    async def open(self, asked: Asked[EditQuery, Nothing]) -> Answer:
        """Show the editor with a policy as it is."""
        edited = await self._edited(asked)
        view = edited.view
        assert view is not None  # noqa: S101 - the path has a name
        on = next((use.shown for use in view.uses if use.kind is UseKind.SERVER), "")
        found = ready().get(view.name)
        form = DraftForm(
            text=write_yaml(view.policy),
            version=view.version,
            server=asked.query.server or on,
            cases=found.cases if found is not None else "",
        )
        return await self._show(asked, form, edited)

    async def draft(self, asked: Asked[Nothing, DraftForm]) -> Answer:
        """Show rules and document after one of them was changed; nothing is saved."""
        return await self._show(asked, asked.form, await self._edited(asked))

    async def save(self, asked: Asked[Nothing, DraftForm]) -> Answer:
        """Save a policy, which is in force for the next request."""
        form, edited = asked.form, await self._edited(asked)
        draft = await self._drafted(form, edited)
        if draft.policy is None:
            return await self._refused(
                asked, edited, Unfit("it was not saved", fix="see what is wrong below")
            )
        name, version = draft.policy.name, form.version if edited.view is not None else None
        try:
            view = await self._cases.policies.put(
                asked.actor, name, draft.document, version, form.because.strip()
            )
        except CoatcheckError as error:
            return await self._refused(asked, edited, error)
        if view.version == form.version:
            return Moved(policy_page(name), "Nothing was saved: it says what it said.", "info")
        said = "It is in force for the next call." if view.uses else "It is used on nothing yet."
        return Moved(policy_page(name), f"{name} is saved as version {view.version}. {said}")

    async def replay(self, asked: Asked[Nothing, DraftForm]) -> Answer:
        """Begin to find out what the policy would have decided otherwise; it is not put."""
        form, edited = asked.form, await self._edited(asked)
        draft = await self._drafted(form, edited)
        if draft.policy is None:
            error = Unfit("nothing was replayed", fix="see what is wrong below")
            return await self._refused(asked, edited, error)
        try:
            run = await self._begun(asked, draft)
        except CoatcheckError as error:
            return await self._refused(asked, edited, error)
        await self._cases.replay_runs.wait(run, SHORT)
        if run.error is not None:
            return await self._refused(asked, edited, run.error)
        return await self._show(asked, form, edited, _of_run(run))

    async def look(self, asked: Asked[RunQuery, Nothing]) -> Answer:
        """Show how far a replay is, or what came of it: alone to script, else on a page of its own."""
        run = self._cases.replay_runs.find(asked.actor, asked.query.run)
        values = {"edited": await self._edited(asked), **_of_run(run)}
        if asked.part == "replay":
            return Shown("policies/replay.html", values)
        return Shown("policies/replaying.html", {**values, "alone": True})

    async def stop(self, asked: Asked[Nothing, DraftForm]) -> Answer:
        """End a replay; the draft stays."""
        self._cases.replay_runs.stop(asked.actor, asked.form.run)
        return await self._show(asked, asked.form, await self._edited(asked))

    # --- within ------------------------------------------------------------------------------------------

    async def _begun(self, asked: Asked[Nothing, DraftForm], draft: Draft) -> ReplayRun:
        form, name = asked.form, draft.policy.name if draft.policy is not None else ""
        place, since = (
            place_of(form),
            self._cases.clock.now() - timedelta(days=DAYS.get(form.days, DAYS["7"])),
        )
        # By a policy one can find out values of arguments, so it is noted as a look at these.
        await self._cases.readers.look(asked.actor, ReadKind.ARGUMENTS, {"replay": name, "since": since})
        question = ReplayQuestion(
            name=name,
            document=draft.document,
            place=place,
            since=since,
            most=MOST_CHANGES,
            seconds=SECONDS,
        )
        return self._cases.replay_runs.begin(asked.actor, question)

    async def _edited(self, asked: Asked[Any, Any]) -> Edited:
        name = asked.names.get("name", "")
        if not name:
            return Edited()
        if name in BUILT_IN:
            raise Missing(f"{name} is always there and never changes", fix="make a policy of another name")
        return Edited(await self._cases.policies.get(name))

    async def _drafted(self, form: DraftForm, edited: Edited) -> Draft:
        visual, typed = visual_of(form), self._typed
        return await typed.aside(drafted, typed.read, form.text, form.base, visual, edited.name)

    async def _refused(
        self, asked: Asked[Nothing, DraftForm], edited: Edited, error: CoatcheckError
    ) -> Shown:
        shown = await self._show(asked, asked.form, edited, {"fault": Refusal.of(error)})
        return replace(shown, status=status_of(error))

    async def _show(
        self,
        asked: Asked[Any, Any],
        form: DraftForm,
        edited: Edited,
        more: Mapping[str, Any] | None = None,
    ) -> Shown:
        draft = await self._drafted(form, edited)
        listed, typed = await tools_of(self._cases.views, form.server), self._typed
        policy = draft.policy
        tries = None if policy is None else await typed.aside(tried, typed.read, policy, form.cases)
        view = form.go if form.go in {"rules", "document"} else form.view
        values = {
            "form": form,
            "draft": draft,
            "edited": edited,
            "seen": view if view in {"rules", "document"} else "rules",
            "rules": await typed.aside(rules_of, draft, listed, form.q),
            "servers": sorted(self._cases.directory.snapshot.servers),
            "tries": tries,
            "choices": CHOICES,
            "sections": SECTIONS,
            "windows": WINDOWS,
            "defaults": tuple(Default),
            "may_replay": may(asked.actor.role, Permission.RECORDS),
            "run": None,
            "begun": False,
        }
        return Shown("policies/editor.html", values | dict(more or {}))


def _of_run(run: ReplayRun | None) -> Mapping[str, Any]:
    """Return what the part of the page that tells of a replay needs; None: it is not kept any more."""
    return {"run": run, "begun": True, "most_entries": MOST_ENTRIES, "alone": False}
