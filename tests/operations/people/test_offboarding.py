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
from coatcheck.operations.registry.patches import NewGrant, NewServer, NewSubject
from coatcheck.operations.registry.views import GrantState
from doubles.clock import START
from doubles.registries import ROOT, Office

ADA = Actor("ada", OperatorRole.ADMIN, "192.0.2.9")


async def an_office() -> tuple[Office, Offboarding]:
    office = await Office().open()
    return office, Offboarding(office.desk, office.subjects)


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
    assert (would.open.calls, would.open.streams) == (1, 0)

    ended = await offboarding.offboard(ROOT, "alice", "left", 3)
    assert (ended.calls, len(ended.revoked)) == (1, 2)
    report = await offboarding.report("alice")
    assert {grant.id for grant in report.grants} == {view.id for view in would.grants}
    assert [grant.id for grant in report.before] == [old.id]
    assert (list(report.left), report.browsers) == ([], 3)
    assert report.cut is not None
    assert report.cut.calls == 1
    assert report.change is not None
    assert (report.change.actor, report.change.because) == ("root", "left")
    again = await offboarding.offboard(ROOT, "alice", "left", 0)
    assert again.calls == 0
    second = await offboarding.report("alice")
    assert second.cut == report.cut
    after_a_restart = await Offboarding(office.desk, office.subjects).report("alice")
    assert (after_a_restart.cut, len(after_a_restart.grants)) == (None, 2)


async def test_who_is_disabled_keeps_the_grants_and_the_report_says_so() -> None:
    _, offboarding = await an_office()
    await offboarding.disable(ROOT, "bob", "leave", 0)
    report = await offboarding.report("bob")
    assert (list(report.grants), [grant.state for grant in report.left]) == ([], [GrantState.DISABLED])
    active = await offboarding.report("alice")
    assert (active.change, active.cut, len(active.left)) == (None, None, 1)
    with pytest.raises(Missing):
        await offboarding.report("nobody")


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
    left = leftovers_of(office.directory.snapshot, "ada", office.clock.now())
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
    assert leftovers_of(office.directory.snapshot, "bob", office.clock.now()).count == 0
