"""Callers in a loop while a credential is switched: none of their calls fails, over HTTP and over stdio."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from coatcheck.app.real import SystemClock
from coatcheck.app.upstreams import RealUpstreams
from coatcheck.config import load_config
from coatcheck.core.access.rules import Rules
from coatcheck.core.sealing.states import Seal
from coatcheck.core.wire import messages
from coatcheck.errors import NotVerified
from coatcheck.model.call import Kind, Result, Target
from coatcheck.model.credential import Assurance, Probe, Replace, Upkeep
from coatcheck.model.policy import Default
from coatcheck.model.record import Outcome
from coatcheck.model.secret import Secret
from coatcheck.operations.calling.call import Calls
from coatcheck.operations.calling.gate import Gate, GateLimits
from coatcheck.operations.calling.limiting import Limiting
from coatcheck.operations.calling.patience import CallTimes
from coatcheck.operations.calling.states import States
from coatcheck.operations.credentials.views import Control
from coatcheck.operations.reaching.conversation import Conversation, Conversations
from coatcheck.operations.reaching.places import PlaceLimits, Places
from coatcheck.operations.records import Records
from coatcheck.operations.registry.patches import NewServer
from doubles.bench import ALICE, CALLER, a_call, a_principal, unheard
from doubles.cloakrooms import Cloakroom
from doubles.entropy import CountingEntropy
from doubles.registries import ROOT
from doubles.token_servers import CHILD, COMMAND, TokenServer
from doubles.voices import ScriptedVoice
from ledgers import MemoryLedger

ONE, TWO, WRONG = "tok-first-0001", "tok-second-0002", "tok-never-0003"
GOOD = {ONE: "one", TWO: "two"}
CALLERS = 64


class Rig:
    """A cloakroom on real servers, and callers of one of its tools."""

    def __init__(self, tmp_path: Path) -> None:
        config = load_config({"data": str(tmp_path / "data")}, {"HOME": str(tmp_path)})
        self.room = Cloakroom(
            upstreams=RealUpstreams(config, {"PATH": "/usr/bin:/bin"}, SystemClock()), seconds=10
        )
        records = Records(MemoryLedger(), self.room.clock, CountingEntropy(), lambda *_: None)
        states = States(Seal(bytes(32)), self.room.clock, CountingEntropy())
        gate = Gate(GateLimits(256, 512, 5.0))
        times = CallTimes(10.0, 30.0)
        self.calls = Calls(
            self.room.servers, records, gate, times, states, Limiting(self.room.clock), self.room.severing
        )
        self.places = Places(PlaceLimits(64, 64))
        self.conversations = Conversations(
            self.room.servers, self.places, lambda: self.room.directory.snapshot
        )
        self.room.directory.subscribe(lambda *_: self.conversations.follow())
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._stop = False

    async def call(self, conversation: Conversation | None = None) -> str:
        server = self.room.directory.snapshot.servers["checks"]
        target = Target(Kind.TOOL, "which")
        done = await self.calls.perform(
            ALICE, Rules(), server, target, a_call("which"), unheard, "which", conversation
        )
        if done.outcome is not Outcome.OK or not isinstance(done.reply, Result):
            self.failures.append(f"{done.outcome}: {done.reply}")
            return ""
        (item,) = messages.items_of((messages.members_of(done.reply.raw) or {})["content"]) or []
        return messages.text_of((messages.members_of(item) or {})["text"]) or ""

    async def loop(self) -> None:
        while not self._stop:
            self.answers.append(await self.call())

    async def during(self, work: Awaitable[None]) -> None:
        """Have callers call before, during and after some work, and see that the last calls are new ones."""
        callers = [asyncio.ensure_future(self.loop()) for _ in range(CALLERS)]
        try:
            await self.more(3 * CALLERS)
            await work
            self.after = len(self.answers)
            await self.more(3 * CALLERS)
        finally:
            self._stop = True
            await asyncio.gather(*callers)

    async def more(self, count: int) -> None:
        wanted = len(self.answers) + count
        while len(self.answers) < wanted:
            await asyncio.sleep(0.005)

    def converse(self) -> Conversation:
        caller = replace(CALLER, capabilities=b'{"roots":{}}')
        return self.conversations.open(ScriptedVoice(), caller, a_principal(), None)


async def over_http(rig: Rig, server: TokenServer, **more: Any) -> str:
    await rig.room.open()
    headers = {"Authorization": Secret(f"Bearer {ONE}")}
    added = await rig.room.registered.add(
        ROOT,
        NewServer("checks", Secret(server.url), headers=headers, default=Default.ALLOW_ALL, **more),
    )
    assert added.tools, added.error
    return added.credentials[0]


async def as_child(rig: Rig, tmp_path: Path, **more: Any) -> str:
    await rig.room.open()
    good = tmp_path / "good.json"
    good.write_text(json.dumps(GOOD), encoding="utf-8")
    env = {"TOKEN": Secret(ONE), "GOOD": Secret(str(good)), "STRICT": Secret("1")}
    new = NewServer(
        "checks",
        command=COMMAND,
        args=(Secret(str(CHILD)),),
        env=env,
        plain=frozenset({"GOOD", "STRICT"}),
        default=Default.ALLOW_ALL,
        **more,
    )
    added = await rig.room.registered.add(ROOT, new)
    assert added.tools, added.error
    return added.credentials[0]


async def test_over_http_no_call_is_lost(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    async with TokenServer(GOOD) as server:
        name = await over_http(rig, server)

        async def rotate() -> None:
            done = await rig.room.rotations.rotate(ROOT, name, Secret(TWO))
            assert (done.assurance, done.drained, done.left) == (Assurance.PROVEN, True, 0)
            seen.append(len(server.calls))

        seen: list[int] = []
        await rig.during(rotate())
        assert rig.failures == []
        assert set(server.calls[seen[0] :]) == {"two"}, "nothing uses the old one once it has drained"
        assert set(rig.answers) == {"one", "two"}
        assert server.bad == 1, "the wrong one, and it alone"
        view = await rig.room.credentials.get(name)
        assert view.expires_at == datetime(2027, 2, 3, 4, 5, 6, tzinfo=UTC), "the server said so"
        await rig.room.servers.close(0.0)


async def test_over_stdio_no_call_is_lost(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    name = await as_child(rig, tmp_path)

    async def rotate() -> None:
        done = await rig.room.rotations.rotate(ROOT, name, Secret(TWO))
        assert (done.assurance, done.drained, done.left) == (Assurance.PROVEN, True, 0)

    await rig.during(rotate())
    assert rig.failures == []
    assert set(rig.answers[rig.after + CALLERS :]) == {"two"}
    assert "one" in rig.answers
    await rig.room.servers.close(0.0)


async def test_a_child_that_cannot_run_twice_has_its_calls_wait(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    name = await as_child(rig, tmp_path, upkeep=Upkeep(Replace.RESTART, Probe("which")))

    async def rotate() -> None:
        with pytest.raises(NotVerified) as caught:
            await rig.room.rotations.rotate(ROOT, name, Secret(WRONG))
        assert "token is not accepted: [redacted]" in caught.value.verdicts[0].sentence
        assert (await rig.room.rotations.rotate(ROOT, name, Secret(TWO))).assurance is Assurance.PROVEN
        await rig.room.rotations.roll_back(ROOT, name)
        await rig.room.rotations.roll_back(ROOT, name)

    await rig.during(rotate())
    assert rig.failures == []
    assert set(rig.answers[rig.after + CALLERS :]) == {"two"}
    await rig.room.servers.close(0.0)


async def test_children_of_single_clients_keep_the_old_one_until_their_time_is_over(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    name = await as_child(rig, tmp_path)
    one, two = rig.converse(), rig.converse()
    assert [await rig.call(one), await rig.call(two)] == ["one", "one"]
    pids = {own.upstream.status().pid for chat in (one, two) for own in chat.own()}
    done = await rig.room.rotations.rotate(ROOT, name, Secret(TWO))
    assert (done.drained, done.left, len(pids)) == (False, 2, 2)
    assert [await rig.call(one), await rig.call()] == ["one", "two"], "its state is in the child"
    assert {own.upstream.status().pid for chat in (one, two) for own in chat.own()} == pids
    assert [version.in_use for version in (await rig.room.credentials.get(name)).versions][1] == 2
    await two.close()
    third = rig.converse()
    assert await rig.call(third) == "two"
    rig.conversations.keep_seconds = 0.0
    await rig.room.rotations.roll_back(ROOT, name)
    await asyncio.sleep(0.05)
    assert await rig.call(third) == "one", "the time is over"
    assert rig.failures == []
    await one.close()
    await third.close()
    await rig.room.servers.close(0.0)


async def test_who_holds_on_to_a_token_that_is_dead_gets_the_new_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    async with TokenServer(dict(GOOD)) as server:
        name = await over_http(rig, server)
        chat = rig.converse()
        assert await rig.call(chat) == "one"
        await rig.room.rotations.rotate(ROOT, name, Secret(TWO))
        assert await rig.call(chat) == "one"
        del server.good[ONE]
        assert await rig.call(chat) == "two"
        assert rig.failures == []
        await rig.room.refusing.close()
        assert [bool(one.refused_at) for one in (await rig.room.credentials.get(name)).versions] == [
            False,
            True,
        ]
        await chat.close()
        await rig.room.servers.close(0.0)


async def test_lists_prove_nothing_where_only_calls_are_checked(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    name = await as_child(rig, tmp_path, upkeep=Upkeep(probe=Probe("which")))
    done = await rig.room.rotations.rotate(ROOT, name, Secret(TWO))
    assert [(one.probe, one.control) for one in done.verdicts] == [(True, Control.REFUSED)]
    await rig.room.servers.close(0.0)
