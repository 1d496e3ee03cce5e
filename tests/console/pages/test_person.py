"""The page of one person, from a registry in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from coatcheck.console.pages.people.showing import OneQuery, PersonPages
from coatcheck.console.web.page import Shown
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.operations.registry.patches import NewGrant
from doubles.asking import asked
from doubles.registries import ROOT, Office

VIEWER = Actor("vera", OperatorRole.VIEWER, "192.0.2.12")


async def unread(*_: Any, **__: Any) -> Any:
    raise LedgerUnavailable("the disk is full")


async def known(name: str) -> Any:
    return SimpleNamespace(view=SimpleNamespace(name=name))


def pages_of(office: Office) -> PersonPages:
    """Return the pages over an office whose record cannot be read."""
    cases = SimpleNamespace(
        people=SimpleNamespace(get=known),
        grants=office.grants,
        activity=SimpleNamespace(over=unread),
        offboarding=SimpleNamespace(would_end=known),
        clock=office.clock,
    )
    return PersonPages(cast("Any", cases), cast("Any", None))


async def test_grants_that_are_over_push_none_aside_that_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coatcheck.console.pages.people.showing._GRANTS", 2)
    office = await Office().open()
    for label in ("a-1", "a-2", "z"):
        await office.grants.issue(ROOT, NewGrant(label, "ada", None))
    await office.grants.revoke(ROOT, ["a-1", "a-2"], "x")
    shown = await pages_of(office).one(asked(VIEWER, query=OneQuery("ada")))
    assert isinstance(shown, Shown)
    assert shown.values["series"] is None
    assert [one.label for one in shown.values["grants"]] == ["z", "a-1", "a-2"]
