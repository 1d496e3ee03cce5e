"""A token of a real HTTP server that is really switched while 64 callers call: nobody notices."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from bench.crowd import CALLERS
from bench.door import Door, a_door
from gateway import Answer
from journeys.rotating import Stand, report, standing

REFUSED: Final = "200 -32603 {} refused the credential that is configured for it (401)"
"""What a caller is told where the server refuses: a failure of the call, and no 401 of ours."""


def a_token(word: str) -> str:
    return f"tok_{word}-{secrets.token_urlsafe(18)}"


def new_tokens() -> dict[str, str]:
    return {word: a_token(word) for word in ("old", "new")}


@pytest.fixture
def tokens() -> dict[str, str]:
    return new_tokens()


@pytest.fixture(scope="module")
def the_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with a_door(tmp_path_factory.mktemp("door")) as found:
        yield found


@pytest.fixture
def door(the_door: Door, tokens: dict[str, str]) -> Door:
    the_door.set(tokens)
    return the_door


@pytest.fixture(scope="module")
def the_stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    place = tmp_path_factory.mktemp("stand")
    with standing(place, env={"COATCHECK_CONNECT_TIMEOUT": "3s"}) as made:
        yield made


@pytest.fixture
def stand(the_stand: Stand, door: Door, tokens: dict[str, str]) -> Iterator[Stand]:
    the_stand.add(f"srv{len(the_stand.planted)}", door, tokens["old"])
    yield the_stand
    assert the_stand.run("server", "remove", the_stand.server).returncode == 0


def test_64_callers_do_not_notice_and_nothing_uses_the_old_token_afterwards(
    stand: Stand, door: Door, tokens: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    crowd = stand.crowd()
    with crowd.calling():
        assert set(crowd.labels()) == {"old"}
        told = stand.rotate(tokens["new"])
        drained = time.monotonic()
        door.set({"new": tokens["new"]})  # the old one is revoked at once
        crowd.until("new")
        assert set(crowd.labels(drained)) == set(door.noted(drained)) == {"new"}
        assert (told["number"], told["former"], told["drained"], told["left"]) == (2, 1, True, 0)
        assert [(one["control"], one["ok"]) for one in told["verdicts"]] == [("refused", True)]
        # Back, with both good again, and forth.
        door.set(tokens)
        back = stand.asked("credential", "rollback", stand.name, "--because", "a scope")
        rolled_back = time.monotonic()
        crowd.until("old")
        assert set(crowd.labels(rolled_back)) == set(door.noted(rolled_back)) == {"old"}
        forth = stand.asked("credential", "rollback", stand.name)
        rolled_forth = time.monotonic()
        crowd.until("new")
    assert crowd.failures == []
    assert [(one["number"], one["drained"]) for one in (back, forth)] == [(1, True), (2, True)]
    assert set(crowd.labels(rolled_forth)) == set(door.noted(rolled_forth)) == {"new"}
    assert stand.stages() == {2: "active", 1: "previous"}
    report(capsys.disabled, "a token over HTTP", crowd, told)


def test_what_is_wrong_is_caught_before_the_switch(stand: Stand, door: Door, tokens: dict[str, str]) -> None:
    """A wrong token, a server that is dead or slow, one that takes anything: the old version serves all along."""
    crowd = stand.crowd()
    with crowd.calling():
        words = stand.not_rotated(a_token("wrong"))
        assert "401" in words
        assert "Bad credentials" in words
        assert "Nothing changed." in words
        assert stand.stages() == {1: "active"}

        door.set(tokens, slow=600.0)
        began = time.monotonic()
        words = stand.not_rotated(tokens["new"])
        assert "within 3 seconds" in words
        assert time.monotonic() - began < 20
        assert stand.stages() == {1: "active"}

        door.set(tokens, is_open=True)
        words = stand.not_rotated(tokens["new"])
        assert "obviously wrong one" in words
        assert "--accept-unproven" in words
        assert set(crowd.labels()) == {"old"}
        told = stand.rotate(tokens["new"], "--accept-unproven", "--because", "it takes anything")
        since = time.monotonic()
        crowd.until("new")
        assert (told["assurance"], told["verdicts"][0]["control"]) == ("unproven", "accepted")
    assert crowd.failures == []
    assert crowd.labels(since).keys() == door.noted(since).keys() == {"new"}


def test_a_dead_server_changes_nothing(tmp_path: Path, stand: Stand, tokens: dict[str, str]) -> None:
    """One credential for two servers: where one of them is dead, neither is switched."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    header = ("--plain-header", f"Authorization: ${{credential:{stand.name}}}")
    stand.asked("server", "add", "dead", "--url", f"http://127.0.0.1:{port}/mcp", *header)
    crowd = stand.crowd()
    with crowd.calling():
        words = stand.not_rotated(tokens["new"])
        assert "dead" in words
        assert f"took it: {stand.server}" in words
        assert stand.stages() == {1: "active"}
        stand.rotate(tokens["new"], "--no-verify", "--because", "one of them is dead")
        crowd.until("new")
        stand.asked("server", "remove", "dead")
    assert crowd.failures == []
    version = stand.asked("credential", "show", stand.name)["versions"][0]
    assert (version["stage"], version["assurance"]) == ("active", "skipped")


