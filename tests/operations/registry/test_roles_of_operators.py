"""Another role for an operator: in one edit, at once, and never one's own or that of the last admin."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coatcheck.errors import LedgerUnavailable, Missing, Taken, Unfit
from coatcheck.model.operator import LOCAL_ACTOR, Actor, OperatorRole
from coatcheck.model.secret import Secret
from coatcheck.operations.registry.operators import CODE_LIFE
from coatcheck.operations.registry.views import OperatorState
from doubles.clock import START
from doubles.registries import ROOT, Office

ADMIN, VIEWER, AUDITOR = OperatorRole.ADMIN, OperatorRole.VIEWER, OperatorRole.AUDITOR


async def came_in(office: Office, name: str, role: OperatorRole) -> Secret:
    """Invite an operator, and return its token."""
    _, code = await office.operators.add(ROOT, name, role, START + timedelta(days=9))
    return (await office.operators.login(code.reveal(), "x"))[1]


async def test_what_was_good_in_the_former_role_is_void_and_the_code_lets_in_with_the_new_one() -> None:
    office = await Office().open()
    token = await came_in(office, "ann", VIEWER)
    actor = office.operators.identify(token.reveal(), "x")
    assert actor is not None
    assert actor.role is VIEWER
    commits = office.store.commits
    view, code = await office.operators.change_role(ROOT, "ann", AUDITOR)
    assert (view.role, view.state, view.has_token) == (AUDITOR, OperatorState.INVITED, False)
    assert (view.expires_at, view.code_until) == (START + timedelta(days=9), START + CODE_LIFE)
    assert (office.store.commits, office.store.changes[-1].action) == (commits + 1, "operator.change")
    assert office.operators.identify(token.reveal(), "x") is None
    _, token = await office.operators.login(code.reveal(), "x")
    actor = office.operators.identify(token.reveal(), "x")
    assert actor == Actor("ann", AUDITOR, "x")


async def test_the_same_role_is_an_invitation_anew() -> None:
    office = await Office().open()
    token = await came_in(office, "ann", VIEWER)
    view, code = await office.operators.change_role(Actor("ann", ADMIN, "x"), "ann", VIEWER)
    assert (view.role, office.store.changes[-1].action) == (VIEWER, "operator.invite")
    assert office.operators.identify(token.reveal(), "x") is None
    assert (await office.operators.login(code.reveal(), "x"))[0].state is OperatorState.ACTIVE


async def test_a_failure_leaves_the_operator_as_it_was() -> None:
    office = await Office().open()
    token = await came_in(office, "ann", VIEWER)
    office.store.failing = LedgerUnavailable("the disk is full")
    with pytest.raises(LedgerUnavailable):
        await office.operators.change_role(ROOT, "ann", AUDITOR)
    office.store.failing = None
    assert office.operators.identify(token.reveal(), "x") == Actor("ann", VIEWER, "x")


async def test_nobody_changes_their_own_role() -> None:
    office = await Office().open()
    for name in ("ann", "ben"):
        await came_in(office, name, ADMIN)
    ann = Actor("ann", ADMIN, "x")
    with pytest.raises(Unfit, match="their own role"):
        await office.operators.change_role(ann, "ann", VIEWER)
    assert (await office.operators.change_role(ann, "ben", VIEWER))[0].role is VIEWER


async def test_the_last_admin_who_can_come_in_stays_one() -> None:
    office = await Office().open()
    await came_in(office, "ann", ADMIN)
    await came_in(office, "vera", VIEWER)
    _, code = await office.operators.add(ROOT, "ben", ADMIN)
    assert office.operators.is_last_admin("ann"), "an invitation is nobody yet"
    with pytest.raises(Unfit, match="ann is the last admin"):
        await office.operators.change_role(LOCAL_ACTOR, "ann", VIEWER)
    await office.operators.login(code.reveal(), "x")
    assert not office.operators.is_last_admin("ann")
    assert (await office.operators.change_role(LOCAL_ACTOR, "ann", VIEWER))[0].role is VIEWER
    assert [office.operators.is_last_admin(name) for name in ("ann", "ben", "vera")] == [False, True, False]


async def test_who_is_over_is_back_by_another_role() -> None:
    office = await Office().open()
    for name in ("late", "gone"):
        await came_in(office, name, VIEWER)
    with pytest.raises(Taken, match="with the role viewer") as taken:
        await office.operators.add(ROOT, "late", AUDITOR)
    assert "coatcheck operator role late auditor" in taken.value.fix
    await office.operators.end(ROOT, "gone")
    office.clock.advance(timedelta(days=9).total_seconds())
    for name in ("late", "gone"):
        view, code = await office.operators.change_role(ROOT, name, AUDITOR)
        assert (view.role, view.state, view.expires_at) == (AUDITOR, OperatorState.INVITED, None)
        assert office.store.changes[-1].action == "operator.invite"
        assert (await office.operators.login(code.reveal(), "x"))[0].state is OperatorState.ACTIVE
    with pytest.raises(Missing):
        await office.operators.change_role(ROOT, "nobody", AUDITOR)


async def test_who_has_ended_is_back_for_no_longer_than_before() -> None:
    office = await Office().open()
    await came_in(office, "ann", VIEWER)
    await office.operators.end(ROOT, "ann")
    view, _ = await office.operators.change_role(ROOT, "ann", VIEWER)
    assert (view.state, view.expires_at) == (OperatorState.INVITED, START + timedelta(days=9))
