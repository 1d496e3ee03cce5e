"""`serve --stdio`: one local client on a pipe, with the same answers, grants and record as over HTTP."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from coatcheck.mcp.exchange import REVOKED
from gateway import Gateway, descendants, new_grant, still_there
from journeys.peer import Peer, peer_serving
from journeys.streams import ELICIT, asks
from journeys.wire import META, control

PATIENCE = 20.0
CHILD = str(Path(__file__).parent.parent / "journeys" / "children" / "stdio_peer.py")


@dataclass
class Talk:
    """A running `serve --stdio`, and what it said."""

    process: subprocess.Popen[bytes]
    place: Path
    lines: queue.Queue[bytes] = field(default_factory=queue.Queue)
    ear: threading.Thread = field(default_factory=threading.Thread)

    def listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(b"")

    def say(self, message: dict[str, Any] | bytes) -> None:
        assert self.process.stdin
        data = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(data + b"\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        line = self.lines.get(timeout=PATIENCE)
        assert line, self.words()
        return json.loads(line)

    def ask(self, method: str, params: dict[str, Any] | None = None, id: Any = 1) -> Any:
        self.say({"id": id, "method": method, "params": params or {}})
        return self.hear()

    def open(self, version: str = "2025-11-25") -> Any:
        return self.ask(
            "initialize",
            {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "pipe", "version": "3"}},
            0,
        )

    def modern(self, method: str, params: dict[str, Any] | None = None) -> Any:
        return self.ask(method, {**(params or {}), "_meta": META})

    def records(self) -> list[dict[str, Any]]:
        status, body = control(self.place / "coatcheck.sock", "GET", "/api/v1/records", limit=1000)
        assert status == 200
        found: list[dict[str, Any]] = body["items"]
        return found

    def words(self) -> str:
        return (self.place / "words").read_text(errors="replace")

    def end(self) -> int:
        """Close our side, as a client does that is done; check that nothing is left."""
        made = descendants(self.process.pid)
        assert self.process.stdin
        self.process.stdin.close()
        code = self.process.wait(PATIENCE)
        assert still_there(made) == set()
        return code

    def let_go(self) -> None:
        """Let go of the pipes of a process that has ended."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.wait(PATIENCE)
        self.ear.join(PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    with peer_serving() as running:
        yield running


@pytest.fixture
def grant() -> tuple[str, str]:
    return new_grant()


def declared(peer: Peer, key: str, **more: Any) -> dict[str, Any]:
    auth = {
        "providers": ["bearer"], "bearer": {"tokens": {key: {"subject": "alice"}}},
        "acl": {"default": "allow", "rules": [{"tools": ["srv__denied"], "policy": "deny"}]},
    }  # fmt: skip
    servers = {"srv": peer.declared(), "child": {"command": sys.executable, "args": [CHILD]}}
    return {"mcpServers": servers, "serverAuth": auth, **more}


def surroundings(place: Path, token: str | None) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_"))}
    return {
        **kept,
        "HOME": str(place),
        "COATCHECK_DATA": str(place),
        **({"COATCHECK_GRANT": token} if token else {}),
    }


def started(place: Path, declaration: dict[str, Any], token: str | None) -> Talk:
    place.mkdir(exist_ok=True)
    (place / "servers.json").write_text(json.dumps(declaration))
    with (place / "words").open("wb") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "coatcheck", "serve", "--stdio"], env=surroundings(place, token), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=words,
        )  # fmt: skip
    talk = Talk(process, place)
    talk.ear = threading.Thread(target=talk.listen, daemon=True)
    talk.ear.start()
    return talk


@pytest.fixture
def talk(tmp_path: Path, peer: Peer, grant: tuple[str, str]) -> Iterator[Talk]:
    running = started(tmp_path / "data", declared(peer, grant[1]), grant[0])
    yield running
    peer.release.set()
    if running.process.poll() is None:
        assert running.end() == 0
    running.let_go()


def test_a_legacy_client_lists_calls_and_is_on_record(talk: Talk, peer: Peer) -> None:
    opened = talk.open()
    assert opened["result"]["protocolVersion"] == "2025-11-25"
    assert opened["result"]["serverInfo"]["name"] == "coatcheck"
    talk.say({"method": "notifications/initialized"})
    listed = [tool["name"] for tool in talk.ask("tools/list")["result"]["tools"]]
    assert "srv__echo" in listed
    assert "srv__denied" not in listed
    called = talk.ask("tools/call", {"name": "srv__echo", "arguments": {"n": 1}}, "seven")
    assert (called["id"], called["result"]["x-kept"]) == ("seven", {"big": 2**70})
    assert (
        talk.ask("tools/call", {"name": "srv__denied", "arguments": {}})["error"]["message"]
        == "Unknown tool: srv__denied"
    )
    assert talk.ask("ping")["result"] == {}
    told = [
        (entry["subject"], entry["route"], entry["tool"], entry["decision"], entry["client_name"])
        for entry in talk.records()
    ]
    assert told == [
        ("alice", "stdio", "", "allowed", "pipe"), ("alice", "stdio", "echo", "allowed", "pipe"), ("alice", "stdio", "denied", "hidden", "pipe"),
    ]  # fmt: skip
    assert peer.count("tools/call") == 1


