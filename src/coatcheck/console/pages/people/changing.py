"""Adding and changing people: what they are, their roles, a note; and letting somebody in again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.people.showing import OneQuery
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.rendering import link
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.patches import NewSubject, SubjectPatch
from coatcheck.operations.use_cases import UseCases

KINDS: Final = [
    (SubjectKind.PERSON.value, "A person", "Somebody who works with AI clients."),
    (SubjectKind.AUTOMATION.value, "An automation", "A bot, an agent that runs by itself, or a job."),
]


class NewForm(Struct, kw_only=True):
    """Somebody to add; one role a line."""

    name: str
    kind: SubjectKind = SubjectKind.PERSON
    roles: str = ""
    note: str = ""


class ChangeForm(Struct, kw_only=True):
    """Somebody as they are to be; `version` is what was seen."""

    name: str
    version: int
    kind: SubjectKind = SubjectKind.PERSON
    roles: str = ""
    note: str = ""


class NameForm(Struct):
    """Who."""

    name: str


class ChangingPages:
    """Serves the forms."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        write = Permission.SUBJECTS_WRITE
        return [
            seen("/people/new", write, self.ask),
            done("/people/new", write, self.add, NewForm, again=self.ask_again),
            seen("/people/change", write, self.ask_change, OneQuery),
            done("/people/change", write, self.change, ChangeForm, OneQuery, again=self.ask_change_again),
            done("/people/enable", write, self.enable, NameForm),
        ]

    async def ask(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show the form for a new person or automation."""
        return await self.ask_again(asked)

    async def ask_again(self, asked: Asked[Nothing, Any]) -> Shown:  # noqa: ARG002 - the shape of a page
        """Show the form for a new person or automation."""
        return Shown("people/new.html", {"kinds": KINDS})

    async def add(self, asked: Asked[Nothing, NewForm]) -> Answer:
        """Add a person or automation."""
        form = asked.form
        new = NewSubject(form.name.strip(), form.kind, _roles(form.roles), form.note.strip())
        view = await self._cases.subjects.add(asked.actor, new)
        return Moved(link("/people/one", name=view.name), f"{view.name} was added. Issue a grant next.")

    async def ask_change(self, asked: Asked[OneQuery, Nothing]) -> Answer:
        """Show the form for changing a person."""
        return await self._form(asked.query.name)

    async def ask_change_again(self, asked: Asked[OneQuery, Any]) -> Shown:
        """Show the form of somebody once more."""
        return await self._form(asked.said("name", asked.query.name))

    async def _form(self, name: str) -> Shown:
        return Shown("people/change.html", {"view": await self._cases.subjects.get(name), "kinds": KINDS})

    async def change(self, asked: Asked[OneQuery, ChangeForm]) -> Answer:
        """Change a person."""
        form = asked.form
        patch = SubjectPatch(form.kind, _roles(form.roles), form.note.strip())
        view = await self._cases.subjects.change(asked.actor, form.name, patch, form.version)
        return Moved(link("/people/one", name=view.name), "Saved. It holds from the next call on.")

    async def enable(self, asked: Asked[Nothing, NameForm]) -> Answer:
        """Let a person who was disabled in again."""
        view = await self._cases.subjects.enable(asked.actor, asked.form.name)
        said = (
            "is let in again. Grants that were revoked stay revoked."
            if view.grants == 0
            else "is let in again."
        )
        return Moved(link("/people/one", name=view.name), f"{view.name} {said}")


def _roles(text: str) -> frozenset[str]:
    return frozenset(line.strip() for line in text.splitlines() if line.strip())
