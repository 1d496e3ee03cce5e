"""People and automations with how they stand and when they were last seen, for whoever looks for one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from coatcheck.model.grant import Seen
from coatcheck.model.server import Source
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.showing import all_grants
from coatcheck.operations.registry.paging import page_of
from coatcheck.operations.registry.subjects import Subjects
from coatcheck.operations.registry.views import Page, SubjectView


class PersonStanding(StrEnum):
    """How somebody stands, to look for."""

    ACTIVE = "active"
    WITHOUT_GRANT = "without"
    """Active, and without any live grant."""
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person or automation. `seen` is the last use of any of their grants."""

    view: SubjectView
    seen: Seen | None


@dataclass(frozen=True, slots=True)
class PeopleFilter:
    """Whom to list, by name. `text` is words, each part of the name, a role or the note, in any case."""

    text: str = ""
    kind: SubjectKind | None = None
    standing: PersonStanding | None = None
    role: str = ""
    source: Source | None = None
    limit: int = 50
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class PeopleRows:
    """A page of people. `found` counts those that were asked for, `kinds` all that there are by kind."""

    page: Page[PersonRow]
    found: int
    kinds: Mapping[SubjectKind, int]
    roles: Sequence[str]
    """All roles that anybody has."""


class PeopleLists:
    """Lists people and automations; one look at the store for each page, whatever their number."""

    def __init__(self, desk: Desk, subjects: Subjects) -> None:
        self._desk = desk
        self._subjects = subjects

    async def list(self, wanted: PeopleFilter) -> PeopleRows:
        """Return a page of people, by name.

        Raises:
            Unfit: a limit or cursor that cannot be.
            StoreUnavailable: the store cannot be read.
        """
        everybody = self._subjects.every()
        words = wanted.text.casefold().split()
        found = [one for one in everybody if _fits(one, wanted, words)]
        page = page_of(found, _place_of, wanted.limit, wanted.after, wanted.before)
        seen = await self._seen(page.items)
        kinds = {kind: sum(one.kind is kind for one in everybody) for kind in SubjectKind}
        roles = sorted({role for one in everybody for role in one.roles})
        rows = [PersonRow(one, seen.get(one.name)) for one in page.items]
        return PeopleRows(Page(rows, page.next, page.previous), len(found), kinds, roles)

    def names_like(self, text: str, most: int = 20) -> Sequence[str]:
        """Return names that hold a text, in whatever case, those that begin with it first."""
        word = text.strip().casefold()
        found = [(one.casefold(), one) for one in self._subjects.names() if word in one.casefold()]
        found.sort(key=lambda pair: (not pair[0].startswith(word), pair))
        return [name for _, name in found[:most]]

    async def get(self, name: str) -> PersonRow:
        """Return one of them.

        Raises:
            Missing: there is nobody of this name.
        """
        view = await self._subjects.get(name)
        return PersonRow(view, (await self._seen([view])).get(name))

    async def _seen(self, people: Sequence[SubjectView]) -> Mapping[str, Seen]:
        """Return the last use of any grant of each of these."""
        wanted, owned = {one.name for one in people}, defaultdict[str, list[str]](list)
        for grant in all_grants(self._desk.snapshot):
            if grant.subject in wanted:
                owned[grant.subject].append(grant.id)
        uses = await self._desk.seen.of([id for ids in owned.values() for id in ids])
        found: dict[str, Seen] = {}
        for name, ids in owned.items():
            newest = [uses[id][0] for id in ids if uses.get(id)]
            if newest:
                found[name] = max(newest, key=lambda one: one.at)
        return found


def _place_of(one: SubjectView) -> tuple[str, str]:
    return one.name.casefold(), one.name


def _fits(one: SubjectView, wanted: PeopleFilter, words: Sequence[str]) -> bool:
    if wanted.kind not in {None, one.kind} or wanted.source not in {None, one.source}:
        return False
    if wanted.role and wanted.role not in one.roles:
        return False
    if wanted.standing is not None and one.disabled is not (wanted.standing is PersonStanding.DISABLED):
        return False
    if wanted.standing is PersonStanding.WITHOUT_GRANT and one.grants:
        return False
    if not words:
        return True
    text = "\n".join((one.name, one.note, *one.roles)).casefold()
    return all(word in text for word in words)
