"""Grants that are issued with a policy: both in one edit, or neither."""

from __future__ import annotations

import dataclasses
import json

import pytest

from coatcheck.errors import Forbidden, LedgerUnavailable, Missing, Taken, Unfit
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.model.stored_policy import UseKind
from coatcheck.operations.policies import using
from coatcheck.operations.policies.policies import Policies
from coatcheck.operations.policies.using import Place, PolicyUses
from coatcheck.operations.registry.patches import NewGrant
from doubles.registries import KEEPER, ROOT, Office

WITH = NewGrant("laptop", "dora", None, policy="read-only")


def uses(office: Office) -> set[tuple[str, str]]:
    found = office.store.registry.policy_uses.values()
    return {(use.policy, use.of) for use in found if use.ended_at is None}


def issued(office: Office) -> set[str]:
    return {grant.label for grant in office.store.registry.grants.values()}


async def test_both_are_in_force_at_once_and_in_the_admin_log() -> None:
    office = await Office().open()
    grant = (await office.grants.issue(KEEPER, WITH)).grant
    assert (uses(office), office.store.commits) == ({("read-only", grant.id)}, 1)
    assert [view.policy for view in PolicyUses(office.desk).on_grants({grant.id})[grant.id]] == ["read-only"]
    told = office.store.changes[-1]
    assert (told.action, json.loads(told.after)["called"]) == ("policy.use", "the grant laptop")
    assert [one.action for one in office.store.changes] == ["subject.add", "grant.issue", "policy.use"]


async def test_it_stays_on_a_grant_that_is_claimed() -> None:
    office = await Office().open()
    made = await office.grants.issue(ROOT, dataclasses.replace(WITH, by_claim=True))
    assert made.claim_code is not None
    claimed = await office.grants.claim(made.claim_code.reveal(), "192.0.2.1")
    assert uses(office) == {("read-only", claimed.grant.id)}


async def test_of_many_each_has_its_own() -> None:
    office = await Office().open()
    many = [
        NewGrant(f"n{number}", "dora", None, policy=name)
        for number, name in enumerate(("read-only", "", "deny-all"))
    ]
    made = await office.grants.issue_many(ROOT, many)
    assert uses(office) == {("read-only", made[0].grant.id), ("deny-all", made[2].grant.id)}
    assert office.store.commits == 1


async def test_what_fails_leaves_neither_a_grant_nor_a_use(monkeypatch: pytest.MonkeyPatch) -> None:
    office = await Office().open()
    await office.grants.issue(ROOT, NewGrant("taken", "dora", None, policy="read-only"))
    before = (issued(office), uses(office))
    assert before[0] == {"taken"}
    assert len(before[1]) == 1

    gone = NewGrant("b", "dora", None, policy="gone")
    with pytest.raises(Missing, match="grant 2: there is no policy 'gone'"):
        await office.grants.issue_many(ROOT, [WITH, gone])
    with pytest.raises(Taken):
        await office.grants.issue_many(ROOT, [WITH, NewGrant("taken", "dora", None)])
    office.store.failing = LedgerUnavailable("the disk is full")
    with pytest.raises(LedgerUnavailable):
        await office.grants.issue(ROOT, WITH)
    office.store.failing = None
    monkeypatch.setattr(using, "MAX_USES", 1)
    with pytest.raises(Unfit, match="uses of policies"):
        await office.grants.issue(ROOT, WITH)
    assert (issued(office), uses(office)) == before


async def test_a_policy_that_was_removed_is_none() -> None:
    office = await Office().open()
    policies = Policies(office.desk)
    await policies.put(ROOT, "caps", {"coatcheck": 1, "name": "caps", "default": "allow-all"}, None)
    first = await office.grants.issue(ROOT, dataclasses.replace(WITH, label="first", policy="caps"))
    assert uses(office) == {("caps", first.grant.id)}
    await PolicyUses(office.desk).unuse(ROOT, "caps", Place(UseKind.GRANT, "first"))
    await policies.end(ROOT, "caps", 1)
    with pytest.raises(Missing):
        await office.grants.issue(ROOT, dataclasses.replace(WITH, policy="caps"))
    assert issued(office) == {"first"}


async def test_whoever_may_not_use_policies_issues_none_with_one() -> None:
    office = await Office().open()
    clerk = Actor(
        "clerk", OperatorRole.AUDITOR, "192.0.2.9"
    )  # no role may issue grants, and not use policies
    await office.grants.issue(clerk, dataclasses.replace(WITH, policy=""))
    with pytest.raises(Forbidden, match=r"policies\.write"):
        await office.grants.issue(clerk, dataclasses.replace(WITH, label="second"))
    assert issued(office) == {"laptop"}
