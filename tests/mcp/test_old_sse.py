"""The deprecated HTTP+SSE transport: everything on one stream, bound to its grant, gone with it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import new_grant
from journeys.running import Hall, hall_at
from journeys.streams import ELICIT, STREAM, OldClient, Streamed, asks
from journeys.wire import Wire, frame, message
from real.drivers import OLDEST


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hall, str]]:
    """A gateway before a legacy server that asks, and a second grant of another subject."""
    other, key = new_grant()
    peer = {"era": "legacy", "tools": {"asks": asks}}
    place = tmp_path_factory.mktemp("two") / "data"
    with hall_at(place, {"tokens": {key: {"subject": "bob"}}}, peer=peer) as hall:
        hall.good()
        yield hall, other


@pytest.fixture(scope="module")
def hall(two: tuple[Hall, str]) -> Hall:
    return two[0]


@pytest.fixture
def old(hall: Hall) -> Iterator[OldClient]:
    """A client that has shaken hands."""
    client = OldClient(hall)
    client.open()
    yield client
    client.close()


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"name": tool, "arguments": arguments}


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
@pytest.mark.parametrize(
    ("path", "tool", "endpoint"),
    [
        ("/mcp/sse", "srv__echo", "/mcp/message"),
        ("/mcp/srv/sse", "echo", "/mcp/srv/message"),
        ("/mcp/srv/sse/", "echo", "/mcp/srv/message"),
    ],
)
def test_everything_comes_on_the_one_stream(
    hall: Hall, path: str, tool: str, endpoint: str, version: str
) -> None:
    position = hall.last_position()
    client = OldClient(hall, path)
    assert client.endpoint.partition("?")[0] == endpoint
    assert client.open(version)["result"]["protocolVersion"] == version
    tools = client.ask("tools/list")["result"]["tools"]
    assert tool in {one["name"] for one in tools}
    assert client.ask("ping", id="p")["result"] == {}
    answer = client.ask("tools/call", call(tool, word="hello"), id="c")
    assert json.loads(answer["result"]["content"][0]["text"]) == {"word": "hello"}
    client.close()
    route = "/mcp/srv" if "srv" in path else "/mcp"
    assert [(entry["method"], entry["route"]) for entry in hall.since(position)][-1] == ("tools/call", route)


def test_the_stream_says_what_it_is(hall: Hall) -> None:
    client = OldClient(hall)
    assert client.stream.headers["content-type"] == "text/event-stream"
    assert "no-transform" in client.stream.headers["cache-control"]
    client.close()


def test_answers_come_as_they_are_ready_and_progress_before_them(hall: Hall, old: OldClient) -> None:
    hall.peer.release.clear()
    slow = {**call("srv__progress", to=2, hang=True), "_meta": {"progressToken": "p"}}
    old.say("tools/call", slow, "slow")
    assert [old.hear()["params"]["progress"] for _ in range(2)] == [0, 1]
    assert old.ask("ping", id="fast")["id"] == "fast"
    hall.peer.release.set()
    assert old.hear()["id"] == "slow"


def test_a_client_cancels_by_notification(hall: Hall, old: OldClient) -> None:
    hall.peer.release.clear()
    position = hall.last_position()
    old.say("tools/call", call("srv__hang"), "h")
    hall.peer.until(lambda: hall.peer.hanging == 1)
    old.say("notifications/cancelled", {"requestId": "h"})
    hall.peer.until(lambda: hall.peer.hanging == 0)
    assert old.ask("ping", id="next")["id"] == "next"  # what was cancelled has no answer
    assert [entry["outcome"] for entry in hall.since(position)] == ["cancelled"]


def test_a_server_asks_and_hears_the_answer(hall: Hall) -> None:
    client = OldClient(hall, "/mcp/srv/sse")
    client.open("2025-06-18", elicitation={})
    client.say("tools/call", call("asks"), 7)
    asked = client.hear()
    assert (asked["method"], asked["params"]) == ("elicitation/create", ELICIT)
    answer = {"action": "accept", "content": {"name": "Ada"}}
    for id in ("ask-99", asked["id"], asked["id"]):  # one to nothing, one in time, one too late
        body = json.dumps({"jsonrpc": "2.0", "id": id, "result": answer}).encode()
        assert client.post(body).status == 202
    heard = client.hear()
    assert (heard["id"], json.loads(heard["result"]["content"][0]["text"])) == (
        7,
        {"id": "q", "result": answer},
    )
    client.close()


# --- what is refused -------------------------------------------------------------------------------------------


def test_what_is_wrong_with_a_request_is_told_on_the_stream_and_on_record(hall: Hall) -> None:
    client = OldClient(hall)
    position = hall.last_position()
    assert client.ask("tools/list", id="early")["error"]["code"] == -32600
    client.open()
    assert client.ask("no/such", id="a")["error"]["code"] == -32601
    assert client.ask("server/discover", id="b")["error"]["code"] == -32601
    assert client.ask("tools/call", {"name": 5}, id="c")["error"]["code"] == -32602
    assert client.ask("tools/call", call("srv__denied"), id="d")["error"]["code"] == -32602
    client.close()
    found = [(entry["method"], entry["decision"]) for entry in hall.since(position)]
    assert found == [
        ("tools/list", "denied"),
        ("no/such", "denied"),
        ("server/discover", "denied"),
        ("tools/call", "denied"),
        ("tools/call", "hidden"),
    ]


def test_messages_that_are_none_are_refused_at_once(hall: Hall, old: OldClient) -> None:
    for body, code in ((b"{", -32700), (b"[]", -32600), (b'{"jsonrpc":"2.0","id":1}', -32600)):
        got = old.post(body)
        assert (got.status, got.code) == (400, code)
    assert old.post(message("ping"), Content_Type="text/plain").status == 415
    assert old.post(message("ping"), Accept=None).status == 202
    assert old.hear()["result"] == {}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?sessionId={id}", 202),
        ("", 400),
        ("?", 400),
        ("?sessionId=", 400),
        ("?sessionId={id}&x=1", 400),
        ("?x=1&sessionId={id}", 400),
        ("?sessionid={id}", 400),
        ("?session_id={id}", 400),
        ("?sessionId={id}%20", 400),
        ("?sessionId={id}&sessionId={id}", 400),
        ("?sessionId=made-up", 404),
    ],
)
def test_the_query_is_the_session_and_nothing_else(
    hall: Hall, old: OldClient, query: str, status: int
) -> None:
    id = old.endpoint.partition("=")[2]
    assert old.post(message("ping"), path="/mcp/message" + query.format(id=id)).status == status


def test_a_session_is_of_one_grant_one_route_and_one_transport(two: tuple[Hall, str]) -> None:
    hall, other = two
    mine, bobs, elsewhere = OldClient(hall), OldClient(hall, grant=other), OldClient(hall, "/mcp/srv/sse")
    for client in (mine, bobs, elsewhere):
        client.open()
    id, position = mine.endpoint.partition("=")[2], hall.last_position()
    ping = message("ping")
    assert bobs.post(ping, path=mine.endpoint).status == 404
    assert elsewhere.post(ping, path=elsewhere.endpoint.replace(elsewhere.endpoint.partition("=")[2], id)).status == 404  # fmt: skip
    assert mine.post(ping, Authorization=None).status == 401
    assert {entry["decision"] for entry in hall.since(position)} <= {"denied", "refused"}
    session = hall.session()
    theirs = session.headers["Mcp-Session-Id"]
    session.headers["Mcp-Session-Id"] = id
    assert session.ask("ping").status == 404
    assert mine.post(ping, path=f"/mcp/message?sessionId={theirs!s}").status == 404
    assert mine.ask("ping", id="still")["id"] == "still"
    for client in (mine, bobs, elsewhere):
        client.close()


def test_a_version_header_must_be_the_one_negotiated(hall: Hall, old: OldClient) -> None:
    assert old.post(message("ping"), MCP_Protocol_Version="2025-11-25").status == 400
    assert old.post(message("ping"), MCP_Protocol_Version="2024-11-05").status == 202
    assert old.hear()["result"] == {}


@pytest.mark.parametrize("path", ["/mcp/sse", "/mcp/srv/sse", "/mcp/message", "/mcp/srv/message"])
def test_each_path_takes_its_one_method(hall: Hall, path: str) -> None:
    right = "GET" if path.endswith("sse") else "POST"
    for verb in {"GET", "POST", "PUT", "DELETE", "HEAD"} - {right}:
        with Streamed(hall.gateway.port) as wire:
            wire.send(frame(b"", path=path.encode(), verb=verb.encode(), headers=hall.bearer))
            assert (verb, wire.opened(), wire.headers["allow"]) == (verb, 405, right)


def test_who_may_open_a_stream(hall: Hall) -> None:
    cases: list[tuple[str, dict[str, str | None], int]] = [
        ("/mcp/sse", {**hall.bearer, **STREAM, "Accept": "application/json"}, 406),
        ("/mcp/sse", STREAM, 401),
        ("/mcp/none/sse", {**hall.bearer, **STREAM}, 404),
        ("/mcp/none/message", {**hall.bearer, **STREAM}, 404),
        ("/mcp/sse/sse", {**hall.bearer, **STREAM}, 404),
    ]
    for path, headers, status in cases:
        with Streamed(hall.gateway.port) as wire:
            wire.send(frame(b"", path=path.encode(), verb=b"GET", headers=headers))
            assert (path, wire.opened()) == (path, status)


# --- ends ----------------------------------------------------------------------------------------------------


def test_the_session_goes_with_its_stream_and_what_it_waits_for_too(hall: Hall) -> None:
    hall.peer.release.clear()
    client = OldClient(hall)
    client.open()
    client.say("tools/call", call("srv__hang"), "h")
    hall.peer.until(lambda: hall.peer.hanging == 1)
    client.close()
    hall.peer.until(lambda: hall.peer.hanging == 0)
    while client.post(message("ping")).status == 202:
        pass
    assert client.post(message("ping")).status == 404


def test_too_many_requests_at_once_are_told_so(hall: Hall, old: OldClient) -> None:
    hall.peer.release.clear()
    for number in range(65):
        old.say("tools/call", call("srv__hang"), number)
    heard = old.hear()
    assert (heard["id"], heard["error"]["message"]) == (64, "Too many requests at once.")
    hall.peer.release.set()
    assert {old.hear()["id"] for _ in range(64)} == set(range(64))
    assert old.ask("ping", id="after")["id"] == "after"


def test_revoking_a_grant_cuts_the_stream(tmp_path: Path) -> None:
    other, key = new_grant()
    with hall_at(tmp_path / "data", {"tokens": {key: {"subject": "bob"}}}) as hall:
        mine, bobs = OldClient(hall), OldClient(hall, grant=other)
        mine.open()
        bobs.open()
        bobs.say("tools/call", call("srv__hang"), 1)
        hall.peer.until(lambda: hall.peer.hanging == 1)
        declaration = json.loads(json.dumps(hall.gateway.declaration))
        del declaration["serverAuth"]["bearer"]["tokens"][key]
        hall.gateway.change(declaration)
        assert bobs.stream.is_over()
        hall.peer.until(lambda: hall.peer.hanging == 0)
        assert bobs.post(message("ping")).status == 401
        assert mine.ask("ping")["result"] == {}
        mine.close()
        bobs.close()


def test_a_stopping_gateway_ends_quiet_streams_at_once_and_the_others_with_their_answers(
    tmp_path: Path,
) -> None:
    with hall_at(tmp_path / "data", arguments=["--drain-timeout", "1h"]) as hall:
        quiet, busy = OldClient(hall), OldClient(hall)
        quiet.open()
        busy.open()
        busy.say("tools/call", call("srv__hang"), "last")
        hall.peer.until(lambda: hall.peer.hanging == 1)
        child = hall.gateway._child
        assert child is not None
        child.terminate()
        assert quiet.stream.is_over()
        with Wire(hall.gateway.port) as wire:
            wire.send(frame(message("ping"), path=busy.endpoint.encode(), headers=busy.bearer))
            assert wire.read().status == 503
        hall.peer.release.set()
        assert busy.hear()["id"] == "last"
        assert busy.stream.is_over()
        hall.gateway.stop(signal.SIGCONT)  # it ends by itself; `stop` checks its code and its children
        quiet.close()
        busy.close()


# --- a real client ---------------------------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize(("path", "tool"), [("/mcp/sse", "srv__echo"), ("/mcp/srv/sse", "echo")])
def test_the_older_sdk_over_its_older_transport(hall: Hall, tmp_path: Path, path: str, tool: str) -> None:
    with OLDEST.connect(hall.gateway.origin + path, hall.grant, tmp_path / "home") as client:
        assert client.connected() == OLDEST.version
        assert tool in client.tools()
        for number in range(3):
            assert json.loads(client.call(tool, {"n": number})) == {"n": number}
    with OLDEST.connect(hall.gateway.origin + path, "cckg_wrong", tmp_path / "home") as client:
        assert "401" in client.refused()
