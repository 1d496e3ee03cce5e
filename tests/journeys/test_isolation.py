"""Many callers at once: each gets its own answer, and a server that hangs or dies troubles only those who need it."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import new_grant
from journeys.peer import peer_serving, text
from journeys.running import Hall, hall_at
from journeys.wire import Wire, message

STDIO = str(Path(__file__).parent / "children" / "stdio_peer.py")
GRANTS = 50
ROUNDS = 20
OPEN = {"default": "allow", "rules": []}


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hall, list[str]]]:
    pairs = [new_grant() for _ in range(GRANTS)]
    child = {"command": sys.executable, "args": [STDIO]}
    tokens = {key: {"subject": f"subject-{number}"} for number, (_, key) in enumerate(pairs)}
    with peer_serving(era="legacy") as old:
        servers = {"child": child, "old": old.declared()}
        declared = {"mcpServers": servers, "tokens": tokens, "acl": OPEN}
        with hall_at(tmp_path_factory.mktemp("crowd") / "data", declared) as hall:
            hall.gateway.command("list")
            yield hall, [grant for grant, _ in pairs]


@pytest.mark.parametrize("server", ["srv", "old", "child"])
def test_everyone_gets_the_answer_to_the_own_question(crowd: tuple[Hall, list[str]], server: str) -> None:
    hall, grants = crowd
    wrong: list[Any] = []
    right: list[str] = []
    position = hall.last_position()

    def caller(number: int) -> None:
        session = hall.session(grant=grants[number]) if number % 2 else None
        with Wire(hall.gateway.port) as wire:
            for turn in range(ROUNDS):
                nonce = f"{number}/{turn}/" + "x" * (turn * 37 % 500)
                params = {
                    "name": f"{server}__echo",
                    "arguments": {"nonce": nonce},
                    "_meta": {"progressToken": 1},
                }
                if session is None:
                    wire.send(hall.request("tools/call", params, grant=grants[number]))
                else:
                    wire.send(session.frame(message("tools/call", params)))
                got = wire.read()
                body = got.events()[-1] if got.headers["content-type"] != "application/json" else got.json()
                told = json.loads(body["result"]["content"][0]["text"])
                (right if told == {"nonce": nonce} and body["id"] == 1 else wrong).append(nonce)

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(GRANTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(right) == GRANTS * ROUNDS
    entries = [
        entry
        for entry in hall.control("/api/v1/records", limit=10_000)["items"]
        if entry["position"] > position
    ]
    assert len(entries) == GRANTS * ROUNDS
    assert {entry["outcome"] for entry in entries} == {"ok"}
    for number in (0, 1, GRANTS - 1):
        assert sum(entry["subject"] == f"subject-{number}" for entry in entries) == ROUNDS


def test_pipelined_questions_are_answered_in_their_order(crowd: tuple[Hall, list[str]]) -> None:
    hall, _ = crowd
    with Wire(hall.gateway.port) as wire:
        asked = [
            hall.request("tools/call", {"name": "srv__echo", "arguments": {"n": n}}, id=n) for n in range(50)
        ]
        wire.send(b"".join(asked))
        for number in range(50):
            got = wire.read()
            assert (got.json()["id"], got.text) == (number, f'{{"n": {number}}}')


def test_a_server_that_hangs_holds_up_its_own_callers_only(crowd: tuple[Hall, list[str]]) -> None:
    hall, grants = crowd
    hall.peer.release.clear()
    wires = [Wire(hall.gateway.port) for _ in range(20)]
    try:
        for number, wire in enumerate(wires):
            wire.send(
                hall.request("tools/call", {"name": "srv__hang", "arguments": {}}, grant=grants[number])
            )
        hall.peer.until(lambda: hall.peer.hanging == 20)
        for server in ("old", "child"):
            for number in range(20):
                params = {"name": f"{server}__echo", "arguments": {"n": number}}
                assert hall.ask("tools/call", params, grant=grants[number]).text == f'{{"n": {number}}}'
        assert hall.call("echo").status == 200  # also another tool of the same server
        assert hall.peer.hanging == 20
        hall.peer.release.set()
        assert [wire.read().text for wire in wires] == ["released"] * 20
    finally:
        for wire in wires:
            wire.close()
        hall.peer.release.clear()


def test_calls_over_the_limit_wait_their_turn_and_then_are_told(tmp_path: Path) -> None:
    limits = {"COATCHECK_CALLS_PER_GRANT": "2", "COATCHECK_QUEUE_TIMEOUT": "0.2s"}
    other, key = new_grant()
    with hall_at(tmp_path / "data", {"tokens": {key: {"subject": "bob"}}}, env=limits) as hall:
        hall.good()
        position = hall.last_position()
        with Wire(hall.gateway.port) as one, Wire(hall.gateway.port) as two:
            for wire in (one, two):
                wire.send(hall.request("tools/call", {"name": "srv__hang", "arguments": {}}))
            hall.peer.until(lambda: hall.peer.hanging == 2)
            third = hall.call("echo")
            assert (third.status, third.code) == (200, -32603)
            assert "Too many calls at once" in third.json()["error"]["message"]
            assert hall.call("echo", grant=other).status == 200
            hall.peer.release.set()
            assert (one.read().text, two.read().text) == ("released", "released")
        hall.good()
        denied = [entry for entry in hall.since(position) if entry["decision"] == "denied"]
        assert [(entry["rule"], entry["outcome"]) for entry in denied] == [("(limit)", "denied")]
        assert "calls_per_grant" not in third.body.decode()


# --- lists ----------------------------------------------------------------------------------------------------------


def names(hall: Hall, path: str = "/mcp") -> list[str]:
    return [tool["name"] for tool in hall.ask("tools/list", path=path).result["tools"]]


def test_a_server_that_dies_keeps_its_last_good_list_and_never_turns_empty(tmp_path: Path) -> None:
    times = {"COATCHECK_LIST_TTL": "0s", "COATCHECK_LIST_WAIT": "2s"}
    with (
        peer_serving() as second,
        hall_at(tmp_path / "data", {"mcpServers": {"second": second.declared()}}, env=times) as hall,
    ):
        both, own = names(hall), names(hall, "/mcp/srv")
        assert {"srv__echo", "second__echo"} <= set(both)
        hall.peer.broken = True
        assert names(hall) == both
        assert names(hall, "/mcp/srv") == own
        shown = {one["name"]: one for one in hall.control("/api/v1/servers")["items"]}
        assert (shown["srv"]["degraded"], shown["second"]["degraded"]) == (True, False)
        assert shown["srv"]["tools"] == len(own) + 1  # with the one hidden from alice
        assert "500" in shown["srv"]["last_error"] + str(shown["srv"])
        assert hall.call("echo").code == -32603
        second.broken = True
        assert names(hall) == both  # all failing, and still no empty success
        hall.peer.broken = second.broken = False
        assert hall.call("echo").status == 200
        assert names(hall) == both
        assert not any(one["degraded"] for one in hall.control("/api/v1/servers")["items"])


def test_only_dead_servers_are_an_error_not_an_empty_list(tmp_path: Path) -> None:
    with hall_at(tmp_path / "data", peer={"broken": True}) as hall:
        for got in (
            hall.ask("tools/list"),
            hall.ask("prompts/list"),
            hall.ask("resources/list"),
            hall.session().ask("tools/list"),
        ):
            assert (got.status, got.code) == (200, -32603)
            assert "disk is on fire" not in got.body.decode()
        assert hall.gateway.request("GET", "/readyz", {}).status == 200  # readiness is about us


LONG = "tool_" + "x" * 110


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    """A gateway before a server with odd tools, one that is dead and one that accepts and never answers."""
    odd: dict[str, Any] = {"bad\u200bname": lambda _: {}, "ECHO": lambda _: {}, LONG: lambda _: text("long")}
    times = {"COATCHECK_LIST_TTL": "0s", "COATCHECK_LIST_WAIT": "0.3s"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        servers = {
            "dead": {"url": "http://127.0.0.1:9/mcp"},
            "silent": {"url": f"http://127.0.0.1:{silent.getsockname()[1]}/mcp"},
        }
        place = tmp_path_factory.mktemp("mixed") / "data"
        with hall_at(place, {"mcpServers": servers}, env=times, peer={"tools": odd}) as hall:
            yield hall


def test_a_server_never_heard_from_is_an_error_alone_and_left_out_among_others(mixed: Hall) -> None:
    assert mixed.ask("tools/list", path="/mcp/dead").code == -32603
    assert mixed.session().ask("tools/list").result["tools"]
    listed = names(mixed)  # which does not wait for the silent one
    assert "srv__allowed" in listed
    assert all(name.startswith("srv__") for name in listed)
    assert mixed.call("allowed").status == 200
    assert mixed.ask("tools/call", {"name": "dead__x", "arguments": {}}).code == -32603
    before = mixed.last_position()
    mixed.ask("tools/list", path="/mcp/dead")
    assert [entry["outcome"] for entry in mixed.since(before)] == ["upstream_error"]


def test_a_bad_tool_is_left_out_and_told(mixed: Hall) -> None:
    listed = names(mixed, "/mcp/srv")
    assert "allowed" in listed
    unfit = ("bad\u200bname", "ECHO", "echo")  # nothing tells an honest name from its copy
    assert not set(unfit) & set(listed)
    shown = next(one for one in mixed.control("/api/v1/servers")["items"] if one["name"] == "srv")
    assert len(shown["quarantined"]) == 3
    for name in unfit:
        assert mixed.ask("tools/call", {"name": name, "arguments": {}}, path="/mcp/srv").code == -32602


def test_long_names_get_a_short_form_that_stays(mixed: Hall) -> None:
    (short,) = [name for name in names(mixed) if "tool_x" in name]
    assert len(short) <= 64
    mixed.gateway.restart()
    called = mixed.ask("tools/call", {"name": short, "arguments": {}})  # the first call of all
    assert called.text == "long"
    assert mixed.peer.forwarded[-1].name == LONG
    assert names(mixed, "/mcp/srv")[-1] == LONG
    assert mixed.ask("tools/call", {"name": LONG, "arguments": {}}, path="/mcp/srv").text == "long"
