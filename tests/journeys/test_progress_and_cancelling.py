"""What happens while a call is under way: progress, cancelling, hanging up, time running out; each on record."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from journeys.peer import peer_serving
from journeys.running import HIDE_DENIED, Hall, hall_at
from journeys.wire import Got, Wire, message

STDIO = str(Path(__file__).parent / "children" / "stdio_peer.py")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    """A gateway before servers of every kind; `srv` is modern over HTTP."""
    with peer_serving(era="legacy") as old:
        servers = {
            "old": old.declared(),
            "child": {"command": sys.executable, "args": [STDIO]},
            "oldchild": {"command": sys.executable, "args": [STDIO, "legacy"]},
        }
        with hall_at(
            tmp_path_factory.mktemp("busy") / "data", {"mcpServers": servers, "acl": HIDE_DENIED}
        ) as hall:
            hall.gateway.command("list")
            hall.old = old  # type: ignore[attr-defined]
            yield hall


def peer_of(hall: Hall, server: str) -> Any:
    return hall.peer if server == "srv" else hall.old  # type: ignore[attr-defined]


def settled(hall: Hall, position: int, count: int = 1) -> list[tuple[str, str]]:
    """Return tool and outcome of entries after a position, once so many are settled."""
    for _ in range(2000):
        found = hall.since(position)
        if len(found) == count and all(entry["outcome"] for entry in found):
            return [(entry["tool"], entry["outcome"]) for entry in found]
        threading.Event().wait(0.005)
    raise AssertionError(found)


EVERY = pytest.mark.parametrize("server", ["srv", "old", "child", "oldchild"])
OVER_HTTP = pytest.mark.parametrize("server", ["srv", "old"])
ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
TOKENS = pytest.mark.parametrize("token", ["mine", 7, "7", 0])


def ask(
    hall: Hall, era: str, tool: str, arguments: dict[str, Any], meta: dict[str, Any], **headers: str
) -> Got:
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    if era == "modern":
        return hall.ask("tools/call", params, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return hall.session().post(message("tools/call", params), **headers)


@EVERY
@ERAS
@TOKENS
def test_progress_comes_before_the_answer_under_the_callers_own_token(
    busy: Hall, server: str, era: str, token: Any
) -> None:
    position = busy.last_position()
    got = ask(busy, era, f"{server}__progress", {"to": 3}, {"progressToken": token})
    assert (got.status, got.headers["content-type"]) == (200, "text/event-stream")
    assert "no-transform" in got.headers["cache-control"]
    *notices, answer = got.events()
    assert [notice["method"] for notice in notices] == ["notifications/progress"] * 3
    assert [notice["params"]["progress"] for notice in notices] == [0, 1, 2]
    assert all(notice["params"]["progressToken"] == token for notice in notices)
    assert all(type(notice["params"]["progressToken"]) is type(token) for notice in notices)
    assert answer["result"]["content"][0]["text"] == "done"
    assert settled(busy, position) == [("progress", "ok")]


@EVERY
@ERAS
def test_who_asks_for_no_progress_gets_plain_json(busy: Hall, server: str, era: str) -> None:
    got = ask(busy, era, f"{server}__progress", {"to": 3}, {})
    assert (got.status, got.headers["content-type"], got.text) == (200, "application/json", "done")


@ERAS
def test_who_takes_no_streams_gets_the_answer_alone(busy: Hall, era: str) -> None:
    got = ask(busy, era, "srv__progress", {"to": 3}, {"progressToken": 1}, Accept="application/json")
    assert (got.status, got.headers["content-type"], got.text) == (200, "application/json", "done")


def test_a_thousand_notices_come_in_order_and_whole(busy: Hall) -> None:
    got = ask(busy, "modern", "srv__progress", {"to": 1000}, {"progressToken": "t"})
    *notices, answer = got.events()
    numbers = [notice["params"]["progress"] for notice in notices]
    assert numbers == sorted(numbers)  # a slow reader may miss some, never out of order
    assert answer["result"]["content"][0]["text"] == "done"


def test_a_stream_begins_before_the_answer_is_there(busy: Hall) -> None:
    busy.peer.release.clear()
    with Wire(busy.gateway.port) as wire:
        meta = {"progressToken": "early"}
        wire.send(
            busy.request(
                "tools/call", {"name": "srv__progress", "arguments": {"to": 1, "hang": True}, "_meta": meta}
            )
        )
        assert wire.head() == 200
        assert wire.event()["params"]["progressToken"] == "early"
        busy.peer.until(lambda: busy.peer.hanging == 1)
        busy.peer.release.set()
        assert wire.event()["result"]["content"][0]["text"] == "done"
    busy.peer.release.clear()


# --- cancelling ----------------------------------------------------------------------------------------------


@OVER_HTTP
def test_a_legacy_client_cancels_by_notification(busy: Hall, server: str) -> None:
    peer, session, position = peer_of(busy, server), busy.session(), busy.last_position()
    with Wire(busy.gateway.port) as wire:
        wire.send(session.frame(message("tools/call", {"name": f"{server}__hang", "arguments": {}}, "h")))
        peer.until(lambda: peer.hanging == 1)
        assert session.notify("notifications/cancelled", {"requestId": "other"}).status == 202
        assert busy.session().notify("notifications/cancelled", {"requestId": "h"}).status == 202
        assert peer.hanging == 1  # another request, and another session's request of the same id
        assert session.notify("notifications/cancelled", {"requestId": "h", "reason": "enough"}).status == 202
        got = wire.read()
        assert (got.status, got.body) == (200, b"")  # what was cancelled has no answer
    peer.until(lambda: peer.hanging == 0)
    assert settled(busy, position) == [("hang", "cancelled")]
    if server == "old":
        peer.until(lambda: peer.count("notifications/cancelled") > 0)


@pytest.mark.parametrize("server", ["child", "oldchild"])
@ERAS
def test_a_child_is_told_of_cancelling_and_lives_on(busy: Hall, server: str, era: str) -> None:
    def seen() -> int:
        return len(json.loads(busy.ask("tools/call", {"name": f"{server}__seen", "arguments": {}}).text))

    before = seen()
    pid = busy.ask("tools/call", {"name": f"{server}__pid", "arguments": {}}).text
    position = busy.last_position()
    session = busy.session()
    params = {"name": f"{server}__hang", "arguments": {}}
    with Wire(busy.gateway.port) as wire:
        wire.send(
            session.frame(message("tools/call", params))
            if era == "legacy"
            else busy.request("tools/call", params)
        )
        while not busy.since(position):
            threading.Event().wait(0.005)
        if era == "legacy":
            session.notify("notifications/cancelled", {"requestId": 1})
            wire.read()
    assert settled(busy, position) == [("hang", "cancelled")]
    while seen() == before:
        threading.Event().wait(0.005)
    assert busy.ask("tools/call", {"name": f"{server}__pid", "arguments": {}}).text == pid


@OVER_HTTP
@pytest.mark.parametrize("streaming", [False, True])
def test_a_modern_client_cancels_by_hanging_up(busy: Hall, server: str, streaming: bool) -> None:
    peer, position = peer_of(busy, server), busy.last_position()
    peer.release.clear()
    with Wire(busy.gateway.port) as wire:
        if streaming:
            arguments, meta = {"to": 1, "hang": True}, {"progressToken": 1}
            wire.send(
                busy.request(
                    "tools/call", {"name": f"{server}__progress", "arguments": arguments, "_meta": meta}
                )
            )
            wire.head()
            wire.event()
        else:
            wire.send(busy.request("tools/call", {"name": f"{server}__hang", "arguments": {}}))
        peer.until(lambda: peer.hanging == 1)
    peer.until(lambda: peer.hanging == 0)
    assert settled(busy, position)[0][1] == "cancelled"
    assert not peer.release.is_set()


def test_hanging_up_cancels_also_with_a_further_request_waiting(busy: Hall) -> None:
    busy.peer.release.clear()
    position = busy.last_position()
    with Wire(busy.gateway.port) as wire:
        wire.send(busy.request("tools/call", {"name": "srv__hang", "arguments": {}}))
        busy.peer.until(lambda: busy.peer.hanging == 1)
        wire.send(busy.request("tools/call", {"name": "srv__echo", "arguments": {}}))
    busy.peer.until(lambda: busy.peer.hanging == 0)
    assert settled(busy, position) == [("hang", "cancelled")]  # and the further one was never begun


@OVER_HTTP
def test_for_a_legacy_client_hanging_up_is_no_cancelling(busy: Hall, server: str) -> None:
    peer, session, position = peer_of(busy, server), busy.session(), busy.last_position()
    peer.release.clear()
    with Wire(busy.gateway.port) as wire:
        wire.send(session.frame(message("tools/call", {"name": f"{server}__hang", "arguments": {}})))
        peer.until(lambda: peer.hanging == 1)
    assert session.ask("ping").status == 200
    assert busy.since(position)[0]["outcome"] is None
    assert peer.hanging == 1
    peer.release.set()
    assert settled(busy, position) == [("hang", "ok")]
    peer.release.clear()


def test_equal_ids_of_one_session_are_answered_each(busy: Hall) -> None:
    session = busy.session()
    with Wire(busy.gateway.port) as one, Wire(busy.gateway.port) as other:
        for wire, word in ((one, "a"), (other, "b")):
            wire.send(
                session.frame(message("tools/call", {"name": "srv__echo", "arguments": {"w": word}}, 1))
            )
        assert (one.read().text, other.read().text) == ('{"w": "a"}', '{"w": "b"}')


# --- ends that nobody wished for ---------------------------------------------------------------------------------


@ERAS
def test_failures_of_a_server_are_told_without_its_words(busy: Hall, era: str) -> None:
    position = busy.last_position()
    got = ask(busy, era, "srv__html_error", {}, {})
    assert (got.status, got.code) == (200, -32603)
    error = got.json()["error"]
    assert error["data"] == {"gateway": True}
    assert "srv" in error["message"]
    assert b"stack trace" not in got.body
    (entry,) = busy.since(position)
    assert entry["outcome"] == "upstream_error"
    assert entry["detail"].startswith("upstream_bad_reply")


def test_each_way_to_end_leaves_its_outcome(busy: Hall) -> None:
    position = busy.last_position()
    for tool in ("echo", "tool_error", "rpc_error", "html_error", "denied", "absent"):
        busy.call(tool)
    found = [(entry["tool"], entry["decision"], entry["outcome"]) for entry in busy.since(position)]
    assert found == [
        ("echo", "allowed", "ok"),
        ("tool_error", "allowed", "tool_error"),
        ("rpc_error", "allowed", "tool_error"),
        ("html_error", "allowed", "upstream_error"),
        ("denied", "hidden", "denied"),
        ("absent", "allowed", "denied"),
    ]


def test_a_server_that_takes_too_long(tmp_path: Path) -> None:
    with hall_at(tmp_path / "data", env={"COATCHECK_CALL_TIMEOUT": "0.3s"}) as hall:
        position = hall.last_position()
        got = hall.call("hang")
        assert (got.status, got.code) == (200, -32603)
        assert "It may still act" in got.json()["error"]["message"]
        hall.peer.until(lambda: hall.peer.hanging == 0)
        assert [entry["outcome"] for entry in hall.since(position)] == ["timeout"]
        hall.good()


def test_a_child_that_dies_fails_its_callers_and_is_started_again(busy: Hall) -> None:
    def child(tool: str) -> Got:
        return busy.ask("tools/call", {"name": f"child__{tool}", "arguments": {}})

    pid, position = child("pid").text, busy.last_position()
    died = child("die")
    assert (died.status, died.code) == (200, -32603)
    assert [entry["outcome"] for entry in busy.since(position)] == ["upstream_error"]
    again = child("pid")
    while again.code is not None:  # between two starts there is a pause
        threading.Event().wait(0.05)
        again = child("pid")
    assert again.text != pid
