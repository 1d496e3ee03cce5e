"""Edits while the gateway runs: the very next call follows them, nobody's call fails, and a bad edit changes nothing."""

from __future__ import annotations

import copy
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from coatcheck.mcp.exchange import REVOKED
from gateway import new_grant
from journeys.running import Hall, hall_at
from journeys.wire import PATIENCE, Wire, message

STDIO = str(Path(__file__).parent / "children" / "stdio_peer.py")
CALLERS = 16


@dataclass
class Live:
    hall: Hall
    other: str
    credential: Path

    @property
    def declaration(self) -> dict[str, Any]:
        """A copy of the declaration, to be changed and written."""
        return copy.deepcopy(self.hall.gateway.declaration)

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Write a changed declaration and return at once: the next call is to see it."""
        declaration = self.declaration
        change(declaration)
        self.hall.gateway.write(declaration)

    def child(self, tool: str, **arguments: Any) -> str:
        return self.hall.ask("tools/call", {"name": f"child__{tool}", "arguments": arguments}).text

    def heard(self, header: str = "x-credential") -> str:
        """Make a call and return what the server heard in a header."""
        assert self.hall.call("echo").status == 200
        return self.hall.peer.forwarded[-1].headers.get(header, "")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    place = tmp_path_factory.mktemp("live")
    credential = place / "credential"
    credential.write_text("from-file-0")
    other, key = new_grant()
    child = {
        "command": sys.executable,
        "args": [STDIO],
        "env": {"CREDENTIAL": "zero"},
        "idle_timeout": "never",
    }
    with hall_at(
        place / "data", {"mcpServers": {"child": child}, "tokens": {key: {"subject": "bob"}}}
    ) as hall:
        running = Live(hall, other, credential)
        running.edit(lambda d: d["mcpServers"]["srv"].update(headers={"X-Credential": "zero"}))
        assert running.heard() == "zero"
        assert running.child("env", name="CREDENTIAL") == "zero"
        yield running


# --- credentials ------------------------------------------------------------------------------------------------


def test_a_changed_header_reaches_the_server_with_the_very_next_call(live: Live) -> None:
    for number in range(10):
        live.edit(lambda d, n=number: d["mcpServers"]["srv"].update(headers={"X-Credential": f"v{n}"}))  # type: ignore[misc]
        assert live.heard() == f"v{number}"


def test_a_changed_environment_reaches_the_child_with_the_very_next_call(live: Live) -> None:
    for number in range(3):
        live.edit(lambda d, n=number: d["mcpServers"]["child"].update(env={"CREDENTIAL": f"e{n}"}))  # type: ignore[misc]
        assert live.child("env", name="CREDENTIAL") == f"e{number}"


def test_an_edit_that_leaves_a_child_as_it_is_does_not_restart_it(live: Live) -> None:
    pid = live.child("pid")
    live.edit(lambda d: d["mcpServers"]["srv"].update(headers={"X-Credential": "elsewhere"}))
    assert live.heard() == "elsewhere"
    assert live.child("pid") == pid


def test_a_credential_in_a_file_is_followed_like_the_declaration(live: Live) -> None:
    live.edit(
        lambda d: d["mcpServers"]["srv"].update(headers={"X-Credential": f"${{file:{live.credential}}}"})
    )
    assert live.heard() == "from-file-0"
    live.credential.write_text("from-file-one")  # in place
    assert live.heard() == "from-file-one"
    fresh = live.credential.with_suffix(".new")
    fresh.write_text("from-file-two")
    fresh.rename(live.credential)  # as editors do
    assert live.heard() == "from-file-two"
    for number in (3, 4):  # as Kubernetes does
        version = live.credential.parent / f"..v{number}"
        version.mkdir()
        (version / "credential").write_text(f"from-file-{number}")
        link = live.credential.parent / "..new"
        link.symlink_to(version / "credential")
        link.rename(live.credential)
        assert live.heard() == f"from-file-{number}"


def test_a_call_under_way_ends_with_what_it_began_with(live: Live) -> None:
    live.hall.peer.release.clear()
    live.edit(lambda d: d["mcpServers"]["srv"].update(headers={"X-Credential": "before"}))
    with Wire(live.hall.gateway.port) as wire:
        wire.send(live.hall.request("tools/call", {"name": "srv__hang", "arguments": {}}))
        live.hall.peer.until(lambda: live.hall.peer.hanging == 1)
        live.edit(lambda d: d["mcpServers"]["srv"].update(headers={"X-Credential": "after"}))
        assert live.heard() == "after"
        live.hall.peer.release.set()
        assert wire.read().text == "released"
    live.hall.peer.release.clear()


@dataclass
class Load:
    """16 callers in a loop, each on a connection of its own, while the block of `running` lasts."""

    live: Live
    tool: str
    arguments: dict[str, Any]
    answered: list[str] = field(default_factory=list)
    failures: list[Any] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    news: threading.Condition = field(default_factory=threading.Condition)

    def call(self, number: int) -> None:
        """Be one caller."""
        count = 0
        with Wire(self.live.hall.gateway.port) as wire:
            while not self.done.is_set():
                nonce = f"{number}-{count}"
                params = {"name": self.tool, "arguments": {**self.arguments, "nonce": nonce}}
                wire.send(self.live.hall.request("tools/call", params, id=nonce))
                got = wire.read()
                fine = got.status == 200 and "result" in got.json() and got.json()["id"] == nonce
                with self.news:
                    self.answered += [nonce] if fine else []
                    self.failures += [] if fine else [got]
                    self.news.notify_all()
                count += 1

    def more(self, count: int) -> None:
        """Wait until so many further calls were answered."""
        with self.news:
            goal = len(self.answered) + count
            assert self.news.wait_for(lambda: self.failures or len(self.answered) >= goal, PATIENCE)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the callers."""
        threads = [threading.Thread(target=self.call, args=(number,)) for number in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.done.set()
            for thread in threads:
                thread.join()


def test_no_call_fails_while_a_header_is_rotated_under_load(live: Live) -> None:
    first = len(live.hall.peer.forwarded)
    load = Load(live, "srv__echo", {})
    with load.running():
        for number in range(20):
            load.more(CALLERS * 2)
            live.edit(lambda d, n=number: d["mcpServers"]["srv"].update(headers={"X-Credential": f"r{n:02}"}))  # type: ignore[misc]
    assert load.failures == []
    assert len(load.answered) >= 20 * 2 * CALLERS
    sent = live.hall.peer.forwarded[first:]
    nonces = [one.message["params"]["arguments"]["nonce"] for one in sent]
    assert sorted(nonces) == sorted(load.answered)  # each once
    assert {one.headers["x-credential"] for one in sent} >= {f"r{number:02}" for number in range(19)}


def test_no_call_fails_while_a_childs_environment_is_rotated_under_load(live: Live) -> None:
    seen: list[str] = []
    load = Load(live, "child__wait", {"seconds": 0.01})
    with load.running():
        for number in range(6):
            load.more(CALLERS * 2)
            live.edit(lambda d, n=number: d["mcpServers"]["child"].update(env={"CREDENTIAL": f"r{n}"}))  # type: ignore[misc]
            seen.append(live.child("env", name="CREDENTIAL"))
    assert load.failures == []
    assert seen == [f"r{number}" for number in range(6)]
    assert len(load.answered) >= 6 * 2 * CALLERS
    while len(live.hall.gateway.children()) != 1:  # those replaced are gone once they are drained
        threading.Event().wait(0.02)


# --- grants ---------------------------------------------------------------------------------------------------------


def without(live: Live, grant_of: str) -> Callable[[dict[str, Any]], None]:
    def change(declaration: dict[str, Any]) -> None:
        tokens = declaration["serverAuth"]["bearer"]["tokens"]
        for key in [key for key, one in tokens.items() if one["subject"] == grant_of]:
            del tokens[key]

    return change


def test_removing_a_token_refuses_the_very_next_request_and_cuts_what_is_open(live: Live) -> None:
    hall, peer = live.hall, live.hall.peer
    before = live.declaration
    peer.release.clear()
    session = hall.session(grant=live.other)
    position = hall.last_position()
    with (
        Wire(hall.gateway.port) as bobs,
        Wire(hall.gateway.port) as stream,
        Wire(hall.gateway.port) as old,
        Wire(hall.gateway.port) as alices,
    ):
        hang: dict[str, Any] = {"name": "srv__hang", "arguments": {}}
        bobs.send(hall.request("tools/call", hang, grant=live.other))
        progress = {
            "name": "srv__progress",
            "arguments": {"to": 1, "hang": True},
            "_meta": {"progressToken": 1},
        }
        stream.send(hall.request("tools/call", progress, grant=live.other))
        assert stream.head() == 200
        stream.event()
        old.send(session.frame(message("tools/call", hang)))
        alices.send(hall.request("tools/call", hang))
        peer.until(lambda: peer.hanging == 4)
        live.edit(without(live, "bob"))
        assert hall.call("echo", grant=live.other).status == 401
        cut = bobs.read()
        assert (cut.status, cut.json()["error_description"]) == (401, REVOKED)
        assert stream.ending() == b""  # ended, without an answer
        assert old.read().status == 401
        peer.until(lambda: peer.hanging == 1)  # the server was told, for those three
        assert session.ask("ping").status == 401
        peer.release.set()
        assert alices.read().text == "released"
    peer.release.clear()
    entries = hall.since(position)
    assert sorted((e["subject"], e["outcome"]) for e in entries if e["decision"] == "allowed") == [
        ("alice", "ok"), ("bob", "cancelled"), ("bob", "cancelled"), ("bob", "cancelled"),
    ]  # fmt: skip
    assert {e["reason"] for e in entries if e["decision"] == "refused"} == {"revoked"}
    hall.gateway.write(before)
    assert hall.call("echo", grant=live.other).status == 200  # lifted by the file that declared it
    assert session.ask("ping").status == 404  # its sessions are gone for good


def test_open_calls_are_cut_although_nobody_calls_anew(live: Live) -> None:
    before = live.declaration
    live.hall.peer.release.clear()
    with Wire(live.hall.gateway.port) as wire:
        wire.send(live.hall.request("tools/call", {"name": "srv__hang", "arguments": {}}, grant=live.other))
        live.hall.peer.until(lambda: live.hall.peer.hanging == 1)
        live.edit(without(live, "bob"))
        assert wire.read().status == 401
    live.hall.gateway.write(before)


def test_a_new_token_and_a_new_rule_hold_with_the_very_next_call(live: Live) -> None:
    before = live.declaration
    grant, key = new_grant()
    assert live.hall.call("echo", grant=grant).status == 401
    live.edit(
        lambda d: d["serverAuth"]["bearer"]["tokens"].update({key: {"subject": "carol", "roles": ["dev"]}})
    )
    assert live.hall.call("allowed", grant=grant).status == 200
    rule = {"roles": ["dev"], "tools": ["srv__allowed"], "policy": "deny"}
    live.edit(lambda d: d["serverAuth"]["acl"]["rules"].insert(0, rule))
    assert live.hall.call("allowed", grant=grant).json()["error"]["code"] == -32602
    listed = [tool["name"] for tool in live.hall.ask("tools/list", grant=grant).result["tools"]]
    assert "srv__echo" in listed
    assert "srv__allowed" not in listed
    assert live.hall.call("allowed").status == 200  # alice has no such role
    live.hall.gateway.write(before)


def test_servers_come_and_go_with_the_file(live: Live) -> None:
    before = live.declaration
    live.edit(lambda d: d["mcpServers"].update(more=live.hall.peer.declared()))
    assert live.hall.ask("tools/call", {"name": "echo", "arguments": {}}, path="/mcp/more").status == 200
    assert live.hall.ask("tools/call", {"name": "more__echo", "arguments": {}}).status == 200
    live.hall.gateway.write(before)
    assert live.hall.ask("tools/list", path="/mcp/more").status == 404
    assert live.hall.ask("tools/call", {"name": "more__echo", "arguments": {}}).code == -32602
    names = [tool["name"] for tool in live.hall.ask("tools/list").result["tools"]]
    assert names
    assert not any(name.startswith("more__") for name in names)


def test_hangup_reads_the_file(live: Live) -> None:
    before = live.hall.gateway.epoch()
    live.edit(lambda d: d["mcpServers"]["srv"].update(headers={"X-Credential": "hup"}))
    os.kill(live.hall.gateway.pid, signal.SIGHUP)
    live.hall.gateway.await_epoch(before)
    assert live.heard() == "hup"


def test_an_edit_is_in_force_although_nobody_calls(live: Live) -> None:
    before = live.hall.gateway.epoch()
    live.edit(lambda d: d["mcpServers"]["srv"].update(headers={"X-Credential": "quiet"}))
    live.hall.gateway.await_epoch(before)


# --- bad edits --------------------------------------------------------------------------------------------------------


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], str]:
    def write(declaration: dict[str, Any]) -> str:
        change(declaration)
        return json.dumps(declaration)

    return write


