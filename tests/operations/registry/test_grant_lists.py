"""Which grants are listed, what they are called, what is open of them, and which policies bear on them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from coatcheck.errors import Missing
from coatcheck.model.stored_policy import UseKind
from coatcheck.operations.cutting import Open
from coatcheck.operations.policies.policies import Policies
from coatcheck.operations.policies.using import Place, PolicyUses
from coatcheck.operations.registry.patches import GrantFilter, NewGrant, NewSubject
from doubles.clock import START
from doubles.registries import ROOT, Office

DAY = timedelta(days=1)


async def a_full_office() -> Office:
    """Return an office with a grant for every way to tell grants apart; two were used."""
    office = await Office().open()
    grants: list[tuple[str, str, dict[str, Any]]] = [
        ("ada-1", "Ada", {}),
        ("ada-2", "Ada", {"servers": frozenset({"git"}), "note": "Blue Team"}),
        ("bob-1", "bob", {"expires_at": None}),
        ("bob-2", "bob", {"expires_at": START + 3 * DAY}),
    ]
    for label, subject, more in grants:
        await office.grants.issue(ROOT, NewGrant(label, subject, **{"servers": None, **more}))
    ids = {one.label: one.id for one in office.directory.snapshot.registry.grants.values()}
    office.seen.note(ids["ada-1"], "192.0.2.1", "claude-code 2")
    await office.seen.flush()
    office.clock.advance(2 * 86_400)
    office.seen.note(ids["bob-1"], "192.0.2.1", "")
    return office


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["ada-1", "ada-2", "bob-1", "bob-2"]),
        ({"text": "ADA"}, ["ada-1", "ada-2"]),
        ({"text": "ada blue"}, ["ada-2"]),
        ({"text": "team bob"}, []),
        ({"everywhere": False}, ["ada-2"]),
        ({"everywhere": True, "text": "ada"}, ["ada-1"]),
        ({"endless": True}, ["bob-1"]),
        ({"ends_before": START + 4 * DAY}, ["bob-2"]),
        ({"never_used": True}, ["ada-2", "bob-2"]),
        ({"never_used": False}, ["ada-1", "bob-1"]),
        ({"used_since": START + DAY}, ["bob-1"]),
        ({"unused_since": START + DAY}, ["ada-1", "ada-2", "bob-2"]),
        ({"unused_since": START + DAY, "never_used": False}, ["ada-1"]),
        ({"policy": "nobody-uses-it"}, []),
    ],
)
async def test_a_filter_means_what_it_says(wanted: dict[str, Any], found: Sequence[str]) -> None:
    office = await a_full_office()
    page = await office.grants.list(GrantFilter(source="store", **wanted))
    assert [view.label for view in page.items] == found


@pytest.mark.parametrize(
    ("subjects", "labels"),
    [
        (["dora"], ["dora"]),
        (["dora@example.com", "dora@example.org", "dora"], ["dora", "dora-2", "dora-3"]),
        (["Ada"], ["Ada"]),
        (["ada-1", "ada-1@x"], ["ada-1-2", "ada-1-3"]),
        (["a b/c", "-x-", "@@", "file-x", "a" * 200], ["a-b-c", "x", "grant", "grant-2", "a" * 60]),
        (["\u00fcnal"], ["\u00fcnal"]),
    ],
)
async def test_labels_that_are_proposed_are_free_and_can_be_issued(
    subjects: list[str], labels: list[str]
) -> None:
    office = await a_full_office()
    proposed = office.grants.labels_for(subjects)
    assert list(proposed) == labels
    await office.grants.issue_many(ROOT, [NewGrant(label, "somebody", None) for label in proposed])


async def test_what_is_open_of_grants_is_counted() -> None:
    office = await a_full_office()
    assert office.grants.open_now(["ada-1"]) == Open(0, 0, 0)
    with pytest.raises(Missing):
        office.grants.open_now(["ada-1", "nobody"])
    inflight, task = office.inflight, cast("Any", None)
    ids = {one.label: one.id for one in office.directory.snapshot.registry.grants.values()}
    entries = [inflight.enter(ids["ada-1"], task), inflight.enter(ids["ada-1"], task, lasting=True)]
    entries.append(inflight.enter(ids["ada-2"], task))
    assert office.grants.open_now(["ada-1"]) == Open(1, 1, 0)
    assert office.grants.open_now(["ada-1", ids["ada-1"], "ada-2"]) == Open(2, 1, 0)
    for entry in entries:
        inflight.leave(entry)
    assert office.grants.open_now(["ada-1", "ada-2"]) == Open(0, 0, 0)


async def test_the_policies_that_bear_on_a_grant_are_told() -> None:
    office = await a_full_office()
    policies, uses = Policies(office.desk), PolicyUses(office.desk)
    for name in ("on-it", "on-git", "on-time", "on-role", "on-all"):
        await policies.put(ROOT, name, {"coatcheck": 1, "name": name, "default": "deny-all"}, None)
    await office.subjects.add(ROOT, NewSubject("carl", roles=frozenset({"dev"})))
    await office.grants.issue(ROOT, NewGrant("carl-1", "carl", frozenset({"git"})))
    for name, place in (
        ("on-it", Place(UseKind.GRANT, "carl-1")),
        ("on-git", Place(UseKind.SERVER, "git")),
        ("on-time", Place(UseKind.SERVER, "time")),
        ("on-role", Place(UseKind.ROLE, "dev")),
        ("on-all", Place(UseKind.EVERYTHING)),
    ):
        await uses.use(ROOT, name, place)
    assert {use.policy for use in uses.bearing_on("carl-1")} == {"on-it", "on-git", "on-role", "on-all"}
    assert {use.policy for use in uses.bearing_on("ada-1")} == {"on-git", "on-time", "on-all"}
    ids = {one.label: one.id for one in office.directory.snapshot.registry.grants.values()}
    told = uses.on_grants({ids["carl-1"], ids["ada-1"]})
    assert {id: [use.policy for use in found] for id, found in told.items()} == {ids["carl-1"]: ["on-it"]}
    listed = await office.grants.list(GrantFilter(policy="on-it"))
    assert [view.label for view in listed.items] == ["carl-1"]
    await uses.unuse(ROOT, "on-it", Place(UseKind.GRANT, "carl-1"))
    assert (await office.grants.list(GrantFilter(policy="on-it"))).items == []
    with pytest.raises(Missing):
        uses.bearing_on("nobody")
