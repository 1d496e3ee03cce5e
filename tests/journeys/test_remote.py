"""Clients that can only start commands: through `mcp-remote` and `coatcheck bridge` they see what they see directly."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from gateway import Gateway, new_grant
from real import everything
from real.beside import Fronted, Seen, both, of_any_era, same
from real.installed import node, npm_clients, surroundings
from real.whole import LEGACY, MODERN, PYTHON_1, STATELESS, TYPESCRIPT_2, Drivers, Kind, Way

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class House(Fronted):
    """The server over HTTP, a gateway before it and before one that it starts, and homes for the commands."""

    http: str
    homes: Iterator[int] = field(default_factory=count)

    def remote(self, url: str, *header: str) -> Way:
        """Start mcp-remote, which answers nothing on its standard output that is not the server's."""
        home = self.place / f"remote-{next(self.homes)}"
        program = npm_clients() / "node_modules" / "mcp-remote" / "dist" / "proxy.js"
        command = [str(node() / "node"), str(program), url, "--transport", "http-only", *header]
        return Way.by(command, surroundings(home), home / "words")

    def remote_through(self, server: str) -> Way:
        """Start mcp-remote as a client's settings do that hold a grant."""
        return self.remote(self.gateway.route(server), "--header", f"Authorization: Bearer {self.grant}")

    def bridge(self, server: str) -> Way:
        """Start the bridge; its words are empty as long as nothing goes wrong."""
        home = self.place / f"bridge-{next(self.homes)}"
        kept = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        env = {**surroundings(home), **kept, "COATCHECK_GRANT": self.grant}
        command = [sys.executable, "-m", "coatcheck", "bridge", self.gateway.route(server)]
        return Way.by(command, env, home / "words")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("remote")
    grant, key = new_grant()
    drivers = Drivers(place / "drivers")
    with everything.listening("streamableHttp", place) as http:
        servers = {"stdio": everything.declared(), "http": {"type": "http", "url": http}}
        auth = {"provider": "bearer", "bearer": {"tokens": {key: {"subject": "ada"}}}}
        gateway = Gateway(place / "gateway", {"mcpServers": servers, "serverAuth": auth})
        gateway.start()
        try:
            yield House(gateway, grant, drivers, place, http)
        finally:
            drivers.close()
            gateway.stop()


def by_name(kinds: Sequence[Kind]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.name)


def without_sessions(house: House, kind: Kind, way: Way, version: str) -> Seen:
    """Take the tour of a client without sessions, which falls back to one if it has to."""
    with house.drivers.connect(kind, way, ()) as party:
        assert party.greeting["protocolVersion"] == version
        seen: Seen = of_any_era(everything.stateless_tour(party))
        return seen


@by_name([PYTHON_1, TYPESCRIPT_2])
def test_mcp_remote(house: House, kind: Kind) -> None:
    """What mcp-remote brings from a server that it reaches itself, it brings from the gateway."""
    direct, through = house.remote(house.http), house.remote_through("http")
    expected, seen = both(house.drivers, kind, kind.asks, direct, through)
    same(seen, expected)
    assert "Ada to: Resource trigger-sampling-request" in seen["sampling"]["result"]["content"][0]["text"]


@by_name(STATELESS)
def test_mcp_remote_without_sessions(house: House, kind: Kind) -> None:
    """This server has sessions only; the gateway before it needs none, and mcp-remote lets that pass."""
    expected = without_sessions(house, kind, house.remote(house.http), "2025-11-25")
    seen = without_sessions(house, kind, house.remote_through("http"), MODERN)
    same(seen, expected)


@by_name(LEGACY)
def test_the_bridge(house: House, kind: Kind) -> None:
    """What a client sees of a command of its own, it sees of the bridge to a gateway that starts that command."""
    direct, through = everything.started(house.place / "direct"), house.bridge("stdio")
    expected, seen = both(house.drivers, kind, kind.asks, direct, through)
    same(seen, expected)
    assert said_nothing(through)


@by_name(STATELESS)
def test_the_bridge_without_sessions(house: House, kind: Kind) -> None:
    direct, through = everything.started(house.place / "direct"), house.bridge("stdio")
    expected = without_sessions(house, kind, direct, "2025-11-25")
    same(without_sessions(house, kind, through, MODERN), expected)
    assert said_nothing(through)


def said_nothing(way: Way) -> bool:
    """Tell whether a command wrote no words; only the Python SDK keeps them."""
    words = Path(way.asked["words"])
    return not words.exists() or words.read_text() == ""
