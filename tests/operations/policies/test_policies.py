"""Policies are put, used, compared and taken back; each change is in force, on record, and kept."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from coatcheck.core.policy.builtin import BUILT_IN
from coatcheck.core.policy.differences import differences
from coatcheck.core.policy.reading.problems import BadPolicy
from coatcheck.errors import CoatcheckError, Missing, Stale, Taken, Unfit
from coatcheck.model.change import ObjectKind
from coatcheck.model.stored_policy import UseKind
from coatcheck.operations.policies import policies as kept
from coatcheck.operations.policies.policies import Policies
from coatcheck.operations.policies.using import Place, PolicyUses
from coatcheck.operations.policies.views import PolicyFilter
from coatcheck.operations.registry.patches import NewGrant
from doubles.registries import ROOT, Office


def caps(most: Any = 5000, **more: Any) -> dict[str, Any]:
    denied = {"path": "/amount", "op": "gt", "value": most}
    return {
        "coatcheck": 1,
        "name": "caps",
        "default": "allow-all",
        "tools": {"create_*": {"deny_if": [denied]}},
        **more,
    }


async def opened() -> tuple[Office, Policies, PolicyUses]:
    office = await Office().open()
    return office, Policies(office.desk), PolicyUses(office.desk)


# --- put ---------------------------------------------------------------------------------------------


async def test_a_policy_is_new_once_and_then_changed_by_its_version() -> None:
    office, policies, _ = await opened()
    view = await policies.put(ROOT, "caps", caps(), None, "as agreed")
    assert (view.version, view.by, view.because, view.uses) == (1, "root", "as agreed", ())
    assert office.directory.snapshot.registry.policies["caps"].policy == view.policy
    with pytest.raises(Taken):
        await policies.put(ROOT, "caps", caps(1), None)
    with pytest.raises(Stale):
        await policies.put(ROOT, "caps", caps(1), 7)
    with pytest.raises(Stale, match="any more"):
        await policies.put(ROOT, "other", caps(name="other"), 1)
    view = await policies.put(ROOT, "caps", caps(Decimal("5000.1")), 1)
    assert view.version == 2
    assert (await policies.put(ROOT, "caps", caps(Decimal("5000.10")), 2)).version == 2, "it says the same"
    assert [one.number for one in (await policies.versions("caps", 10, None)).items] == [2, 1]
    assert (await policies.version("caps", 1)).policy != view.policy
    actions = [(one.action, one.kind, one.because) for one in office.store.changes]
    assert actions == [
        ("policy.add", ObjectKind.POLICY, "as agreed"),
        ("policy.change", ObjectKind.POLICY, ""),
    ]
    before, after = (
        json.loads(text) for text in (office.store.changes[1].before, office.store.changes[1].after)
    )
    assert (before["version"], after["version"]) == (1, 2)
    assert "5000.1" in office.store.changes[1].after
    assert before["document"]["tools"]["create_*"]["deny_if"][0]["value"] == 5000


async def test_everything_that_is_wrong_is_told_and_nothing_happens() -> None:
    office, policies, _ = await opened()
    bad = caps(defualt=1, tools={"x": {"outcome": "maybe"}, "y": {"deny_if": [{"op": "gt"}]}})
    with pytest.raises(BadPolicy) as refused:
        await policies.put(ROOT, "caps", bad, None)
    where = [problem.where for problem in refused.value.problems]
    assert len(where) >= 3
    assert {"/defualt", "/tools/x/outcome"} <= set(where)
    for name, document in (("caps", caps(name="other")), ("read-only", caps(name="read-only"))):
        with pytest.raises(BadPolicy) as refused:
            await policies.put(ROOT, name, document, None)
        assert [problem.where for problem in refused.value.problems] == ["/name"]
    assert (office.store.commits, dict(office.directory.snapshot.registry.policies)) == (0, {})


async def test_what_cannot_be_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    _, policies, _ = await opened()
    monkeypatch.setattr(kept, "MAX_POLICIES", 1)
    monkeypatch.setattr(kept, "MAX_VERSIONS", 2)
    await policies.put(ROOT, "caps", caps(), None)
    with pytest.raises(Unfit, match="no more can be"):
        await policies.put(ROOT, "b", caps(name="b"), None)
    await policies.put(ROOT, "caps", caps(1), 1)
    with pytest.raises(Unfit, match="no more are kept"):
        await policies.put(ROOT, "caps", caps(2), 2)
    monkeypatch.setattr(kept, "MAX_DOCUMENT", 100)
    with pytest.raises(Unfit, match="at most 100 bytes"):
        await policies.put(ROOT, "caps", caps(3), 2)


# --- history -----------------------------------------------------------------------------------------


async def test_an_old_document_comes_back_as_a_new_version() -> None:
    office, policies, _ = await opened()
    first = await policies.put(ROOT, "caps", caps(1), None)
    await policies.put(ROOT, "caps", caps(2), 1)
    with pytest.raises(Missing, match="never had a version 9"):
        await policies.revert(ROOT, "caps", 9, None)
    with pytest.raises(Stale):
        await policies.revert(ROOT, "caps", 1, 1)
    with pytest.raises(Unfit, match="says what its version 2 says"):
        await policies.revert(ROOT, "caps", 2, None)
    view = await policies.revert(ROOT, "caps", 1, 2, "too strict")
    assert (view.version, view.policy, view.because) == (3, first.policy, "too strict")
    assert office.store.changes[-1].action == "policy.revert"
    told = await policies.diff("caps")
    assert (told.before, told.after) == (2, 3)
    (one,) = told.differences
    assert (one.where, one.before, one.after) == ("/tools/create_*/deny_if/0/value", 2, 1)
    assert (await policies.diff("caps", 1, 3)).differences == ()
    only = await policies.diff("caps", after=1)
    assert (only.before, only.after, only.differences) == (1, 1, ())


async def test_a_policy_that_ended_comes_back_with_its_history() -> None:
    _, policies, _ = await opened()
    await policies.put(ROOT, "caps", caps(1), None)
    ended = await policies.end(ROOT, "caps", 1, "unused")
    assert ended.ended_at is not None
    assert ended.version == 2
    for asked in (policies.get("caps"), policies.end(ROOT, "caps", None)):
        with pytest.raises(Missing):
            await asked
    names = [view.name for view in (await policies.list(PolicyFilter())).items]
    assert names == sorted(BUILT_IN)
    assert "caps" in [view.name for view in (await policies.list(PolicyFilter(ended=True))).items]
    assert (await policies.version("caps", 1)).number == 1
    assert (await policies.put(ROOT, "caps", caps(2), None)).version == 3
    await policies.end(ROOT, "caps", None)
    assert (await policies.revert(ROOT, "caps", 1, None)).version == 5
    assert [one.number for one in (await policies.versions("caps", 10, None)).items] == [5, 3, 1]


def test_differences_are_told_by_pointer() -> None:
    before = {"a": 1, "b": [1, {"c": True}], "d/e": {"x": None}, "same": [1, 2]}
    after = {"a": Decimal("1.0"), "b": [1, {"c": 1}, 3], "d/e": {}, "same": [1, 2], "new": None}
    found = [(one.where, one.before, one.after, one.added, one.removed) for one in differences(before, after)]
    assert found == [
        ("/b/1/c", True, 1, False, False),
        ("/b/2", None, 3, True, False),
        ("/d~1e/x", None, None, False, True),
        ("/new", None, None, True, False),
    ]
    assert differences(before, before) == ()


# --- uses --------------------------------------------------------------------------------------------


async def test_a_policy_in_use_is_not_removed() -> None:
    office, policies, uses = await opened()
    await policies.put(ROOT, "caps", caps(), None)
    await office.grants.issue(ROOT, NewGrant("ci", "alice", None))
    places = [
        Place(UseKind.EVERYTHING),
        Place(UseKind.ROLE, "dev"),
        Place(UseKind.GRANT, "ci"),
        Place(UseKind.GRANT, "ci", "git"),
        Place(UseKind.SERVER, "git"),
    ]
    for place in places:
        used = await uses.use(ROOT, "caps", place, "new")
        assert (used.kind, used.server) == (place.kind, place.server)
        assert used.shown == place.of
    commits = office.store.commits
    assert (await uses.use(ROOT, "caps", places[0])).because == "new"
    assert office.store.commits == commits, "it is so already"
    with pytest.raises(Unfit, match=r"used on everything, the role dev, .*the grant ci on git"):
        await policies.end(ROOT, "caps", None)
    assert len((await policies.get("caps")).uses) == 5
    for place in places:
        await uses.unuse(ROOT, "caps", place, "done")
        with pytest.raises(Missing, match="not used there"):
            await uses.unuse(ROOT, "caps", place)
    assert (await policies.end(ROOT, "caps", None)).uses == ()
    assert all(one.ended_at for one in office.directory.snapshot.registry.policy_uses.values())
    last = office.store.changes[-2]
    assert (last.action, last.after, last.because) == ("policy.unuse", "", "done")
    assert json.loads(last.before)["on"] == "server"


async def test_grants_of_one_label_are_told_apart() -> None:
    office, policies, uses = await opened()
    await policies.put(ROOT, "caps", caps(), None)
    place, ids = Place(UseKind.GRANT, "ci"), []
    for _ in range(8):
        issued = await office.grants.issue(ROOT, NewGrant("ci", "alice", None))
        ids.append((await uses.use(ROOT, "caps", place)).of)
        assert ids[-1] == issued.grant.id
        await office.grants.revoke(ROOT, ["ci"], "lost")
    with pytest.raises(Unfit, match="is over"):
        await uses.use(ROOT, "read-only", place)
    await office.grants.issue(ROOT, NewGrant("ci", "alice", None))
    live = (await uses.use(ROOT, "caps", place)).of
    assert (await uses.unuse(ROOT, "caps", place)).of == live, "not that of a grant that is over"
    assert {one.of for one in (await policies.get("caps")).uses} == set(ids)
    for _ in ids:
        assert (await uses.unuse(ROOT, "caps", place)).of in ids
    assert (await policies.get("caps")).uses == ()


async def test_a_list_shows_the_uses_of_each_as_it_is_shown_itself() -> None:
    office, policies, uses = await opened()
    await policies.put(ROOT, "caps", caps(), None)
    many = [NewGrant(f"ci-{number}", "alice", None) for number in range(20)]
    await office.grants.issue_many(ROOT, many)
    for number, one in enumerate(many):
        await uses.use(ROOT, "caps" if number % 2 else "read-only", Place(UseKind.GRANT, one.label, "git"))
    await uses.use(ROOT, "caps", Place(UseKind.SERVER, "git"))
    listed = {view.name: view for view in (await policies.list(PolicyFilter())).items}
    assert {name: len(view.uses) for name, view in listed.items() if view.uses} == {
        "caps": 11,
        "read-only": 10,
    }
    for name, view in listed.items():
        assert view == await policies.get(name)
    assert {use.shown for use in listed["read-only"].uses} == {one.label for one in many[::2]}


async def test_a_server_and_a_grant_have_one_policy_each() -> None:
    office, policies, uses = await opened()
    for name in ("caps", "other"):
        await policies.put(ROOT, name, caps(name=name), None)
    place = Place(UseKind.SERVER, "git")
    await uses.use(ROOT, "caps", place)
    used = await uses.use(ROOT, "other", place)
    assert (used.policy, used.instead_of) == ("other", "caps")
    live = [one.policy for one in office.directory.snapshot.registry.policy_uses.values() if not one.ended_at]
    assert live == ["other"]
    assert json.loads(office.store.changes[-1].before)["policy"] == "caps"
    assert (await uses.use(ROOT, "allow-all", place)).instead_of == "other"
    assert (await uses.use(ROOT, "caps", place)).instead_of == "allow-all", "used before, and again"
    for name in ("caps", "other"):
        await uses.use(ROOT, name, Place(UseKind.ROLE, "dev"))
    assert [len((await policies.get(name)).uses) for name in ("caps", "other")] == [2, 1]


@pytest.mark.parametrize(
    ("name", "place", "error"),
    [
        ("nothing", Place(UseKind.EVERYTHING), Missing),
        ("caps", Place(UseKind.EVERYTHING, "x"), Unfit),
        ("caps", Place(UseKind.ROLE, ""), Unfit),
        ("caps", Place(UseKind.GRANT, "nobody"), Missing),
        ("caps", Place(UseKind.SERVER, "nowhere"), Missing),
        ("caps", Place(UseKind.ROLE, "dev", "git"), Unfit),
    ],
)
async def test_a_use_that_cannot_be(name: str, place: Place, error: type[CoatcheckError]) -> None:
    office, policies, uses = await opened()
    await policies.put(ROOT, "caps", caps(), None)
    with pytest.raises(error):
        await uses.use(ROOT, name, place)
    assert dict(office.directory.snapshot.registry.policy_uses) == {}


async def test_what_needs_no_document_is_always_there() -> None:
    _, policies, uses = await opened()
    view = await policies.get("deny-all")
    assert (view.version, view.at) == (0, None)
    with pytest.raises(Unfit, match="always there"):
        await policies.end(ROOT, "deny-all", None)
    await uses.use(ROOT, "deny-all", Place(UseKind.ROLE, "guest"))
    assert [use.shown for use in (await policies.get("deny-all")).uses] == ["guest"]
    page = await policies.list(PolicyFilter(name="*-all", limit=1))
    assert [one.name for one in page.items] == ["allow-all"]
    assert page.next is not None
