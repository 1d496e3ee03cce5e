"""Finding people and automations: by words, kind, role and standing, with when they were last seen."""

from __future__ import annotations

import pytest

from coatcheck.errors import Missing
from coatcheck.model.server import Source
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.people.listing import PeopleFilter, PeopleLists, PersonStanding
from coatcheck.operations.registry.patches import NewGrant, NewSubject
from doubles.registries import ROOT, Office


async def an_office() -> tuple[Office, PeopleLists]:
    office = await Office().open()
    await office.subjects.add(ROOT, NewSubject("Zoë/ops@x", roles=frozenset({"on-call"}), note="Night Shift"))
    await office.subjects.add(ROOT, NewSubject("ci", SubjectKind.AUTOMATION, note="deploys"))
    return office, PeopleLists(office.desk, office.subjects)


async def names(people: PeopleLists, **wanted: object) -> list[str]:
    rows = await people.list(PeopleFilter(**wanted))  # type: ignore[arg-type]
    assert rows.found == len(rows.page.items) or rows.page.next
    return [row.view.name for row in rows.page.items]


async def test_everybody_is_found_by_any_word_and_narrowed() -> None:
    office, people = await an_office()
    assert await names(people) == ["alice", "bob", "carol", "ci", "Zoë/ops@x"]
    for text, found in (
        ("ZOË", ["Zoë/ops@x"]),
        ("night on-call", ["Zoë/ops@x"]),
        ("night ci", []),
        ("LOY", ["ci"]),
    ):
        assert await names(people, text=text) == found, text
    assert await names(people, kind=SubjectKind.AUTOMATION) == ["ci"]
    assert await names(people, role="on-call") == ["Zoë/ops@x"]
    assert await names(people, source=Source.FILE) == ["alice", "bob", "carol"]
    assert await names(people, standing=PersonStanding.WITHOUT_GRANT) == ["ci", "Zoë/ops@x"]
    await office.subjects.disable(ROOT, "bob", "")
    assert await names(people, standing=PersonStanding.DISABLED) == ["bob"]
    assert "bob" not in await names(people, standing=PersonStanding.ACTIVE)


async def test_names_are_suggested_as_one_types() -> None:
    _, people = await an_office()
    assert list(people.names_like("")) == ["alice", "bob", "carol", "ci", "Zoë/ops@x"]
    assert list(people.names_like("", 2)) == ["alice", "bob"]
    assert list(people.names_like(" C")) == ["carol", "ci", "alice"], "what begins with it first"
    assert list(people.names_like("ZOË")) == ["Zoë/ops@x"]
    assert list(people.names_like("nobody")) == []


async def test_pages_follow_each_other_and_count_all() -> None:
    _, people = await an_office()
    first = await people.list(PeopleFilter(limit=3))
    assert (len(first.page.items), first.found, dict(first.kinds)) == (
        3,
        5,
        {SubjectKind.PERSON: 4, SubjectKind.AUTOMATION: 1},
    )
    rest = await people.list(PeopleFilter(limit=3, after=first.page.next))
    assert ([row.view.name for row in rest.page.items], rest.page.next) == (["ci", "Zoë/ops@x"], None)


async def test_last_seen_is_the_last_use_of_any_grant() -> None:
    office, people = await an_office()
    ids = [
        (await office.grants.issue(ROOT, NewGrant(label, "ci", None))).grant.id for label in ("one", "two")
    ]
    assert (await people.get("ci")).seen is None
    office.seen.note(ids[0], "10.0.0.1", "cursor")
    office.clock.advance(60)
    office.seen.note(ids[1], "10.0.0.2", "zed")
    seen = (await people.get("ci")).seen
    assert seen is not None
    assert (seen.client, seen.address) == ("zed", "10.0.0.2")
    with pytest.raises(Missing):
        await people.get("nobody")