def test_a_new_token_that_is_refused_after_all_is_rolled_back(
    stand: Stand, door: Door, tokens: dict[str, str]
) -> None:
    stand.asked("credential", "change", stand.name, "--on-refusal", "roll-back")
    crowd = stand.crowd()
    with crowd.calling():
        stand.rotate(tokens["new"])
        crowd.until("new")
        revoked = time.monotonic()
        door.set({"old": tokens["old"]})
        crowd.until("old")
        good_again = time.monotonic()
    assert stand.stages() == {2: "previous", 1: "active"}
    refused = stand.asked("credential", "show", stand.name)["versions"][0]
    assert (refused["number"], refused["refused_by"]) == (2, stand.server)
    assert "credential.roll_back" in stand.actions()
    # What failed had begun while the server refused, and was told as the server's refusal, not as one of ours.
    assert crowd.kinds() <= {REFUSED.format(stand.server)}
    assert good_again > revoked
    assert crowd.labels(good_again).keys() <= {"old"}


def test_a_session_of_a_clients_own_moves_over_when_the_old_token_is_refused(
    stand: Stand, door: Door, tokens: dict[str, str]
) -> None:
    """Its server may keep something for it, so it goes on with the old version, and is counted, until then."""
    greeting = {"protocolVersion": "2025-11-25", "capabilities": {"roots": {}}, "clientInfo": {"name": "x", "version": "1"}}  # fmt: skip
    opened = in_session(stand, {"id": 1, "method": "initialize", "params": greeting})
    session = opened.headers["mcp-session-id"]
    in_session(stand, {"method": "notifications/initialized"}, session)
    call = {"id": 2, "method": "tools/call", "params": {"name": f"{stand.server}__which", "arguments": {}}}

    def label() -> str:
        return str(in_session(stand, call, session).json()["result"]["content"][0]["text"])

    assert label() == "old"
    told = stand.rotate(tokens["new"])
    assert (told["drained"], told["left"]) == (False, 1)
    assert (label(), stand.label()) == ("old", "new")
    door.set({"new": tokens["new"]})
    assert [label(), label(), stand.label()] == ["new"] * 3


def in_session(stand: Stand, message: dict[str, Any], session: str = "") -> Answer:
    headers = {"Authorization": f"Bearer {stand.grant}", "Content-Type": "application/json"}
    headers |= {
        "Accept": "application/json, text/event-stream",
        **({"Mcp-Session-Id": session} if session else {}),
    }
    return stand.gateway.request("POST", "/mcp", headers, json.dumps({"jsonrpc": "2.0", **message}).encode())


def test_a_file_that_is_edited_switches_at_once(tmp_path: Path, door: Door, tokens: dict[str, str]) -> None:
    """And a value that the server refuses is flagged, and told plainly to who calls."""
    material = tmp_path / "material"
    material.write_text(tokens["old"] + "\n")

    def write(token: str) -> None:
        unfinished = tmp_path / "material.new"
        unfinished.write_text(token + "\n")
        unfinished.rename(material)

    header = {"Authorization": f"Bearer ${{file:{material}}}"}
    declaration = {"mcpServers": {"srv": {"url": door.url, "headers": header}}}
    with standing(tmp_path, declaration) as stand:
        stand.planted += tokens.values()
        (credential,) = stand.asked("credential", "list")["items"]
        assert (credential["custody"], credential["state"]) == ("file", "ok")
        crowd = stand.crowd()
        with crowd.calling():
            write(tokens["new"])
            crowd.until("new")
            told_new = time.monotonic()
            crowd.more()
        assert crowd.failures == []
        assert crowd.labels(told_new).keys() == {"new"}

        bad = a_token("bad")
        stand.planted.append(bad)
        crowd = stand.crowd()
        with crowd.calling():
            write(bad)
            limit = time.monotonic() + 20
            while len(crowd.failures) < CALLERS and time.monotonic() < limit:
                time.sleep(0.01)
            (failing,) = stand.asked("credential", "list", "--state", "failing")["items"]
            assert (failing["name"], failing["versions"][0]["refused_by"]) == (credential["name"], "srv")
            failed = len(crowd.failures)
            write(tokens["old"])
            crowd.until("old")
        assert failed >= CALLERS
        assert crowd.kinds() == {REFUSED.format("srv")}
        assert stand.label() == "old"
        (listed,) = stand.asked("credential", "list")["items"]
        assert listed["state"] == "ok"
