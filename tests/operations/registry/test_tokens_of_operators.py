"""Tokens of operators for programs: made, replaced, voided, and what they leave alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coatcheck.errors import Missing, Unfit
from coatcheck.model.operator import OperatorRole
from coatcheck.operations.registry.operators import CODE_LIFE, can_come_in
from coatcheck.operations.registry.views import OperatorState
from doubles.clock import START
from doubles.registries import ROOT, Office


async def test_a_token_takes_the_place_of_the_code_and_of_the_token_before() -> None:
    office = await Office().open()
    _, code = await office.operators.add(ROOT, "ci", OperatorRole.AUDITOR)
    view, first = await office.operators.token(ROOT, "ci")
    assert (view.state, view.has_token, view.code_until) == (OperatorState.ACTIVE, True, None)
    actor = office.operators.identify(first.reveal(), "127.0.0.1")
    assert actor is not None
    assert (actor.name, actor.role) == ("ci", OperatorRole.AUDITOR)
    with pytest.raises(Missing):
        await office.operators.login(code.reveal(), "127.0.0.1")
    _, second = await office.operators.token(ROOT, "ci")
    assert office.operators.identify(first.reveal(), "127.0.0.1") is None
    assert office.operators.identify(second.reveal(), "127.0.0.1") is not None


async def test_a_void_token_lets_nobody_in_and_is_void_once() -> None:
    office = await Office().open()
    await office.operators.add(ROOT, "ci", OperatorRole.VIEWER)
    _, token = await office.operators.token(ROOT, "ci")
    view = await office.operators.void_token(ROOT, "ci")
    assert not view.has_token
    assert office.operators.identify(token.reveal(), "127.0.0.1") is None
    with pytest.raises(Unfit, match="has no token"):
        await office.operators.void_token(ROOT, "ci")


async def test_nobody_who_is_gone_is_given_a_token() -> None:
    office = await Office().open()
    with pytest.raises(Missing):
        await office.operators.token(ROOT, "nobody")
    await office.operators.add(ROOT, "late", OperatorRole.VIEWER, START + timedelta(hours=1))
    await office.operators.add(ROOT, "gone", OperatorRole.VIEWER)
    await office.operators.end(ROOT, "gone")
    office.clock.advance(7_200)
    for name in ("late", "gone"):
        with pytest.raises(Unfit, match=r"invite it anew|has ended|has expired"):
            await office.operators.token(ROOT, name)


async def test_who_came_by_a_token_alone_has_no_way_in_without_it() -> None:
    office = await Office().open()
    await office.operators.add(ROOT, "ci", OperatorRole.VIEWER)
    await office.operators.token(ROOT, "ci")
    assert can_come_in(office.book.registry.operators["ci"], office.clock.now())
    view = await office.operators.void_token(ROOT, "ci")
    assert (view.state, view.code_until) == (OperatorState.INVITED, None)
    assert not can_come_in(office.book.registry.operators["ci"], office.clock.now())


async def test_an_invitation_is_a_way_in_for_as_long_as_its_code_is_good() -> None:
    office = await Office().open()
    await office.operators.add(ROOT, "ann", OperatorRole.VIEWER)
    ann = office.book.registry.operators["ann"]
    assert can_come_in(ann, START)
    assert not can_come_in(ann, START + CODE_LIFE)
    await office.operators.end(ROOT, "ann")
    assert not can_come_in(office.book.registry.operators["ann"], START)
