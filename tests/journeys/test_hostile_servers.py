"""Servers that mean harm hurt nobody but those who call them, and leave nothing behind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from journeys.hostile import Counts, Foe, Raid, Reading, Scene, scene_at, sse
from journeys.streams import get
from journeys.wire import Wire
from upstream.bad_replies import BAD, CANARY

BOUND = 400
"""MiB that the gateway may take at any time, whatever servers do."""
LIMITS = {
    "COATCHECK_UPSTREAM_IDLE": "1s",
    "COATCHECK_REPLY_LIMIT": "1MiB",
    "COATCHECK_CALL_TIMEOUT": "3s",
    "COATCHECK_LIST_TTL": "0s",
    "COATCHECK_LIST_WAIT": "3s",
}
TOOL = {"name": "echo", "inputSchema": {"type": "object"}}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, Counts]]:
    with scene_at(tmp_path_factory.mktemp("hostile") / "data", env=LIMITS) as scene:
        scene.good()
        for server in ("foe", "new", "old", "child"):
            assert scene.call(server, "echo", {"n": 1}).text == '{"n": 1}'
        time.sleep(1.5)
        before = scene.counts()
        yield scene, before
        scene.settles(before, idle=True)


@pytest.fixture
def scene(stage: tuple[Scene, Counts]) -> Iterator[Scene]:
    """Give the scene for one attack; afterwards all is as it was, and the foes can be called again."""
    scene, before = stage
    yield scene
    for foe in scene.foes.values():
        foe.behave()
    scene.good()
    scene.settles(before)
    assert scene.memory < BOUND


# --- floods ------------------------------------------------------------------------------------------------

FLOOD: list[dict[str, Any]] = [
    {"method": "notifications/progress", "params": {"progressToken": "TOKEN", "progress": 1}},
    {"method": "notifications/message", "params": {"level": "error", "data": "x" * 50}},
    {"method": "notifications/tools/list_changed"},
    {"method": "notifications/cancelled", "params": {"requestId": 77}},
    {"method": "notifications/of-its-own", "params": {"a": [1]}},
    {"id": "p", "method": "ping"},
    {"method": "x"},
] * 20


def flooding(raid: Raid) -> None:
    token = json.dumps(raid.params.get("_meta", {}).get("progressToken"))
    block = b"".join(map(sse, FLOOD)) + b": comment\n\n" * 50
    raid.stream()
    raid.flood(block.replace(b'"TOKEN"', token.encode()))
    raid.done()


@pytest.mark.parametrize("server", ["foe", "new"])
def test_a_flood_on_the_stream_of_a_call(scene: Scene, server: str) -> None:
    foe = scene.foes[server]
    foe.attack(by=flooding)
    calls = [Reading(scene.begin(server, "echo")) for _ in range(3)]
    foe.until(lambda: foe.count("tools/call") >= 3)
    scene.good(10)
    assert not any(call.got.status for call in calls), ("the flood ended", [c.got.body[-300:] for c in calls])
    foe.calm.set()
    ends = [call.end().events()[-1] for call in calls]
    assert [one["result"]["content"][0]["text"] for one in ends] == ["done"] * 3


def test_a_flood_over_the_pipes_of_a_child(scene: Scene, tmp_path: Path) -> None:
    lines = [json.dumps({"jsonrpc": "2.0", **one}) for one in FLOOD] + ["garbage", "{}", "", "[1]"] * 20
    call = Reading(scene.begin("child", "flood", {"lines": lines, "until": str(tmp_path / "over")}))
    scene.good(10)
    assert not call.got.status
    (tmp_path / "over").touch()
    assert call.end().events()[-1]["result"]["content"][0]["text"] == "done"


def test_a_flood_on_the_stream_of_a_session(scene: Scene) -> None:
    foe = scene.foes["foe"]

    def hears(raid: Raid) -> None:
        raid.stream()
        raid.flood(b"".join(map(sse, FLOOD)))

    foe.calm.clear()
    foe.hears = hears
    session = scene.session("foe")
    with get(session) as stream:
        assert stream.opened() == 200
        assert session.ask("tools/call", {"name": "echo", "arguments": {}}).text == "{}"
        scene.good(10)
        lists = foe.count("tools/list")
        scene.good(10)
        assert foe.count("tools/list") - lists < 20  # asked for again, and not once a notification
        assert session.ask("tools/call", {"name": "echo", "arguments": {}}).text == "{}"
    foe.behave()
    assert session.end().status == 204


# --- questions ---------------------------------------------------------------------------------------------

MANY = 10_000
QUESTIONS: dict[str, dict[str, Any]] = {
    "elicitation/create": {"message": "x", "requestedSchema": {"type": "object", "properties": {}}},
    "sampling/createMessage": {"messages": [], "maxTokens": 1},
    "ping": {},
    "made/up": {},
}


def asking(raid: Raid) -> None:
    kinds = list(QUESTIONS.items())
    asked = [sse({"id": f"q-{n}", "method": kinds[n % 4][0], "params": kinds[n % 4][1]}) for n in range(MANY)]
    raid.stream()
    for start in range(0, MANY, 500):
        raid.say(b"".join(asked[start : start + 500]))
    raid.linger()
    raid.done()


@pytest.mark.parametrize("server", ["foe", "old", "child"])
def test_ten_thousand_questions_at_once(scene: Scene, server: str) -> None:
    session = scene.session(server, elicitation={}, sampling={})
    foe: Foe | None = scene.foes.get(server)
    if foe is not None:
        foe.attack(by=asking)
        call = session.begin("echo")
    else:
        question = {"method": "elicitation/create", "params": QUESTIONS["elicitation/create"]}
        call = session.begin("ask", {"times": MANY, "question": question})
    assert call.opened() == 200
    heard = [call.message() for _ in range(3)]
    assert {one["method"] for one in heard} <= set(QUESTIONS)
    scene.good(10)
    if foe is not None:
        foe.calm.set()
    rest = [call.message() for _ in range(1)]
    while "method" in rest[-1]:
        rest.append(call.message())
        asked = [one for one in heard + rest if one.get("method") in QUESTIONS]
        assert len(asked) <= 64, "no more questions are open than that"
    assert rest[-1]["result"]["content"][0]["text"] == "done"
    call.close()
    assert session.end().status == 204


# --- lists -------------------------------------------------------------------------------------------------


def paged(tools: list[dict[str, Any]], size: int) -> Any:
    """Return a list in pages of so many entries."""

    def page(raid: Raid) -> dict[str, Any]:
        at = int(raid.params.get("cursor", "0"))
        more = {"nextCursor": str(at + size)} if at + size < len(tools) else {}
        return {"tools": tools[at : at + size], **more}

    return page


def names(scene: Scene, path: str) -> list[str]:
    got = scene.hall.ask("tools/list", path=path, grant=scene.evil)
    return [tool["name"] for tool in got.result["tools"]] if got.code is None else []


@pytest.mark.parametrize("server", ["foe", "new", "old"])
def test_a_list_of_a_hundred_thousand_is_cut(scene: Scene, server: str) -> None:
    tools = [TOOL, *({**TOOL, "name": f"tool_{n}"} for n in range(100_000))]
    scene.foes[server].attack("tools/list", by=paged(tools, 5000))
    reading = Reading(asked(scene, "tools/list", f"/mcp/{server}"))
    scene.good(5)
    found = [tool["name"] for tool in reading.end().result["tools"]]
    assert found == ["echo", *(f"tool_{n}" for n in range(9_999))]
    assert scene.call(server, "echo", {"n": 2}).text == '{"n": 2}'


def asked(scene: Scene, method: str, path: str) -> Wire:
    wire = Wire(scene.hall.gateway.port)
    wire.send(scene.hall.request(method, path=path, grant=scene.evil))
    return wire


ENDLESS: dict[str, Any] = {
    "a cursor that never ends": lambda raid: {
        "tools": [TOOL],
        "nextCursor": raid.params.get("cursor", "") + "x",
    },
    "a cursor in a circle": lambda raid: {"tools": [TOOL], "nextCursor": "again"},
    "pages of a mebibyte": lambda raid: {
        "tools": [{**TOOL, "description": "d" * 900_000}],
        "nextCursor": raid.params.get("cursor", "") + "x",
    },
    "no list": lambda raid: {"tools": {"a": 1}},
    "entries that are none": lambda raid: {"tools": [1, None, "x", {}, {"name": 5}] * 3000},
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_list_without_end_or_sense_is_the_servers_own_trouble(scene: Scene, kind: str) -> None:
    assert "foe__echo" in names(scene, "/mcp")
    scene.foes["foe"].attack("tools/list", by=ENDLESS[kind])
    before = scene.foes["foe"].count("tools/list")
    scene.good(3)
    listed = names(scene, "/mcp")
    assert {"srv__echo", "new__echo", "old__echo", "child__echo"} <= set(listed)
    assert 0 < scene.foes["foe"].count("tools/list") - before <= 200
    scene.good()


def test_a_list_that_is_another_one_each_time(scene: Scene) -> None:
    """What is shown is what the server said last; what is remembered of all that was before it is bounded."""
    foe, turn = scene.foes["foe"], [0]

    def rug(raid: Raid) -> dict[str, Any]:
        at = int(raid.params.get("cursor", "0"))
        turn[0] += at == 0
        described = f"{turn[0]:06}" + "d" * 16_000
        tools = [
            {**TOOL, "name": f"tool_{at + n}" if at + n else "echo", "description": described}
            for n in range(50)
        ]
        return {"tools": tools, **({"nextCursor": str(at + 50)} if at < 250 else {})}

    foe.attack("tools/list", by=rug)
    for _ in range(12):
        tools = scene.hall.ask("tools/list", path="/mcp/foe", grant=scene.evil).result["tools"]
        assert {tool["description"][:6] for tool in tools} == {f"{turn[0]:06}"}
        assert len(tools) == 300
    scene.good(3)
    assert turn[0] >= 12
    assert scene.memory < BOUND


# --- sessions and streams that do not hold -----------------------------------------------------------------


def test_a_session_that_is_forgotten_every_time(scene: Scene) -> None:
    foe = scene.foes["foe"]
    session = scene.session("foe")
    foe.attack(by=lambda raid: raid.answer(404, b""))
    opened, calls = foe.opened, foe.count("tools/call")
    for _ in range(10):
        assert session.ask("tools/call", {"name": "echo", "arguments": {}}).code == -32603
        assert scene.call("foe", "echo").code == -32603
        scene.good()
    assert foe.opened - opened <= 3 * 20
    assert foe.count("tools/call") - calls <= 3 * 20
    foe.behave()
    assert session.ask("tools/call", {"name": "echo", "arguments": {}}).text == "{}"
    assert session.end().status == 204


@pytest.mark.parametrize("block", [b"retry: 0\n\n", b"id: 1\nretry: 0\ndata:\n\n", b""])
def test_streams_that_end_at_once_are_opened_again_with_pauses(scene: Scene, block: bytes) -> None:
    foe = scene.foes["foe"]

    def hears(raid: Raid) -> None:
        raid.stream()
        raid.say(block)

    def ends(raid: Raid) -> None:
        raid.stream()
        raid.say(block)

    foe.calm.clear()
    foe.hears = hears
    session = scene.session("foe")
    foe.attack(by=ends)
    began, gets = time.monotonic(), len(foe.gets)
    call = Reading(session.begin("echo"))
    scene.good(15)
    if b"id:" in block:  # what can be resumed, is; all else is asked for ever later
        while len(foe.gets) - gets < 5 and time.monotonic() - began < 15:
            time.sleep(0.02)
        assert len(foe.gets) - gets >= 5
    allowed = 2 * (6 * (time.monotonic() - began) + 6)
    assert len(foe.gets) - gets <= allowed  # for the call and for the session, no sooner than 0.2 s each
    call.wire.close()
    assert session.end().status == 204


# --- bodies ------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def endless_body(raid: Raid) -> None:
    raid.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    raid.flood(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def tiny_chunks(raid: Raid) -> None:
    raid.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    raid.flood(b"1\r\n \r\n" * 5000)


def slow_drip(raid: Raid) -> None:
    raid.say(HEAD + b"Content-Length: 1000000\r\n\r\n")
    while not raid.peer.calm.wait(0.05):
        raid.say(b" ")


def slow_stream(raid: Raid) -> None:
    raid.stream()
    while not raid.peer.calm.wait(0.05):
        raid.say(b":\n")


def endless_line(raid: Raid) -> None:
    raid.stream()
    raid.say(b"data: ")
    raid.flood(b"x" * 65536)


BODIES = (endless_body, tiny_chunks, slow_drip, slow_stream, endless_line)


def test_bodies_without_end_are_given_up(scene: Scene) -> None:
    calls = []
    for server in ("foe", "new"):
        scene.foes[server].attack(by=lambda raid: BODIES[raid.arguments["kind"]](raid))
        calls += [Reading(scene.begin(server, "echo", {"kind": kind})) for kind in range(5) for _ in "ab"]
    scene.good(20)
    for call in calls:
        got = call.end()
        body = got.json() if got.headers["content-type"] == "application/json" else got.events()[-1]
        assert body["error"]["code"] == -32603


def test_a_child_that_writes_a_line_without_end_or_dies_is_started_anew(scene: Scene) -> None:
    assert scene.call("child", "garbage", {"lines": ["x" * 1000, "{", "null", '{"id":1}']}).text == "done"
    for tool, arguments in (("huge", {"mib": 4}), ("die", {})):
        assert scene.call("child", tool, arguments).code == -32603
        scene.good()
        for _ in range(100):
            if scene.call("child", "echo", {"a": 1}).code is None:
                break
            time.sleep(0.05)
        assert scene.call("child", "echo", {"a": 1}).text == '{"a": 1}'


# --- replies that are none ---------------------------------------------------------------------------------


def test_about_sixty_replies_that_are_none(scene: Scene) -> None:
    assert len(BAD) > 50
    session = scene.session("foe")
    for kind, (hostile, _) in BAD.items():
        for server in ("foe", "new"):
            scene.foes[server].attack(by=lambda raid, hostile=hostile: raid.raw(hostile))  # type: ignore[misc]
            got = scene.call(server, "echo")
            body = got.json() if got.headers["content-type"] == "application/json" else got.events()[-1]
            assert (got.status, body["error"]["code"]) == (200, -32603), (kind, server, got)
            assert CANARY.encode() not in got.body, (kind, server)
        assert session.ask("tools/call", {"name": "echo", "arguments": {}}).code == -32603, kind
        scene.good()
    scene.foes["foe"].behave()
    assert session.ask("tools/call", {"name": "echo", "arguments": {}}).text == "{}"
    assert session.end().status == 204
    assert scene.call("new", "echo").code in (None, -32603)
    assert CANARY not in scene.hall.gateway.said()


def test_about_sixty_replies_that_are_none_to_every_opening(scene: Scene) -> None:
    foe = scene.foes["foe"]
    opened = foe.count("initialize")
    for kind, (hostile, _) in BAD.items():
        foe.attack(by=lambda raid: raid.answer(404, b""))  # the session is forgotten, so there is an opening
        for method in ("initialize", "server/discover"):
            foe.attack(method, by=lambda raid, hostile=hostile: raid.raw(hostile))  # type: ignore[misc]
        got = scene.call("foe", "echo")
        assert (got.status, got.code) == (200, -32603), kind
        assert CANARY.encode() not in got.body, kind
        scene.good()
    assert foe.count("initialize") - opened <= 3 * len(BAD)


def test_the_foes_are_as_good_as_any_once_they_behave(scene: Scene) -> None:
    for server in ("foe", "new", "old", "child"):
        assert scene.call(server, "echo", {"n": 3}).text == '{"n": 3}'
