"""Lends the tests here a running gateway, and operators of every role."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from journeys.operating import Office, office_at
from journeys.running import hall

__all__ = ["hall"]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Run a gateway for the tests of one module."""
    with office_at(tmp_path_factory.mktemp("office") / "data") as running:
        yield running