def test_it_has_the_data_directory_to_itself_and_commands_reach_it(talk: Talk, tmp_path: Path) -> None:
    talk.open()
    second = Gateway(tmp_path / "data", {})
    ended = second.command("serve", "--http", "127.0.0.1:0")
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    assert second.command("list").returncode == 0


def test_a_modern_client_needs_no_opening_and_a_legacy_one_does(talk: Talk, peer: Peer) -> None:
    assert "initialize" in talk.ask("tools/list")["error"]["message"]
    assert peer.asked == []
    found = talk.modern("server/discover")["result"]
    assert "2026-07-28" in found["supportedVersions"]
    called = talk.modern("tools/call", {"name": "srv__echo", "arguments": {}})["result"]
    assert called["resultType"] == "complete"
    assert talk.modern("ping")["error"]["code"] == -32601
    refused = talk.ask(
        "tools/list", {"_meta": {**META, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}}
    )
    assert refused["error"]["code"] == -32022


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_the_official_client_over_stdio(
    tmp_path: Path, peer: Peer, grant: tuple[str, str], mode: str
) -> None:
    place = tmp_path / "data"
    place.mkdir()
    (place / "servers.json").write_text(json.dumps(declared(peer, grant[1])))
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "coatcheck", "serve", "--stdio"],
        env=surroundings(place, grant[0]),
    )
    with (place / "words").open("w") as words:
        async with Client(stdio_client(parameters, errlog=words), mode=mode) as client:
            assert "child__echo" in [tool.name for tool in (await client.list_tools()).tools]
            told: list[float] = []

            async def progress(progress: float, total: float | None, message: str | None) -> None:
                told.append(progress)

            result = await client.call_tool("child__progress", {"to": 3}, progress_callback=progress)
            assert getattr(result.content[0], "text", "") == "done"
            assert told == [0.0, 1.0, 2.0]


BAD_LINES: tuple[tuple[bytes, int], ...] = (
    (b"{", -32700), (b"[]", -32600), (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', -32600), (b'{"jsonrpc":"2.0","id":1,"method":1}', -32600),
    (b"\xff", -32700), (b'{"jsonrpc":"2.0","id":1,"method":"no/such"}', -32601), (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}', -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"' + b"a" * (5 * 1024 * 1024) + b'"}}', -32700),
)  # fmt: skip


def test_bad_lines_are_answered_recorded_and_forgotten(talk: Talk, peer: Peer) -> None:
    talk.open()
    for line, code in BAD_LINES:
        talk.say(line)
        assert talk.hear()["error"]["code"] == code, line[:60]
    talk.say(b"")
    talk.say({"method": "notifications/unknown"})
    talk.say({"id": 4, "result": {}})
    assert talk.ask("ping", id=9) == {"jsonrpc": "2.0", "id": 9, "result": {}}
    told = [(entry["subject"], entry["decision"], entry["rule"]) for entry in talk.records()]
    assert told == [("alice", "denied", "(request)")] * len(BAD_LINES)
    assert peer.forwarded == []


def test_answers_come_as_they_are_ready_and_a_client_may_cancel(talk: Talk, peer: Peer) -> None:
    talk.open()
    talk.say({"id": "slow", "method": "tools/call", "params": {"name": "srv__hang", "arguments": {}}})
    peer.until(lambda: peer.hanging == 1)
    assert talk.ask("tools/call", {"name": "srv__echo", "arguments": {}}, "quick")["id"] == "quick"
    talk.say({"method": "notifications/cancelled", "params": {"requestId": "slow"}})
    peer.until(lambda: peer.hanging == 0)
    assert talk.ask("ping", id="after")["id"] == "after"  # what was cancelled has no answer
    peer.until(lambda: all(entry["outcome"] for entry in talk.records()))
    assert {entry["tool"]: entry["outcome"] for entry in talk.records()} == {
        "hang": "cancelled",
        "echo": "ok",
    }


def test_what_was_asked_before_the_client_closed_its_side_is_answered(talk: Talk, peer: Peer) -> None:
    talk.open()
    talk.say({"id": 5, "method": "tools/call", "params": {"name": "srv__hang", "arguments": {}}})
    peer.until(lambda: peer.hanging == 1)
    assert talk.process.stdin
    talk.process.stdin.close()
    peer.release.set()
    assert talk.hear()["result"]["content"][0]["text"] == "released"
    assert talk.process.wait(PATIENCE) == 0


