"""Clients that open everything, read nothing or use what is not theirs; and the end of all that is open."""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from journeys.hostile import Raid, Scene, scene_at, sse
from journeys.streams import OldClient, Streamed, get
from journeys.wire import Wire

BOUND = 400
ASK = {"message": "x", "requestedSchema": {"type": "object", "properties": {}}}
CHANGES = {"notifications": {"toolsListChanged": True}}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    limits = {"COATCHECK_UPSTREAM_IDLE": "1s", "COATCHECK_DRAIN_TIMEOUT": "2s"}
    with scene_at(tmp_path / "data", env=limits) as running:
        running.good()
        running.call("child", "echo")  # which starts the child that all share
        yield running


def asks(raid: Raid) -> None:
    raid.stream()
    raid.say(sse({"id": "q", "method": "elicitation/create", "params": ASK}))
    raid.linger()


class Everything:
    """All that one grant can hold open, open at once."""

    def __init__(self, scene: Scene, stack: ExitStack) -> None:
        foe = scene.foes["foe"]
        foe.attack(by=asks)
        self.session = scene.session("foe", elicitation={})
        self.own_child = scene.session("child", elicitation={})
        self.own_child.ask("tools/call", {"name": "echo", "arguments": {}})
        self.stream = stack.enter_context(get(self.session))
        assert self.stream.opened() == 200
        self.asked = stack.enter_context(self.session.begin("echo"))
        assert self.asked.opened() == 200
        assert self.asked.message()["method"] == "elicitation/create"
        self.call = stack.enter_context(Wire(scene.hall.gateway.port))
        hang: dict[str, Any] = {"name": "srv__hang", "arguments": {}}
        self.call.send(scene.hall.request("tools/call", hang, grant=scene.evil))
        scene.hall.peer.until(lambda: scene.hall.peer.hanging == 1)
        self.listen = stack.enter_context(Streamed(scene.hall.gateway.port))
        self.listen.send(
            scene.hall.request("subscriptions/listen", CHANGES, path="/mcp/srv", grant=scene.evil)
        )
        assert self.listen.opened() == 200
        self.old = OldClient(scene.hall, grant=scene.evil)
        stack.callback(self.old.close)
        self.streams = (self.stream, self.asked, self.listen, self.old.stream)


def without(scene: Scene, subject: str) -> dict[str, Any]:
    declared = copy.deepcopy(scene.hall.gateway.declaration)
    tokens = declared["serverAuth"]["bearer"]["tokens"]
    for key in [key for key, one in tokens.items() if one["subject"] == subject]:
        del tokens[key]
    return declared


def until(true: Callable[[], bool], scene: Scene) -> None:
    for _ in range(400):
        if true():
            return
        scene.good()
    raise AssertionError(scene.counts())


def test_revoking_cuts_everything_that_is_open(scene: Scene) -> None:
    before = scene.counts()
    with ExitStack() as stack:
        held = Everything(scene, stack)
        open_now = scene.counts()
        assert open_now.gauges["own_children"] == 1
        assert open_now.gauges["streams"] >= 1
        scene.hall.gateway.write(without(scene, "mallory"))
        assert scene.call("srv", "echo").status == 401
        assert held.call.read().status == 401
        for stream in held.streams:
            assert b'"result"' not in stream.ending()
        assert held.session.ask("ping").status == 401
        until(lambda: scene.hall.peer.hanging == 0, scene)
    scene.settles(before)
    scene.good(3)


def test_the_end_of_the_gateway_ends_everything_that_is_open(scene: Scene) -> None:
    with ExitStack() as stack:
        held = Everything(scene, stack)
        scene.hall.gateway.children()
        scene.hall.gateway.stop(signal.SIGTERM)  # which checks the code, and that no child outlives it
        for stream in held.streams:
            stream.rest()
        assert held.call.is_closed() or held.call.read().status in {200, 503}


def test_sessions_of_another_and_more_of_them_than_allowed(scene: Scene) -> None:
    before = scene.counts()
    good = scene.session("srv", grant=scene.hall.grant)
    first = scene.session("srv")
    first.headers["Mcp-Session-Id"] = good.id
    assert first.ask("ping").status == 404
    opened = [scene.session("srv") for _ in range(500)]
    assert scene.counts().gauges["sessions"] <= before.gauges["sessions"] + 1 + 64
    assert opened[0].ask("ping").status == 404  # the oldest made room
    assert opened[-1].ask("ping").status == 200
    assert good.ask("ping").status == 200
    scene.good(3)
    assert scene.memory < BOUND


@pytest.mark.parametrize("server", ["foe", "new"])
def test_a_client_that_never_reads_what_it_asked_for(scene: Scene, server: str) -> None:
    note = {"method": "notifications/progress", "params": {"progressToken": "TOKEN", "message": "x" * 4000}}
    foe = scene.foes[server]

    def floods(raid: Raid) -> None:
        token = str(raid.params["_meta"]["progressToken"])
        raid.stream()
        raid.flood(sse(note).replace(b'"TOKEN"', token.encode()) * 4)

    foe.attack(by=floods)
    before, memory = scene.counts(), scene.memory
    wires = [scene.begin(server, "echo") for _ in range(8)]
    foe.until(lambda: foe.count("tools/call") >= 8)
    scene.good(30)
    assert scene.memory - memory < 100
    for wire in wires:
        wire.close()
    scene.settles(before)
