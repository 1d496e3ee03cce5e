"""The MCP Inspector's command line: what it prints of a server directly, it prints of the gateway before it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway import Gateway, new_grant
from real import everything
from real.drivers import inspector
from real.servers import time_server

pytestmark = pytest.mark.real

CALLS: dict[str, Sequence[str]] = {
    "tools": ["tools/list"],
    "call": ["tools/call", "--tool-name", "get-sum", "--tool-arg", "a=2", "b=3"],
    "resources": ["resources/list"],
    "read": ["resources/read", "--uri", everything.DOCUMENT],
    "templates": ["resources/templates/list"],
    "prompts": ["prompts/list"],
    "prompt": ["prompts/get", "--prompt-name", "args-prompt", "--prompt-args", "city=Ulm", "state=BW"],
    "level": ["logging/setLevel", "--log-level", "error"],
}
MISTAKES: dict[str, Sequence[str]] = {
    "no such tool": ["tools/call", "--tool-name", "no-such-tool"],
    "an argument is missing": ["prompts/get", "--prompt-name", "args-prompt"],
}
NAMED = {"get-sum", "args-prompt"}
"""What has a prefix on the route of all servers."""

Said = tuple[int, str, str]


@dataclass(frozen=True)
class House:
    """The server in both transports, a gateway before it and another server, and a grant."""

    gateway: Gateway
    grant: str
    urls: dict[str, str]
    place: Path
    known: dict[tuple[str, ...], Said] = field(default_factory=dict)

    def direct(self, transport: str, asked: Sequence[str]) -> Said:
        """Ask the server itself, once: it does not change."""
        question = (transport, *asked)
        if question not in self.known:
            self.known[question] = self._said(self.urls[transport], "", transport, asked)
        return self.known[question]

    def through(self, transport: str, asked: Sequence[str]) -> Said:
        """Ask the gateway for that one server."""
        url = self.gateway.route("old") + "sse" if transport == "sse" else self.gateway.route("http")
        return self._said(url, self.grant, transport, asked)

    def among(self, transport: str, asked: Sequence[str]) -> Said:
        """Ask the gateway for all of its servers."""
        url = self.gateway.url + ("/sse" if transport == "sse" else "")
        asked = [f"http__{word}" if word in NAMED else word for word in asked]
        return self._said(url, self.grant, transport, asked)

    def _said(self, url: str, grant: str, transport: str, asked: Sequence[str]) -> Said:
        ended = inspector(url, grant, self.place / "home", "--method", *asked, transport=transport)
        return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("inspector")
    grant, key = new_grant()
    with everything.listening("streamableHttp", place) as http, everything.listening("sse", place) as sse:
        auth = {"provider": "bearer", "bearer": {"tokens": {key: {"subject": "ada"}}}}
        servers = {
            "http": {"type": "http", "url": http},
            "old": {"type": "sse", "url": sse},
            "time": time_server(),
        }
        gateway = Gateway(place / "gateway", {"mcpServers": servers, "serverAuth": auth})
        gateway.start()
        try:
            yield House(gateway, grant, {"http": http, "sse": sse}, place)
        finally:
            gateway.stop()


each_transport = pytest.mark.parametrize("transport", ["http", "sse"])


@each_transport
@pytest.mark.parametrize("name", CALLS)
def test_it_prints_the_same(house: House, transport: str, name: str) -> None:
    expected, seen = at_once(house, transport, CALLS[name])
    assert expected[0] == 0, expected
    assert seen == expected


@each_transport
@pytest.mark.parametrize("name", MISTAKES)
def test_it_fails_in_the_same_way(house: House, transport: str, name: str) -> None:
    expected, seen = at_once(house, transport, MISTAKES[name])
    assert expected[0] != 0
    assert seen == expected


@each_transport
def test_no_such_resource(house: House, transport: str) -> None:
    """A server's own words are not for who may not know what it has: what is hidden does not exist either."""
    expected, seen = at_once(house, transport, ["resources/read", "--uri", "demo://nowhere"])
    assert "Resource demo://nowhere not found" in expected[2]
    assert (seen[0], seen[1]) == (expected[0], expected[1])
    assert json.loads(seen[2])["error"]["message"].endswith("Resource not found")


@each_transport
def test_among_other_servers(house: House, transport: str) -> None:
    """On the route of all servers it finds the same things under their prefix.

    Tools that a server has only for clients that can be asked are offered there once it has been called.
    """
    for name in ("call", "read", "prompt", "level"):
        direct, among = at_once(house, transport, CALLS[name], among=True)
        assert among == direct, name
    for of in ("tools", "prompts"):
        direct, among = at_once(house, transport, CALLS[of], among=True)
        found = listed(among, of)
        own = [{**one, "name": one["name"][6:]} for one in found if one["name"].startswith("http__")]
        assert own == [one for one in listed(direct, of) if one["name"] not in everything.ASKING_TOOLS], of
        assert {one["name"].split("__")[0] for one in found} >= {"http", "old"}
    for name, of, key in (
        ("resources", "resources", "uri"),
        ("templates", "resourceTemplates", "uriTemplate"),
    ):
        direct, among = at_once(house, transport, CALLS[name], among=True)
        assert {one[key] for one in listed(among, of)} == {one[key] for one in listed(direct, of)}, name


def at_once(house: House, transport: str, asked: Sequence[str], *, among: bool = False) -> tuple[Said, Said]:
    """Return what it says directly and through the gateway, alone or among other servers."""
    with ThreadPoolExecutor(2) as pool:
        direct = pool.submit(house.direct, transport, asked)
        through = pool.submit(house.among if among else house.through, transport, asked)
        return direct.result(), through.result()


def listed(said: Said, of: str) -> list[dict[str, Any]]:
    assert said[0] == 0, said
    found: list[dict[str, Any]] = json.loads(said[1])[of]
    return found
