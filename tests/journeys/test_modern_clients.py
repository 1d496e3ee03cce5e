"""The newest SDKs in the era without sessions: what they see of a server of that era, they see through the gateway."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.environments import ROOT
from gateway import Gateway, free_port, new_grant
from real.beside import Fronted
from real.everything import refused, tried
from real.servers import accepts
from real.whole import EVERYTHING, MODERN, STATELESS, Drivers, Kind, Party, Way

pytestmark = pytest.mark.real

FIXTURE = [sys.executable, "-m", "conformance.fixture", "--era", "modern"]
"""Has every feature of a call."""
LEDGER = [sys.executable, str(ROOT / "tests" / "real" / "ledger_server.py")]
"""Has what changes while one listens, headers and calls that are given up."""
ALL = {
    "tools_list_changed": True,
    "prompts_list_changed": True,
    "resources_list_changed": True,
    "resource_subscriptions": ["ledger://first"],
}
SURROUNDINGS = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
ROUNDS = (
    "elicitation",
    "sampling",
    "list_roots",
    "request_state",
    "multiple_inputs",
    "multi_round",
    "tampered_state",
    "capabilities",
)
ROUND = "test_input_required_result_"


@dataclass(frozen=True)
class House(Fronted):
    """Both servers over HTTP, a gateway before them and before two of the same that it starts, and a grant."""

    urls: dict[str, str]

    def ways(self, server: str, wire: str) -> tuple[Way, Way]:
        """Return the way that has no gateway and the one through it."""
        through = Way.to(self.gateway.route(f"{server}-{wire}"), self.grant)
        if wire == "http":
            return Way.to(self.urls[server]), through
        command = FIXTURE if server == "fixture" else LEDGER
        return Way.by([*command, "--stdio"], SURROUNDINGS, self.place / f"{server}.log"), through


@contextmanager
def listening(command: Sequence[str], place: Path) -> Iterator[str]:
    """Run a server on a free port and yield its URL."""
    port = free_port()
    with (place / "servers.log").open("ab") as log:
        child = subprocess.Popen(
            [*command, "--port", str(port)],
            env=SURROUNDINGS,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        limit = time.monotonic() + 30
        while not accepts(port):
            assert child.poll() is None, (place / "servers.log").read_text()
            assert time.monotonic() < limit, "the server does not listen"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        child.kill()
        child.wait()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("modern")
    grant, key = new_grant()
    drivers = Drivers(place / "drivers")
    with listening(FIXTURE, place) as fixture, listening(LEDGER, place) as ledger:
        servers: dict[str, Any] = {
            "fixture-http": {"type": "http", "url": fixture},
            "ledger-http": {"type": "http", "url": ledger},
        }
        for name, (program, *args) in {"fixture": FIXTURE, "ledger": LEDGER}.items():
            own = {"PYTHONPATH": str(ROOT)}
            servers[f"{name}-stdio"] = {"command": program, "args": [*args, "--stdio"], "env": own}
        auth = {"provider": "bearer", "bearer": {"tokens": {key: {"subject": "ada"}}}}
        gateway = Gateway(place / "gateway", {"mcpServers": servers, "serverAuth": auth})
        gateway.start()
        try:
            yield House(gateway, grant, drivers, place, {"fixture": fixture, "ledger": ledger})
        finally:
            drivers.close()
            gateway.stop()


each_wire = pytest.mark.parametrize("wire", ["http", "stdio"])
each_kind = pytest.mark.parametrize("kind", STATELESS, ids=lambda kind: kind.name)
Visit = Callable[[Party], Any]


def seen_by(house: House, kind: Kind, server: str, wire: str, visit: Visit, **more: Any) -> tuple[Any, Any]:
    """Visit the server directly, then through the gateway, and return what was seen each time."""
    found = []
    for way in house.ways(server, wire):
        with house.drivers.connect(kind, way, **more) as party:
            assert party.greeting["protocolVersion"] == MODERN
            party.heard()
            found.append(visit(party))
    return found[1], found[0]


@each_wire
@each_kind
def test_what_it_has(house: House, kind: Kind, wire: str) -> None:
    def visit(party: Party) -> Any:
        lists = {of: party.list(of) for of in ("tools", "prompts", "resources", "resourceTemplates")}
        words = {name: party.greeting[name] for name in ("instructions", "serverInfo")}
        ref = {"type": "ref/prompt", "name": "test_prompt_with_arguments"}
        return {
            **words,
            **lists,
            "capabilities": sorted(party.greeting["capabilities"]),
            "read": [party.ask("read", uri=one["uri"]) for one in lists["resources"]],
            "completed": party.ask("complete", ref=ref, argument={"name": "arg1", "value": "par"}),
        }

    seen, expected = seen_by(house, kind, "fixture", wire, visit)
    for name in expected:
        assert seen[name] == expected[name], name


@each_wire
@each_kind
def test_calls(house: House, kind: Kind, wire: str) -> None:
    def visit(party: Party) -> Any:
        names = [name for name in party.names() if "test_trigger" not in name and ROUND not in name]
        found = {name: tried(party, "call", tool=name, arguments={"region": "eu"}) for name in names}
        found["progress"] = party.call("test_tool_with_progress", progress=True)
        found["unknown"] = refused(party, "call", tool="no_such_tool", arguments={})
        return found

    seen, expected = seen_by(house, kind, "fixture", wire, visit)
    assert seen == expected
    assert [one[0] for one in seen["progress"]["progress"]][:2] == [0, 50]


@each_wire
@each_kind
def test_questions_in_results(house: House, kind: Kind, wire: str) -> None:
    """Every kind of question, several at once, in several rounds, and the state that goes with them."""

    def visit(party: Party) -> Any:
        found: dict[str, Any] = {}
        for name in ROUNDS:
            result = party.call(ROUND + name)
            found[name] = [result, sorted(party.heard(), key=str)]
        found["prompt"] = party.ask("prompt", prompt=f"{ROUND}prompt")
        found["missing"] = party.call("test_missing_capability")
        return found

    seen, expected = seen_by(house, kind, "fixture", wire, visit)
    assert seen == expected
    assert seen["multi_round"][0]["content"][0]["text"] == "Ada likes Ada."
    assert len(seen["multi_round"][1]) == 2
    assert {one["kind"] for one in seen["multiple_inputs"][1]} == set(EVERYTHING)


@each_wire
@each_kind
def test_a_client_that_cannot_be_asked(house: House, kind: Kind, wire: str) -> None:
    def visit(party: Party) -> Any:
        return [refused(party, "call", tool=ROUND + name) for name in ROUNDS] + [
            refused(party, "call", tool="test_missing_capability")
        ]

    seen, expected = seen_by(house, kind, "fixture", wire, visit, can=())
    assert seen == expected
    assert {one["code"] for one in seen} == {-32021}


@each_wire
@each_kind
@pytest.mark.parametrize(("level", "count"), [(None, 0), ("error", 0), ("info", 3)])
def test_the_level_of_a_request(house: House, kind: Kind, wire: str, level: str | None, count: int) -> None:
    """Log messages come to a request that asked for them, at the level that it asked for."""

    def visit(party: Party) -> Any:
        return [party.call("test_logging_tool"), party.heard()]

    seen, expected = seen_by(house, kind, "fixture", wire, visit, **({"level": level} if level else {}))
    assert seen == expected
    assert [event["kind"] for event in seen[1]] == ["log"] * count


@each_wire
@each_kind
def test_listening(house: House, kind: Kind, wire: str) -> None:
    """Changes of each list and of one resource come to who listens, those of another resource do not."""

    def visit(party: Party) -> Any:
        agreed = party.ask("listen", filter=ALL)
        party.call("write", name="second", text="three hats")
        party.call("write", name="first", text="no coat")
        page = f"page_{party.name.replace('-', '_')}"
        party.call("open_page", name=page)
        heard = until(party, 8 if kind.name.startswith("python") else 4)
        added = [f"sign_{page}" in party.names(), party.text(f"sign_{page}") == f"signed {page}"]
        added.append(f"ledger://pages/{page}" in [one["uri"] for one in party.list("resources")])
        read = party.ask("read", uri="ledger://first")
        party.ask("unlisten")
        party.call("write", name="first", text="one coat")
        party.call("write", name="first", text="one coat")
        return {
            "agreed": agreed,
            "heard": sorted(heard, key=str),
            "added": added,
            "read": read,
            "then": party.heard(),
        }

    seen, expected = seen_by(house, kind, "ledger", wire, visit)
    assert seen == expected
    assert seen["added"] == [True] * 3
    assert {"kind": "updated", "uri": "ledger://first"} in seen["heard"]
    assert seen["then"] == []


def until(party: Party, count: int) -> list[dict[str, Any]]:
    """Return what is heard once there is so much of it."""
    heard: list[dict[str, Any]] = []
    limit = time.monotonic() + 20
    while len(heard) < count:
        assert time.monotonic() < limit, heard
        heard += party.heard()
        time.sleep(0.02)
    return heard


@each_wire
@each_kind
def test_arguments_in_headers(house: House, kind: Kind, wire: str) -> None:
    """What a schema wants in headers arrives in them, encoded where it has to be, and in the arguments."""

    def visit(party: Party) -> Any:
        party.list("tools")
        regions = ("eu", "Zürich", " edged ", "=?base64?eA==?=")
        found = [party.call("where", region=region, row=7, note="plain") for region in regions]
        # The SDKs write an empty value in different ways, which mean the same.
        empty = party.call("where", region="", row=7, note="plain")["structuredContent"]
        return [*found, empty["in"], empty["region"] in ("", "=?base64??=", None)]

    seen, expected = seen_by(house, kind, "ledger", wire, visit)
    assert seen == expected
    if wire == "http":
        assert seen[0]["structuredContent"]["region"] == "eu"
        assert seen[1]["structuredContent"]["region"] == "=?base64?WsO8cmljaA==?="
        assert seen[1]["structuredContent"]["row"] == "7"
    assert seen[1]["structuredContent"]["in"] == "Zürich 7 plain"


@each_wire
@each_kind
def test_given_up(house: House, kind: Kind, wire: str) -> None:
    """A call that nobody waits for ends at the server too, and the client goes on."""

    def visit(party: Party) -> Any:
        before = counted(party)
        begun = party.begin("call", tool="ponder", arguments={}, progress=False)
        assert party.text("write", name="third", text="meanwhile") == "third: meanwhile"
        assert not begun.is_done
        begun.cancel()
        limit = time.monotonic() + 20
        while counted(party) == before:
            assert time.monotonic() < limit, "the server goes on"
            time.sleep(0.02)
        return counted(party) - before

    seen, expected = seen_by(house, kind, "ledger", wire, visit)
    assert seen == expected == 1


def counted(party: Party) -> int:
    found: int = party.call("count_given_up")["structuredContent"]["result"]
    return found
