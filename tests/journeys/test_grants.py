"""Grants that operators issue: good at once, and when an ending returns, nothing of what they had goes on."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import Gateway
from journeys.operating import Office
from journeys.peer import peer_serving
from journeys.running import Hall, Session, hall_at
from journeys.streams import OldClient, Streamed, get
from journeys.wire import Wire, message

STDIO = str(Path(__file__).parent / "children" / "stdio_peer.py")
CHILD = {"command": sys.executable, "args": [STDIO, "legacy"]}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with hall_at(tmp_path / "data", {"mcpServers": {"child": CHILD}, "acl": {"default": "allow"}}) as hall:
        hall.good()
        yield Office(hall)


def issue(office: Office, label: str = "laptop", subject: str = "dora", **more: Any) -> str:
    body = {"label": label, "subject": subject, "servers": None, **more}
    token: str = office.locally("POST", "/grants", body)["token"]
    assert echo(office.hall, token) == 200
    return token


def revoke(office: Office, label: str = "laptop") -> dict[str, Any]:
    told: dict[str, Any] = office.locally("POST", f"/grants/{label}/revoke", {"because": "left"})
    return told


def echo(hall: Hall, token: str, server: str = "srv") -> int:
    return hall.ask("tools/call", {"name": f"{server}__echo", "arguments": {}}, grant=token).status


def refusal(hall: Hall, token: str) -> tuple[int, str]:
    got = hall.ask("tools/call", {"name": "srv__echo", "arguments": {}}, grant=token)
    return got.status, json.dumps(got.json())


def hanging(hall: Hall, token: str, session: Session | None = None) -> Streamed:
    """Begin a call that the server does not answer."""
    before = hall.peer.hanging
    hall.peer.release.clear()
    wire = Streamed(hall.gateway.port)
    params = {"name": "srv__hang", "arguments": {}}
    if session is None:
        wire.send(hall.request("tools/call", params, grant=token))
    else:
        wire.send(session.frame(message("tools/call", params, 9)))
    hall.peer.until(lambda: hall.peer.hanging == before + 1)
    return wire


def asking_session(hall: Hall, token: str) -> Session:
    """Open a session whose client can be asked, and so has a child of its own."""
    session = hall.session(grant=token)
    opening = {
        "protocolVersion": session.version,
        "capabilities": {"sampling": {}},
        "clientInfo": {"name": "journey", "version": "1"},
    }
    for name in ("Mcp-Session-Id", "MCP-Protocol-Version"):
        del session.headers[name]
    session.headers["Mcp-Session-Id"] = session.post(message("initialize", opening, 0)).headers[
        "mcp-session-id"
    ]
    session.headers["MCP-Protocol-Version"] = session.version
    return session


def own_child(session: Session) -> int:
    return int(session.ask("tools/call", {"name": "child__pid", "arguments": {}}).text)


def listens(hall: Hall, token: str) -> Streamed:
    """Open a stream of the modern era, and read what acknowledges it."""
    wire = Streamed(hall.gateway.port)
    wire.send(
        hall.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, grant=token)
    )
    assert wire.opened() == 200
    assert wire.message()["method"] == "notifications/subscriptions/acknowledged"
    return wire


def is_cut(stream: Streamed) -> bool:
    """Tell whether a stream ends, whether as it should or in the middle; waits for its end."""
    with stream:
        while chunk := stream.socket.recv(65_536):
            if chunk.endswith(b"0\r\n\r\n"):
                break
    return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# --- revoking -------------------------------------------------------------------------------------------------


def test_when_revoke_returns_nothing_of_the_grant_goes_on(office: Office) -> None:
    hall = office.hall
    token, other = issue(office), issue(office, "other", "eve")
    session, bystander = asking_session(hall, token), hall.session(grant=other)
    child = own_child(session)
    streams = [get(session), listens(hall, token), OldClient(hall, grant=token).stream]
    assert streams[0].opened() == 200
    calls = [hanging(hall, token), hanging(hall, token, session)]
    spared = hanging(hall, other)
    assert (hall.peer.hanging, alive(child)) == (3, True)

    told = revoke(office)

    assert (told["calls"], told["left"], told["grants"][0]["state"]) == (2, 0, "revoked")
    assert told["streams"] == 3
    assert told["sessions"] >= 2
    assert 0 < told["seconds"] < 5
    hall.peer.until(lambda: hall.peer.hanging == 1)  # the server sees that nobody waits any more
    assert not alive(child)
    assert all(is_cut(stream) for stream in streams)
    with calls[0]:
        got = calls[0].read()
        assert (got.status, "revoked" in got.body.decode()) == (401, True)
    calls[1].close()
    status, words = refusal(hall, token)
    assert (status, "revoked" in words) == (401, True)
    assert session.ask("ping").status == 401
    assert bystander.ask("ping").status == 200
    hall.peer.release.set()
    with spared:
        assert spared.read().status == 200


def test_no_call_passes_after_revoke_returned_while_others_go_on(office: Office) -> None:
    hall = office.hall
    token, other = issue(office), issue(office, "other", "eve")
    passed: list[int] = []
    revoked = threading.Event()

    def call() -> None:
        with Wire(hall.gateway.port) as wire:
            data = hall.request("tools/call", {"name": "srv__echo", "arguments": {}}, grant=token)
            for _ in range(300):
                late = revoked.is_set()
                wire.send(data)
                status = wire.read().status
                if late:
                    passed.append(status)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    revoke(office)
    revoked.set()
    for thread in threads:
        thread.join()
    assert len(passed) > 100
    assert set(passed) == {401}
    assert echo(hall, other) == 200


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_a_request_that_was_half_sent_before_is_refused_after(office: Office, era: str) -> None:
    hall = office.hall
    token = issue(office)
    params = {"name": "srv__allowed", "arguments": {"late": True}}
    session = hall.session(grant=token) if era == "legacy" else None
    body = (
        session.frame(message("tools/call", params))
        if session
        else hall.request("tools/call", params, grant=token)
    )
    with Wire(hall.gateway.port) as wire:
        wire.send(body[:-5])
        assert echo(hall, token) == 200  # a request later than the first half
        revoke(office)
        wire.send(body[-5:])
        assert wire.read().status == 401
    assert not any(one.name == "allowed" for one in hall.peer.forwarded)


def test_revoked_stays_revoked_after_kill_and_every_edit_of_the_file(office: Office) -> None:
    hall, gateway = office.hall, office.hall.gateway
    token = issue(office)
    of_file = next(one["id"] for one in office.locally("GET", "/grants", source="file")["items"])
    hall.good()
    office.locally("POST", "/grants/revoke", {"grants": ["laptop", of_file], "because": "left"})
    gateway.stop(signal.SIGKILL)
    gateway.start()
    assert [refusal(hall, one)[0] for one in (token, hall.grant)] == [401, 401]
    declared = json.loads(json.dumps(gateway.declaration))
    gateway.change({**declared, "audit": {"output": "file"}, "mcpServers": {"srv": hall.peer.declared()}})
    assert [refusal(hall, one)[0] for one in (token, hall.grant)] == [401, 401]
    assert "revoked" in refusal(hall, hall.grant)[1]
    office.locally("POST", f"/grants/{of_file}/restore", {})
    hall.good()
    actions = [one["action"] for one in office.locally("GET", "/changes")["items"]]
    assert actions[-2:] == ["config.edit", "grant.restore"]
    assert actions.count("grant.revoke") == 2
    assert token not in json.dumps(office.locally("GET", "/changes"))


# --- expiry, rotation, narrowing ------------------------------------------------------------------------------


def test_a_grant_that_expires_is_cut_off_at_that_moment(office: Office) -> None:
    hall = office.hall
    ends = datetime.now(UTC) + timedelta(seconds=2)
    token = issue(office, expires_at=ends.isoformat())
    stream, call = listens(hall, token), hanging(hall, token)
    assert is_cut(stream)
    hall.peer.until(lambda: hall.peer.hanging == 0)
    with call:
        assert call.read().status == 401
    status, words = refusal(hall, token)
    assert (status, "has expired" in words, "Ask whoever" in words) == (401, True, True)
    assert office.locally("GET", "/grants/laptop")["state"] == "expired"


def test_a_rotated_grant_has_two_tokens_until_the_overlap_ends(office: Office) -> None:
    hall = office.hall
    first = issue(office)
    second = office.locally("POST", "/grants/laptop/rotate", {"overlap_seconds": 3600})["token"]
    assert [echo(hall, one) for one in (first, second)] == [200, 200]
    stream = listens(hall, first)
    third = office.locally("POST", "/grants/laptop/rotate", {})["token"]
    assert [echo(hall, one) for one in (first, second, third)] == [401, 401, 200]
    assert is_cut(stream)


def test_a_grant_narrowed_to_tools_sees_and_calls_no_others(office: Office) -> None:
    hall = office.hall
    wide, token = issue(office, "wide"), issue(office, tools=["srv__e*", "child__pid"])
    listed = {tool["name"] for tool in hall.ask("tools/list", grant=token).result["tools"]}
    assert listed == {"srv__echo", "child__pid"}
    assert len(hall.ask("tools/list", grant=wide).result["tools"]) > 5
    hidden = hall.ask("tools/call", {"name": "srv__big", "arguments": {}}, grant=token)
    unknown = hall.ask("tools/call", {"name": "srv__nix", "arguments": {}}, grant=token)
    assert hidden.body == unknown.body.replace(b"srv__nix", b"srv__big")
    for method, member in (("prompts/list", "prompts"), ("resources/list", "resources")):
        assert hall.ask(method, grant=token).result[member] == []
        assert hall.ask(method, grant=wide).result[member] != []
    read = hall.ask("resources/read", {"uri": "peer://one"}, grant=token)
    assert read.code in {-32602, -32002}


# --- servers and subjects -------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["srv", "added"])
def test_a_disabled_server_is_gone_at_once_and_comes_back(office: Office, server: str) -> None:
    hall = office.hall
    if server == "added":
        made = office.locally(
            "POST", "/servers", {"name": "added", "url": hall.peer.url, "default": "allow-all"}
        )
        assert "echo" in json.dumps(made)
    token = issue(office)
    assert echo(hall, token, server) == 200
    hall.peer.release.clear()
    call = Wire(hall.gateway.port)
    call.send(hall.request("tools/call", {"name": f"{server}__hang", "arguments": {}}, grant=token))
    hall.peer.until(lambda: hall.peer.hanging == 1)
    session = hall.session(f"/mcp/{server}", token)
    stream = get(session)
    assert stream.opened() == 200
    told = office.locally("POST", f"/servers/{server}/disable", {"because": "broken"})
    assert (told["calls"], told["left"]) == (1, 0)
    hall.peer.until(lambda: hall.peer.hanging == 0)
    with call:
        got = call.read()
        assert (got.status, got.code) == (200, -32603)
        assert "taken out of use" in got.json()["error"]["message"]
    assert is_cut(stream)
    assert hall.ask("tools/list", path=f"/mcp/{server}", grant=token).status == 404
    assert f"{server}__echo" not in hall.ask("tools/list", grant=token).body.decode()
    hall.gateway.restart()
    assert hall.ask("tools/list", path=f"/mcp/{server}", grant=token).status == 404
    office.locally("POST", f"/servers/{server}/enable", {})
    assert echo(hall, token, server) == 200


def test_a_disabled_server_takes_its_children_with_it(office: Office) -> None:
    hall = office.hall
    token = issue(office)
    own = own_child(asking_session(hall, token))
    shared = int(hall.ask("tools/call", {"name": "child__pid", "arguments": {}}, grant=token).text)
    assert own != shared
    assert office.locally("POST", "/servers/child/disable", {})["left"] == 0
    assert not alive(own)
    assert not alive(shared)


def test_a_disabled_subject_is_refused_and_offboarding_revokes_all_it_has(office: Office) -> None:
    hall = office.hall
    hall.good()
    token = issue(office, "alices-second", "alice")
    call = hanging(hall, hall.grant)
    told = office.locally("POST", "/subjects/alice/disable", {"because": "leave"})
    assert (told["calls"], told["left"], len(told["grants"])) == (1, 0, 2)
    with call:
        assert call.read().status == 401
    for one in (token, hall.grant):
        status, words = refusal(hall, one)
        assert (status, "disabled" in words) == (401, True)
    office.locally("POST", "/subjects/alice/enable", {})
    hall.good()
    office.locally("POST", "/subjects/alice/offboard", {"because": "left"})
    office.locally("POST", "/subjects/alice/enable", {})
    for one in (token, hall.grant):
        assert refusal(hall, one)[0] == 401


def test_the_first_grant_ends_that_callers_without_one_are_served(tmp_path: Path) -> None:
    with peer_serving() as peer:
        gateway = Gateway(tmp_path / "data", {"mcpServers": {"srv": peer.declared()}})
        gateway.start()
        try:
            hall = Hall(gateway, peer, "")
            assert gateway.call(None, "srv__echo", {}).status == 200
            token = Office(hall).locally("POST", "/grants", {"label": "a", "subject": "a", "servers": None})[
                "token"
            ]
            assert gateway.call(token, "srv__echo", {}).status == 200
            assert gateway.call(None, "srv__echo", {}).status == 401
            Office(hall).locally("POST", "/grants/a/revoke", {})
            assert gateway.call(None, "srv__echo", {}).status == 401
        finally:
            gateway.stop()
