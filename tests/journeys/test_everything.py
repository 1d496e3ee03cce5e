"""The reference server that has everything: what each SDK sees of it directly, it sees through the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway import Gateway, new_grant
from real import everything
from real.beside import Fronted, both, of_any_era, same
from real.servers import time_server
from real.whole import (
    LEGACY,
    MODERN,
    PYTHON_2,
    PYTHON_FIRST,
    STATELESS,
    TYPESCRIPT_1,
    Drivers,
    Kind,
    Prefixed,
    Way,
)

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class House(Fronted):
    """The server in each transport, with and without a gateway before it."""

    http: str
    sse: str
    among: Gateway
    """Another gateway, before this server and others."""

    def direct(self, server: str) -> Way:
        """The way that has no gateway."""
        if server == "stdio":
            return everything.started(self.place / "direct")
        return Way.to(self.http) if server == "http" else Way.to(self.sse, way="sse")

    def through(self, server: str, way: str) -> Way:
        """The way through the gateway, with the newer or the older transport."""
        url = self.gateway.route(server) + ("sse" if way == "sse" else "")
        return Way.to(url, self.grant, way=way)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("everything")
    grant, key = new_grant()
    drivers = Drivers(place / "drivers")
    with everything.listening("streamableHttp", place) as http, everything.listening("sse", place) as sse:
        servers = {
            "stdio": everything.declared(),
            "http": {"type": "http", "url": http},
            "old": {"type": "sse", "url": sse},
        }
        auth = {"provider": "bearer", "bearer": {"tokens": {key: {"subject": "ada"}}}}
        gateway = Gateway(place / "gateway", {"mcpServers": servers, "serverAuth": auth})
        others = {"all": servers["http"], "time": time_server()}
        among = Gateway(place / "among", {"mcpServers": others, "serverAuth": auth})
        gateway.start()
        try:
            among.start()
            yield House(gateway, grant, drivers, place, http, sse, among)
        finally:
            drivers.close()
            among.stop()
            gateway.stop()


WAYS = (("stdio", "http"), ("http", "http"), ("old", "sse"), ("old", "http"))
each_way = pytest.mark.parametrize(
    ("server", "way"), WAYS, ids=[f"{server}-by-{way}" for server, way in WAYS]
)
ASKING = everything.ASKING_TOOLS


@each_way
@pytest.mark.parametrize("kind", LEGACY, ids=lambda kind: kind.name)
def test_a_client_that_can_be_asked(house: House, kind: Kind, server: str, way: str) -> None:
    direct, through = house.direct(server), house.through(server, way)
    expected, seen = both(house.drivers, kind, kind.asks, direct, through)
    same(seen, expected)
    assert "Ada to: Resource trigger-sampling-request" in seen["sampling"]["result"]["content"][0]["text"]
    offered = {tool["name"] for tool in seen["tools"]} & ASKING
    assert offered == (
        ASKING if "elicitation" in kind.asks else {"get-roots-list", "trigger-sampling-request"}
    )


@each_way
def test_a_client_that_cannot(house: House, server: str, way: str) -> None:
    """It shares its session at the server with others, and is offered what needs no question."""
    direct, through = house.direct(server), house.through(server, way)
    expected, seen = both(house.drivers, TYPESCRIPT_1, (), direct, through)
    same(seen, expected)
    assert not {tool["name"] for tool in seen["tools"]} & ASKING


@pytest.mark.parametrize("way", ["http", "sse"])
@pytest.mark.parametrize("kind", [PYTHON_FIRST, PYTHON_2, TYPESCRIPT_1], ids=lambda kind: kind.name)
def test_among_other_servers(house: House, kind: Kind, way: str) -> None:
    """On the route of all servers its names have a prefix, and what it asks a person says who asks.

    What it offers only to clients like this one is listed once the client has a session of its own there:
    among many servers, none is opened for a list alone.
    """
    url = house.among.url + ("/sse" if way == "sse" else "")
    with house.drivers.connect(kind, house.direct("http")) as party:
        expected = everything.tour(party, kind.asks)
    with house.drivers.connect(kind, Way.to(url, house.grant, way=way)) as party:
        assert "time__get_current_time" in party.names()
        alone = Prefixed(party, "all")
        seen = everything.tour(alone, kind.asks)
        assert in_order(alone.list("tools")) == in_order(expected["tools"])
    for stop in {"elicitation", "link"} & seen.keys():
        asked = expected[stop]["asked"]["params"]
        asked["message"] = f"[all] {asked['message']}"
    same(seen, expected, but=("greeting", "capabilities", "tools"))


def in_order(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort tools by name: this server adds some later than others."""
    return sorted(tools, key=lambda tool: str(tool["name"]))


@pytest.mark.parametrize("server", ["stdio", "http", "old"])
@pytest.mark.parametrize("kind", STATELESS, ids=lambda kind: kind.name)
def test_a_client_without_sessions(house: House, kind: Kind, server: str) -> None:
    """Directly it falls back to a session; through the gateway it needs none, and sees the same."""
    with house.drivers.connect(kind, house.direct(server), ()) as party:
        expected = everything.stateless_tour(party)
    with house.drivers.connect(kind, house.through(server, "http"), ()) as party:
        assert party.greeting["protocolVersion"] == MODERN
        seen = everything.stateless_tour(party)
    same(of_any_era(seen), of_any_era(expected))