def test_revoking_the_grant_ends_the_clients_access_and_its_calls(
    talk: Talk, peer: Peer, grant: tuple[str, str]
) -> None:
    talk.open()
    talk.say({"id": 5, "method": "tools/call", "params": {"name": "srv__hang", "arguments": {}}})
    peer.until(lambda: peer.hanging == 1)
    (talk.place / "servers.json").write_text(json.dumps(declared(peer, new_grant()[1])))
    cut = talk.hear()
    assert (cut["id"], cut["error"]["message"]) == (5, REVOKED)
    peer.until(lambda: peer.hanging == 0)
    assert "revoked" in talk.ask("tools/list")["error"]["message"]
    assert [(entry["decision"], entry["outcome"]) for entry in talk.records()] == [
        ("allowed", "cancelled"),
        ("refused", "denied"),
    ]


@pytest.mark.parametrize("leaves", [False, True])
def test_a_server_asks_over_the_pipe(tmp_path: Path, grant: tuple[str, str], leaves: bool) -> None:
    opening = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "pipe", "version": "3"},
    }
    with peer_serving(era="legacy", tools={"asks": asks}) as old:
        talk = started(tmp_path / "data", declared(old, grant[1]), grant[0])
        talk.ask("initialize", opening, 0)
        talk.say({"method": "notifications/initialized"})
        talk.say({"id": 7, "method": "tools/call", "params": {"name": "srv__asks"}})
        while (asked := talk.hear()).get("method") != "elicitation/create":
            assert "list_changed" in asked["method"]
        assert asked["params"]["requestedSchema"] == ELICIT["requestedSchema"]
        talk.say({"id": "ask-99", "result": {}})  # nobody asked that
        if leaves:
            assert talk.end() == 0  # it waits for no answer that cannot come
            told = json.loads(talk.hear()["result"]["content"][0]["text"])
            assert told["error"]["code"] == -32603
        else:
            talk.say({"id": asked["id"], "result": {"action": "decline"}})
            answer = talk.hear()
            told = json.loads(answer["result"]["content"][0]["text"])
            assert (answer["id"], told) == (7, {"id": "q", "result": {"action": "decline"}})
            assert talk.end() == 0
        talk.let_go()


def test_a_signal_ends_it_although_the_client_says_nothing(talk: Talk) -> None:
    talk.open()
    assert talk.ask("tools/call", {"name": "child__pid", "arguments": {}})["result"]
    made = descendants(talk.process.pid)
    assert made
    talk.process.send_signal(signal.SIGTERM)
    assert talk.process.wait(PATIENCE) == 0
    assert still_there(made) == set()
    assert "Fatal" not in talk.words()
    assert "Traceback" not in talk.words()


def test_a_client_that_does_not_listen_any_more_ends_it(
    tmp_path: Path, peer: Peer, grant: tuple[str, str]
) -> None:
    place = tmp_path / "data"
    place.mkdir()
    (place / "servers.json").write_text(json.dumps(declared(peer, grant[1])))
    reading, writing = os.pipe()
    with (place / "words").open("wb") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "coatcheck", "serve", "--stdio"], env=surroundings(place, grant[0]), stdin=subprocess.PIPE, stdout=writing, stderr=words
        )  # fmt: skip
    os.close(reading)
    os.close(writing)
    assert process.stdin
    process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    process.stdin.flush()
    assert process.wait(PATIENCE) == 0  # although its standard input stays open
    process.stdin.close()
    assert "Traceback" not in (place / "words").read_text()


def test_copies_of_the_record_never_mix_with_the_messages(
    tmp_path: Path, peer: Peer, grant: tuple[str, str]
) -> None:
    talk = started(tmp_path / "data", declared(peer, grant[1], audit={"output": "stdout"}), grant[0])
    talk.open()
    for number in range(3):
        assert talk.ask("tools/call", {"name": "srv__echo", "arguments": {}}, number)["id"] == number
    assert talk.end() == 0
    talk.let_go()
    assert talk.lines.get(timeout=PATIENCE) == b""
    assert talk.words().count('"tool":"echo"') == 3


@pytest.mark.parametrize("token", [None, "ghp_" + "A" * 36])
def test_without_a_good_grant_it_does_not_start(
    tmp_path: Path, peer: Peer, grant: tuple[str, str], token: str | None
) -> None:
    talk = started(tmp_path / "data", declared(peer, grant[1]), token)
    assert talk.process.wait(PATIENCE) == 78
    assert "COATCHECK_GRANT" in talk.words()
    assert token is None or token not in talk.words()
    talk.let_go()
    assert talk.lines.get(timeout=PATIENCE) == b""


def test_without_authentication_the_local_client_is_anonymous(tmp_path: Path, peer: Peer) -> None:
    talk = started(tmp_path / "data", {"mcpServers": {"srv": peer.declared()}}, None)
    talk.open()
    assert talk.ask("tools/call", {"name": "srv__echo", "arguments": {}})["result"]
    assert [entry["subject"] for entry in talk.records()] == ["anonymous"]
    assert talk.end() == 0
    talk.let_go()
