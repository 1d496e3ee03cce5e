"""Seeing somebody off: what would end, what did, and what does not end by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from coatcheck.errors import Missing
from coatcheck.model.credential import Credential, CredentialVersion, Custody, Stage
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.model.registry import Edit
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.people.leftovers import leftovers_of
from coatcheck.operations.people.offboarding import Offboarding
from coatcheck.operations.registry.operators import CODE_LIFE
from coatcheck.operations.registry.patches import NewGrant, NewServer, NewSubject
from coatcheck.operations.registry.views import GrantState
from doubles.clock import START
from doubles.registries import ROOT, Office

BROWSERS = {"alice": 3}
"""At how many browsers people are signed in."""
ADMIN = OperatorRole.ADMIN
ADA = Actor("ada", OperatorRole.ADMIN, "192.0.2.9")


async def an_office() -> tuple[Office, Offboarding]:
    office = await Office().open()
    return office, Offboarding(office.desk, office.subjects, lambda name: BROWSERS.get(name, 0))


def a_credential(name: str, **fields: object) -> Credential:
    version = CredentialVersion(1, Stage.ACTIVE, "print", START, "root")
    made = Credential(uuid4(), name, Custody.STORE, (version,), START, "root")
    return replace(made, **fields)  # type: ignore[arg-type]


async def test_what_would_end_is_told_before_and_what_ended_after() -> None:
    office, offboarding = await an_office()
    one = (await office.grants.issue(ROOT, NewGrant("one", "alice", None))).grant
    old = (await office.grants.issue(ROOT, NewGrant("old", "alice", None))).grant
    await office.grants.revoke(ROOT, ["old"], "lost")
    office.clock.advance(3600)
    call = asyncio.create_task(asyncio.sleep(60))
    entry = office.inflight.enter(one.id, call)
    call.add_done_callback(lambda _: office.inflight.leave(entry))
    would = await offboarding.would_end("alice")
    assert [grant.label for grant in would.grants] == ["alice-laptop", "one"] or len(would.grants) == 2
    assert (would.open.calls, would.open.streams, would.browsers) == (1, 0, 3)

    gone = await offboarding.offboard(ROOT, "alice", "left")
    assert (gone.ended.calls, len(gone.ended.revoked), gone.browsers) == (1, 2, 3)
    report = await offboarding.report("alice", ADMIN)
    assert {grant.id for grant in report.grants} == {view.id for view in would.grants}
    assert [grant.id for grant in report.before] == [old.id]
    assert (list(report.left), report.cut) == ([], gone)
    assert report.change is not None
    assert (report.change.actor, report.change.because) == ("root", "left")
    again = await offboarding.offboard(ROOT, "alice", "left")
    assert again.ended.calls == 0
    second = await offboarding.report("alice", ADMIN)
    assert second.cut == report.cut
    after_a_restart = await Offboarding(office.desk, office.subjects, BROWSERS.__getitem__).report(
        "alice", ADMIN
    )
    assert (after_a_restart.cut, len(after_a_restart.grants)) == (None, 2)


async def test_who_is_disabled_keeps_the_grants_and_the_report_says_so() -> None:
    office, offboarding = await an_office()
    first = await offboarding.disable(ROOT, "bob", "leave")
    report = await offboarding.report("bob", ADMIN)
    assert report.cut is first
    assert (list(report.grants), [grant.state for grant in report.left]) == ([], [GrantState.DISABLED])
    await office.subjects.enable(ROOT, "bob")
    second = await offboarding.disable(ROOT, "bob", "leave once more")
    assert (await offboarding.report("bob", ADMIN)).cut is second
    active = await offboarding.report("alice", ADMIN)
    assert (active.change, active.cut, len(active.left)) == (None, None, 1)
    with pytest.raises(Missing):
        await offboarding.report("nobody", ADMIN)


async def test_what_does_not_end_by_itself_is_all_named() -> None:
    office, _ = await an_office()
    active = CredentialVersion(2, Stage.ACTIVE, "print", START, "ada")
    for credential in (
        a_credential("owned", owner="ada"),
        a_credential("given", versions=(active,)),
        a_credential("others"),
        a_credential("gone", owner="ada", ended_at=START),
    ):
        await office.book.edit(lambda _, put=credential: Edit((put,), ()))  # type: ignore[misc]
    await office.grants.issue(ADA, NewGrant("bobs", "bob", None))
    await office.grants.issue(ADA, NewGrant("own", "ada", None))
    await office.operators.add(ROOT, "ada", OperatorRole.AUDITOR)
    note = "deploys; ask Ada"
    await office.subjects.add(ROOT, NewSubject("bot", SubjectKind.AUTOMATION, note=note))
    await office.subjects.add(ROOT, NewSubject("other", SubjectKind.AUTOMATION, note="of ada.keller"))
    await office.registered.add(ADA, NewServer("mine", command="true"))
    left = leftovers_of(office.directory.snapshot, "ada", office.clock.now(), ADMIN)
    assert [(one.name, one.owns, one.gave) for one in left.credentials] == [
        ("given", False, True),
        ("owned", True, False),
    ]
    assert [one.label for one in left.issued] == ["bobs"]
    assert (left.operator, list(left.servers), list(left.automations)) == (
        OperatorRole.AUDITOR,
        ["mine"],
        ["bot"],
    )
    assert (list(left.policies), left.proxied, left.count) == ([], False, 6)
    assert leftovers_of(office.directory.snapshot, "bob", office.clock.now(), ADMIN).count == 0
    for role, may_know in ((OperatorRole.AUDITOR, True), (OperatorRole.POLICY_MANAGER, False)):
        told = leftovers_of(office.directory.snapshot, "ada", office.clock.now(), role)
        assert (told.operator is not None, told.count) == (may_know, 6 if may_know else 5), role


async def test_an_operator_without_a_way_in_is_nothing_to_see_to() -> None:
    office, _ = await an_office()
    for name in ("ada", "bob"):
        await office.operators.add(ROOT, name, OperatorRole.VIEWER)
    await office.operators.token(ROOT, "ada")

    def left(name: str) -> OperatorRole | None:
        return leftovers_of(office.directory.snapshot, name, office.clock.now(), ADMIN).operator

    assert [left(name) for name in ("ada", "bob")] == [OperatorRole.VIEWER] * 2
    await office.operators.void_token(ROOT, "ada")
    assert left("ada") is None, "there is neither token nor code"
    office.clock.advance(CODE_LIFE.total_seconds())
    assert left("bob") is None, "the code is too old"
