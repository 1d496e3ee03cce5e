"""Subjects and operators: who is let in, with which roles, and who no longer."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from coatcheck.core.tokens import is_well_formed
from coatcheck.errors import CoatcheckError, Missing, Stale, Taken, Unfit
from coatcheck.model.operator import OperatorRole
from coatcheck.model.server import Source
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.registry.operators import CODE_LIFE
from coatcheck.operations.registry.patches import NewGrant, NewSubject, SubjectFilter, SubjectPatch
from coatcheck.operations.registry.views import OperatorState
from doubles.callers import ALICE, BOB
from doubles.clock import START
from doubles.registries import ROOT, Office

# --- subjects -------------------------------------------------------------------------------------------------


async def test_a_subject_is_added_changed_and_listed_beside_those_of_the_file() -> None:
    office = await Office().open()
    new = NewSubject("ci", SubjectKind.AUTOMATION, frozenset({"deploy"}), "nightly")
    view = await office.subjects.add(ROOT, new)
    assert (view.kind, set(view.roles), view.version, view.source) == (
        SubjectKind.AUTOMATION,
        {"deploy"},
        1,
        Source.STORE,
    )
    with pytest.raises(Taken):
        await office.subjects.add(ROOT, new)
    with pytest.raises(Stale):
        await office.subjects.change(ROOT, "ci", SubjectPatch(note="x"), 4)
    view = await office.subjects.change(ROOT, "ci", SubjectPatch(roles=frozenset({"ops"})), 1)
    assert (set(view.roles), view.note, view.version) == ({"ops"}, "nightly", 2)
    alice = await office.subjects.get("alice")
    assert (alice.source, alice.version, alice.grants) == (Source.FILE, 0, 1)
    page = await office.subjects.list(SubjectFilter(limit=3))
    assert [one.name for one in page.items] == ["alice", "bob", "carol"]
    rest = await office.subjects.list(SubjectFilter(limit=3, after=page.next))
    assert [one.name for one in rest.items] == ["ci"]
    with pytest.raises(Missing):
        await office.subjects.get("nobody")


async def test_roles_of_a_subject_of_the_file_are_added_and_its_streams_begin_anew() -> None:
    office = await Office().open()
    await office.subjects.change(ROOT, "alice", SubjectPatch(roles=frozenset({"ops"})), None)
    assert office.principal(ALICE).roles == {"dev", "ops"}
    assert office.principal(ALICE).grant_id in office.sessions.ended
    assert office.principal(BOB).roles == {"dev"}


async def test_disabling_ends_all_of_a_subject_and_enabling_brings_it_back() -> None:
    office = await Office().open()
    issued = await office.grants.issue(ROOT, NewGrant("second", "alice", None))
    assert issued.token is not None
    tokens = (ALICE, issued.token.reveal())
    ended = await office.subjects.disable(ROOT, "alice", "leave")
    assert {view.state.value for view in ended.grants} == {"disabled"}
    assert [office.who(token) for token in (*tokens, BOB)] == ["<disabled>", "<disabled>", "bob"]
    assert {"forwarded:alice", issued.grant.id} < set(office.sessions.ended)
    assert (await office.subjects.get("alice")).because == "leave"
    await office.subjects.enable(ROOT, "alice")
    assert [office.who(token) for token in tokens] == ["alice", "alice"]
    await office.subjects.disable(ROOT, "alice", "")
    with pytest.raises(Unfit, match="is disabled"):
        await office.grants.issue(ROOT, NewGrant("third", "alice", None))


async def test_offboarding_is_one_edit_over_both_sources() -> None:
    office = await Office().open()
    await office.grants.issue(ROOT, NewGrant("second", "alice", None))
    commits = office.store.commits
    ended = await office.subjects.offboard(ROOT, "alice", "left")
    assert office.store.commits == commits + 1
    assert {view.state.value for view in ended.grants} == {"revoked"}
    assert ended.revoked == {view.id for view in ended.grants}
    assert len(ended.revoked) == 2
    assert (await office.subjects.offboard(ROOT, "alice", "")).revoked == frozenset()
    actions = sorted(change.action for change in office.store.changes[-3:])
    assert actions == ["grant.revoke", "grant.revoke", "subject.offboard"]
    await office.subjects.enable(ROOT, "alice")
    assert office.who(ALICE) == "<revoked>"


async def test_a_subject_that_nobody_knows_can_be_disabled_for_what_a_proxy_may_say() -> None:
    office = await Office().open()
    await office.subjects.disable(ROOT, "mallory", "")
    assert (await office.subjects.get("mallory")).disabled
    for bad in ("", "*", "anonymous", " x", "-x", "jose\u0301"):
        with pytest.raises(Unfit):
            await office.subjects.disable(ROOT, bad, "")
    with pytest.raises(Missing):
        await office.subjects.enable(ROOT, "nobody")


# --- operators ------------------------------------------------------------------------------------------------


async def test_the_first_login_is_by_a_code_that_works_once() -> None:
    office = await Office().open()
    before = office.operators.has_login
    void, code = await office.operators.bootstrap(), await office.operators.bootstrap()
    assert void is not None
    assert code is not None
    with pytest.raises(Missing):
        await office.operators.login(void.reveal(), "192.0.2.1")
    tries = [office.operators.login(code.reveal(), "192.0.2.1") for _ in range(4)]
    found = [one for one in await asyncio.gather(*tries, return_exceptions=True) if isinstance(one, tuple)]
    assert len(found) == 1
    view, token = found[0]
    assert is_well_formed(token.reveal())
    assert (view.name, view.role, view.state) == ("admin", OperatorRole.ADMIN, OperatorState.ACTIVE)
    actor = office.operators.identify(token.reveal(), "192.0.2.1")
    assert actor is not None
    assert (actor.name, actor.origin) == ("admin", "192.0.2.1")
    assert (before, office.operators.has_login) == (False, True)
    assert await office.operators.bootstrap() is None
    for secret in (void, code, token):
        assert secret.reveal() not in repr(
            (office.store.registry, office.store.changes, office.operators.list())
        )


async def test_no_first_code_is_given_out_where_another_was_invited_by_the_name() -> None:
    office = await Office().open()
    await office.operators.add(ROOT, "admin", OperatorRole.VIEWER)
    assert await office.operators.bootstrap() is None
    await office.operators.end(ROOT, "admin")
    assert await office.operators.bootstrap() is not None


async def test_an_operator_ends_expires_and_is_invited_anew() -> None:
    office = await Office().open()
    _, code = await office.operators.add(ROOT, "ann", OperatorRole.AUDITOR, START + timedelta(hours=2))
    _, token = await office.operators.login(code.reveal(), "x")
    assert office.operators.identify(token.reveal(), "x") is not None
    with pytest.raises(Taken):
        await office.operators.add(ROOT, "ann", OperatorRole.ADMIN)
    _, code = await office.operators.add(ROOT, "ann", OperatorRole.AUDITOR, START + timedelta(hours=2))
    assert office.operators.identify(token.reveal(), "x") is None
    _, token = await office.operators.login(code.reveal(), "x")
    office.clock.advance(2 * 3600)
    assert office.operators.identify(token.reveal(), "x") is None
    await office.operators.add(ROOT, "bea", OperatorRole.VIEWER)
    ended = await office.operators.end(ROOT, "bea")
    assert ended.state is OperatorState.ENDED
    assert [view.name for view in office.operators.list()] == ["ann", "bea"]
    for name, error in (("bea", Unfit), ("nobody", Missing)):
        with pytest.raises(error):
            await office.operators.end(ROOT, name)
    for bad in ("", "Root", "local", "file", "a b", "x" * 65):
        with pytest.raises(CoatcheckError):
            await office.operators.add(ROOT, bad, OperatorRole.VIEWER)


async def test_a_code_is_not_good_for_ever_and_no_grant_is_a_login() -> None:
    office = await Office().open()
    _, code = await office.operators.add(ROOT, "ann", OperatorRole.VIEWER)
    office.clock.advance(CODE_LIFE.total_seconds())
    for bad in (code.reveal(), ALICE, "", "cckb_" + ALICE[5:]):
        with pytest.raises(Missing):
            await office.operators.login(bad, "x")
    for bad in (ALICE, "", "ccka_x", "ccka_" + ALICE[5:]):
        assert office.operators.identify(bad, "x") is None