BAD_EDITS: dict[str, Callable[[dict[str, Any]], str]] = {
    "empty": lambda _: "",
    "cut short": lambda d: json.dumps(d)[:-20],
    "not an object": lambda _: "[]",
    "not JSON": lambda _: "mcpServers: {}",
    "a key twice": lambda d: json.dumps(d).replace(
        '{"mcpServers"', '{"audit": {}, "audit": {}, "mcpServers"'
    ),
    "an unknown key": changed(lambda d: d.update(unknown={})),
    "an unknown key of a server": changed(lambda d: d["mcpServers"]["srv"].update(hedaers={})),
    "a missing variable": changed(
        lambda d: d["mcpServers"]["srv"].update(headers={"X-Credential": "${SURELY_NOT_SET}"})
    ),
    "a missing file": changed(
        lambda d: d["mcpServers"]["srv"].update(headers={"X-Credential": "${file:/surely/not}"})
    ),
    "a name that is taken in other case": changed(lambda d: d["mcpServers"].update(SRV={"command": "true"})),
    "a bad name": changed(lambda d: d["mcpServers"].update({"a__b": {"command": "true"}})),
    "neither URL nor command": changed(lambda d: d["mcpServers"].update(more={})),
    "an unknown provider": changed(lambda d: d["serverAuth"].update(providers=["ldap"])),
    "a line break in a header": changed(
        lambda d: d["mcpServers"]["srv"].update(headers={"X-Credential": "a\r\nX-More: b"})
    ),
    "an unknown policy": changed(
        lambda d: d["serverAuth"]["acl"]["rules"].append({"tools": ["*"], "policy": "perhaps"})
    ),
    "no record": changed(lambda d: d.update(audit={"enabled": False})),
    "a wrong type": changed(lambda d: d.update(mcpServers=[])),
}


