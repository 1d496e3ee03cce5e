"""Lends the tests here a running gateway whose console operators of every role are signed in at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.model.operator import OperatorRole
from houses import House
from journeys.operating import office_at
from journeys.running import hall
from visitor import Visitor

__all__ = ["hall"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Run a gateway for the tests of one module."""
    with office_at(tmp_path_factory.mktemp("house") / "data") as office:
        yield House(office)


@pytest.fixture
def own_house(tmp_path: Path) -> Iterator[House]:
    """Run a gateway that one test may change as a whole, and finds as it begins."""
    with office_at(tmp_path / "data") as office:
        yield House(office)


@pytest.fixture
def admin(house: House) -> Visitor:
    """Return a visitor who is signed in as an admin."""
    return house.as_role(OperatorRole.ADMIN.value)
