"""`coatcheck credential` against a real gateway, with a real server that checks what it is given."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from doubles.token_servers import TokenServer
from gateway import Gateway
from upstream.raw_servers import RawServer, Request

OLD, NEW, THIRD, BAD = (f"ghp_planted-{word}-4471" for word in ("old", "new", "third", "bad"))
NAME = "github-authorization"
WEBHOOK_SECRET = "planted-webhook-7731"


@dataclass
class Told:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Desk:
    """A gateway with one server, and a way to run commands at it."""

    gateway: Gateway
    server: TokenServer
    hook: RawServer

    async def run(self, *words: str, given: str = "", good: bool = True) -> Told:
        command = (sys.executable, "-m", "coatcheck", *words)
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "COATCHECK_DATA": str(self.gateway.directory)},
        )
        out, err = await asyncio.wait_for(child.communicate(given.encode()), 60)
        told = Told(child.returncode or 0, out.decode(), err.decode())
        assert "planted" not in told.out + told.err.replace(str(self.gateway.directory), "")
        assert (told.code == 0) is good, told
        return told

    async def called(self) -> str:
        """Return the label of the secret that a call went with."""
        await self.run("call", "github", "which")
        return self.server.calls[-1]


@pytest.fixture
async def desk(make_gateway: Callable[..., Gateway]) -> AsyncIterator[Desk]:
    async def take(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    server = TokenServer({OLD: "old", NEW: "new", THIRD: "third"})
    async with server, RawServer(take) as hook:
        url = f"{hook.url}/{WEBHOOK_SECRET}"
        made = await asyncio.to_thread(
            lambda: make_gateway({"mcpServers": {}}, env={"COATCHECK_NOTICES_WEBHOOK": url})
        )
        desk = Desk(made, server, hook)
        words = (
            "--url",
            server.url,
            "--header",
            "Authorization: Bearer @-",
            "--default",
            "allow-all",
            "--json",
        )
        added = await desk.run("server", "add", "github", *words, given=OLD)
        assert added.json["credentials"] == [NAME]
        yield desk
        await asyncio.to_thread(made.stop)


async def test_a_credential_from_its_first_value_to_its_last(desk: Desk) -> None:
    assert await desk.called() == "old"
    rotated = (await desk.run("credential", "rotate", NAME, given=f"{NEW}\n")).json
    assert (rotated["number"], rotated["former"], rotated["assurance"]) == (2, 1, "proven")
    assert [(one["ok"], one["tools"], one["control"]) for one in rotated["verdicts"]] == [
        (True, 1, "refused")
    ]
    assert await desk.called() == "new"

    refused = await desk.run("credential", "rotate", NAME, given=BAD, good=False)
    assert (refused.code, refused.out, "Nothing changed." in refused.err) == (1, "", True)
    assert "401" in refused.err
    assert await desk.called() == "new"

    back = (await desk.run("credential", "rollback", NAME, "--because", "a scope")).json
    assert (back["number"], back["former"]) == (1, 2)
    assert await desk.called() == "old"
    retired = (await desk.run("credential", "retire", NAME)).json
    assert {one["number"]: one["stage"] for one in retired["versions"] if one["number"] < 3} == {
        1: "active",
        2: "retired",
    }

    await desk.run("credential", "stage", NAME, given=THIRD)
    assert (await desk.run("credential", "plan")).json["items"][0]["reasons"] == ["staged", "never verified"]
    verdicts = (await desk.run("credential", "verify", NAME)).json
    assert (verdicts["ok"], verdicts["assurance"]) == (True, "proven")
    assert await desk.called() == "old"
    await desk.run("credential", "activate", NAME)
    assert await desk.called() == "third"
    used = await desk.run("credential", "remove", NAME, good=False)
    assert "is used by github" in used.err


async def test_many_credentials_and_one_for_two_servers(desk: Desk, tmp_path: Path) -> None:
    await desk.run("credential", "add", "shared", "--owner", "platform", "--interval", "30", given=OLD)
    header = ("--header", "Authorization: Bearer ${credential:shared}")
    added = (await desk.run("server", "add", "second", "--url", desk.server.url, *header, "--json")).json
    assert (added["credentials"], len(added["tools"])) == ([], 1)
    assert [one["name"] for one in added["server"]["credentials"]] == ["shared"]

    (tmp_path / "new").write_text(NEW)
    (tmp_path / "bad").write_text(BAD)
    listed = tmp_path / "list.csv"
    listed.write_text(f"name,file\nshared,new\n{NAME},bad\n")
    many = await desk.run("credential", "rotate", "--list", str(listed), good=False)
    assert (many.code, many.json["failed"]) == (1, 1)
    assert [(one["name"], one["ok"]) for one in many.json["items"]] == [("shared", True), (NAME, False)]

    found = (await desk.run("credential", "list", "--server", "second")).json["items"]
    assert [(one["name"], one["owner"], one["interval_days"]) for one in found] == [
        ("shared", "platform", 30)
    ]
    changed = (await desk.run("credential", "change", "shared", "--interval", "never", "--note", "n")).json
    assert (changed["interval_days"], changed["due_at"]) == (None, None)
    await desk.run("server", "remove", "second")
    await desk.run("credential", "remove", "shared")
    await desk.run("credential", "show", "shared", good=False)


async def test_a_refusal_is_seen_everywhere_and_told_to_the_webhook(desk: Desk) -> None:
    assert await desk.called() == "old"
    del desk.server.good[OLD]
    await desk.run("call", "github", "which", good=False)
    shown = (await desk.run("credential", "list", "--state", "failing")).json["items"]
    assert [one["name"] for one in shown] == [NAME]
    doctor = await desk.run("doctor", good=False)
    assert f"credential {NAME}" in {one["check"] for one in doctor.json["items"] if one["status"] == "fail"}
    assert f"the credential {NAME} is failing" in (await desk.run("list")).err
    while not desk.hook.requests:
        await asyncio.sleep(0.05)
    text = json.loads(desk.hook.requests[0].body)["text"]
    assert f"{NAME}: github refuses version 1. coatcheck credential rotate {NAME}" in text
    config = (await desk.run("config", "show")).json["items"]
    (hook,) = [one for one in config if one["name"] == "notices_webhook"]
    assert hook["source"] == "default"  # this command has another environment than the gateway
    assert WEBHOOK_SECRET not in desk.gateway.said()


async def test_the_key_changes_and_calls_go_on(desk: Desk) -> None:
    before = (await desk.run("key", "show")).json
    rotated = (await desk.run("key", "rotate")).json
    assert (rotated["old_id"], rotated["rows"] >= 2) == (before["id"], True)
    assert (await desk.run("key", "show")).json["id"] == rotated["new_id"]
    assert await desk.called() == "old"