@pytest.mark.parametrize("name", BAD_EDITS)
def test_a_bad_edit_changes_nothing_and_says_so(live: Live, name: str) -> None:
    gateway = live.hall.gateway
    live.edit(lambda d: d["mcpServers"]["srv"].update(headers={"X-Credential": f"good before {name}"}))
    assert live.heard() == f"good before {name}"
    epoch, process = gateway.epoch(), gateway.pid
    assert gateway.request("GET", "/readyz", {}).json() == {"status": "ready"}
    gateway.config.write_text(BAD_EDITS[name](live.declaration))
    assert live.heard() == f"good before {name}"
    assert (gateway.epoch(), gateway.pid) == (epoch, process)
    ready = gateway.request("GET", "/readyz", {})
    assert ready.status == 200
    (detail,) = ready.json()["detail"]
    assert detail.startswith("a bad edit is not used: ")
    assert "\ncoatcheck_config_edit_bad 1.0\n" in gateway.request("GET", "/metrics", {}).body.decode()
    assert "the edit of the configuration is not used" in gateway.said()
    assert live.hall.control("/api/v1/status")["config"]["problems"]
    gateway.write(live.declaration)
    assert live.heard() == f"good before {name}"
    assert gateway.request("GET", "/readyz", {}).json() == {"status": "ready"}


def test_a_bad_edit_is_in_doctor_with_line_and_fix(live: Live) -> None:
    gateway = live.hall.gateway
    good = gateway.declaration
    gateway.config.write_text(BAD_EDITS["an unknown key of a server"](live.declaration))
    live.hall.good()
    told = gateway.command("doctor")
    assert told.returncode == 1
    assert "hedaers" in told.stdout + told.stderr
    assert "headers" in told.stdout + told.stderr
    gateway.write(good)
    live.hall.good()


def test_a_file_that_is_gone_changes_nothing(live: Live) -> None:
    gateway = live.hall.gateway
    gateway.config.unlink()
    live.hall.good()
    assert "detail" in gateway.request("GET", "/readyz", {}).json()
    gateway.write(gateway.declaration)
    live.hall.good()
    assert "detail" not in gateway.request("GET", "/readyz", {}).json()
