"""The reference server that has everything: what each SDK sees of it directly, it sees through the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway import Gateway, new_grant
from real import everything
from real.whole import LEGACY, Drivers, Kind, Way

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class House:
    """The server in each transport, with and without a gateway before it."""

    gateway: Gateway
    grant: str
    drivers: Drivers
    place: Path
    http: str
    sse: str

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
        gateway.start()
        try:
            yield House(gateway, grant, drivers, place, http, sse)
        finally:
            drivers.close()
            gateway.stop()


WAYS = (("stdio", "http"), ("http", "http"), ("old", "sse"), ("old", "http"))


@pytest.mark.parametrize(("server", "way"), WAYS, ids=[f"{server}-by-{way}" for server, way in WAYS])
@pytest.mark.parametrize("kind", LEGACY, ids=lambda kind: kind.name)
def test_the_whole_tour(house: House, kind: Kind, server: str, way: str) -> None:
    def toured(reached: Way) -> dict[str, Any]:
        with house.drivers.connect(kind, reached) as party:
            return everything.tour(party, kind.asks)

    with ThreadPoolExecutor(2) as both:
        directly = both.submit(toured, house.direct(server))
        through = both.submit(toured, house.through(server, way))
        expected, seen = directly.result(), through.result()
    for stop, what in expected.items():
        assert seen[stop] == what, stop
