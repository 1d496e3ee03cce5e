from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coatcheck.core.backoff import BackoffRules
from coatcheck.errors import UpstreamLost, UpstreamTimeout
from coatcheck.model.call import Caller, Fault, Notice, Question, Reply, Result
from coatcheck.model.era import Era
from coatcheck.model.server import IdlePolicy
from coatcheck.ports import State
from doubles.clients import ScriptedClient
from upstream.stdio_permits import QUICK, Box, children_of_ours, opened, python_server, value_of

NO_PAUSE = replace(QUICK, backoff=BackoffRules(healthy=0.0, many=1000))
SAMPLE = {"method": "sampling/createMessage", "params": {"maxTokens": 5}}
LISTEN = "subscriptions/listen"
ACK = "notifications/subscriptions/acknowledged"
TOOLS_CHANGED = "notifications/tools/list_changed"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "data" / "home"


def session(**more: Any) -> ScriptedClient:
    return ScriptedClient(b'{"sampling":{},"roots":{"listChanged":true}}', Era.LEGACY, **more)


async def seen(box: Box, method: str | None = None) -> list[dict[str, Any]]:
    """What the child was sent: all of it, or the messages of one method, "" for answers."""
    all_ = value_of(await box.call("seen"))
    return [m for m in all_ if method is None or m.get("method", "") == method]


async def until(box: Box, method: str, count: int = 1) -> list[dict[str, Any]]:
    while len(found := await seen(box, method)) < count:
        await asyncio.sleep(0.005)
    return found


# --- who a child is greeted for ----------------------------------------------------------------------------


async def test_the_child_of_a_session_is_greeted_as_the_client_greeted_us(home: Path) -> None:
    async with opened(python_server("talker.py", "dual"), home, client=session(version="2025-06-18")) as box:
        greeting = await box.upstream.greet()
        assert (greeting.era, greeting.version) == (Era.LEGACY, "2025-06-18")
        first, told, _ = await seen(box)
        assert (first["method"], told["method"]) == ("initialize", "notifications/initialized")
        assert first["params"]["protocolVersion"] == "2025-06-18"
        assert first["params"]["capabilities"] == {"sampling": {}, "roots": {"listChanged": True}}


async def test_the_shared_child_of_a_dual_server_is_modern_and_declares_nothing(home: Path) -> None:
    async with opened(python_server("talker.py", "dual"), home) as box:
        greeting = await box.upstream.greet()
        assert (greeting.era, greeting.speaks_legacy) == (Era.MODERN, True)
        caller = Caller(Era.MODERN, "2026-07-28", capabilities=b'{"sampling":{}}', log_level="debug")
        await box.call("seen", caller=caller)
        meta = (await seen(box, "tools/call"))[0]["params"]["_meta"]
        assert meta["io.modelcontextprotocol/clientCapabilities"] == {"sampling": {}}
        assert meta["io.modelcontextprotocol/logLevel"] == "debug"


async def test_a_session_can_have_a_modern_server_and_a_shared_child_a_legacy_one(home: Path) -> None:
    async with (
        opened(python_server("talker.py", "modern"), home, client=session()) as modern,
        opened(python_server("talker.py", "legacy"), home) as legacy,
    ):
        assert (await modern.upstream.greet()).era is Era.MODERN
        assert (await legacy.upstream.greet()).era is Era.LEGACY
        assert (await seen(legacy, "initialize"))[0]["params"]["capabilities"] == {}


async def test_one_that_refuses_without_an_id_is_not_waited_for(home: Path) -> None:
    limits = replace(QUICK, connect_timeout=3.0, probe_timeout=30.0)
    async with opened(python_server("talker.py", "legacy", "null-id"), home, limits) as box:
        assert (await box.upstream.greet()).era is Era.LEGACY


async def test_one_that_never_speaks_after_a_probe_is_greeted_the_old_way_next_time(home: Path) -> None:
    limits = replace(NO_PAUSE, connect_timeout=1.0, probe_timeout=0.1)
    async with opened(python_server("talker.py", "legacy", "mute-after-probe"), home, limits) as box:
        with pytest.raises(UpstreamTimeout):
            await box.upstream.greet()
        assert (await box.upstream.greet()).era is Era.LEGACY


async def test_many_children_of_one_server_start_at_once_in_one_home(home: Path, tmp_path: Path) -> None:
    server = python_server("talker.py", "legacy", f"pid-file={tmp_path / 'pids'}")
    async with opened(server, home) as shared:
        boxes = [opened(server, home, client=session()) for _ in range(6)]
        own = [await box.__aenter__() for box in boxes]
        found = await asyncio.gather(*(box.call("pid") for box in (shared, *own)))
        pids = {value_of(reply)[0] for reply in found}
        assert len(pids) == len(children_of_ours()) == 7
        assert sorted(pids) == sorted(map(int, (tmp_path / "pids").read_text().split()))
        assert {value_of(reply)[1] for reply in found} == {str(home)}
        for box in boxes:
            await box.__aexit__(None, None, None)
    assert children_of_ours() == []


# --- what a server asks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", [7, "seven", "7", -3, 2**53 - 1])
async def test_what_a_child_asks_during_one_call_is_asked_within_it(home: Path, id: Any) -> None:
    client = session()

    async def reply(question: Question) -> Reply:
        return Result(b'{"role": "assistant"}')

    client.reply = reply
    async with opened(python_server("talker.py"), home, client=client) as box:
        answer = value_of(await box.call("ask", {"id": id, **SAMPLE}, id=b'"mine"'))
        assert answer == {"jsonrpc": "2.0", "id": id, "result": {"role": "assistant"}}
        (asked, within), *rest = client.asked
        assert (asked.method, json.loads(asked.params), within) == (
            "sampling/createMessage",
            {"maxTokens": 5},
            b'"mine"',
        )
        assert rest == []


async def test_with_several_calls_nobody_can_tell_whose_question_it_is(home: Path) -> None:
    client = session()
    async with opened(python_server("talker.py"), home, client=client) as box:
        other = asyncio.create_task(box.call("never"))
        await box.call("ask", {"id": 1, **SAMPLE})
        other.cancel()
        await asyncio.wait([other])
        # The cancelled one may still be the one that asks.
        await box.call("ask", {"id": 2, **SAMPLE})
        assert [within for _, within in client.asked] == [None, None]


async def test_a_question_outside_of_any_call_is_asked_too(home: Path) -> None:
    client = session()
    async with opened(python_server("talker.py"), home, client=client) as box:
        await box.call("say", {"messages": [{"id": 1, "method": "roots/list"}], "late": True})
        await client.hears()
        (answer,) = await until(box, "")
        assert answer == {"jsonrpc": "2.0", "id": 1, "result": {}}
        assert client.asked == [(Question("roots/list", b"{}"), None)]


async def test_pings_are_answered_at_once_and_nobody_is_asked(home: Path) -> None:
    client = session()
    async with opened(python_server("talker.py"), home, client=client) as box:
        answer = value_of(await box.call("ask", {"id": "p", "method": "ping"}))
        assert answer == {"jsonrpc": "2.0", "id": "p", "result": {}}
        assert client.asked == []


async def test_the_gateway_itself_answers_no_question(home: Path) -> None:
    async with opened(python_server("talker.py"), home) as box:
        answer = value_of(await box.call("ask", {"id": 1, **SAMPLE}))
        assert answer["error"]["code"] == -32601


async def test_a_modern_server_must_not_ask_so_nobody_is_asked(home: Path) -> None:
    client = ScriptedClient()
    async with opened(python_server("talker.py", "modern"), home, client=client) as box:
        answer = value_of(await box.call("ask", {"id": 1, **SAMPLE}))
        assert answer["error"]["code"] == -32601
        assert value_of(await box.call("ask", {"id": 1, "method": "ping"}))["result"] == {}
        assert client.asked == []


async def test_a_question_that_the_server_takes_back_is_taken_back(home: Path) -> None:
    client = session()

    async def never(question: Question) -> Reply:
        await asyncio.sleep(60)
        return Result(b"{}")

    client.reply = never
    async with opened(python_server("talker.py"), home, client=client) as box:
        call = asyncio.create_task(box.call("ask", {"id": 5, **SAMPLE}))
        await client.hears()
        cancelled = {"method": "notifications/cancelled", "params": {"requestId": 5}}
        await box.call("say", {"messages": [cancelled]})
        while not client.cancelled:
            await asyncio.sleep(0.005)
        await box.call("release", {"id": 5})
        assert value_of(await call) == "released"
        assert await seen(box, "") == []
        assert client.told == box.notices == []


async def test_what_a_child_asks_and_says_is_free_of_its_secrets(home: Path) -> None:
    client = session()
    secret = "s3cr3t-of-the-server"
    async with opened(python_server("talker.py", env={"API_TOKEN": secret}), home, client=client) as box:
        await box.call(
            "ask", {"id": 1, "method": "elicitation/create", "params": {"message": f"is it {secret}"}}
        )
        assert json.loads(client.asked[0][0].params) == {"message": "is it [redacted]"}
        await box.call("say", {"messages": [{"method": "notifications/x", "params": {"of": secret}}]})
        assert json.loads(client.told[0].params) == {"of": "[redacted]"}


async def test_the_death_of_a_child_takes_its_questions_back(home: Path) -> None:
    client = session()

    async def never(question: Question) -> Reply:
        await asyncio.sleep(60)
        return Result(b"{}")

    client.reply = never
    async with opened(python_server("talker.py"), home, NO_PAUSE, client=client) as box:
        call = asyncio.create_task(box.call("ask", {"id": 1, **SAMPLE}))
        await client.hears()
        results = await asyncio.gather(call, box.call("crash"), return_exceptions=True)
        assert [type(error) for error in results] == [UpstreamLost, UpstreamLost]
        await asyncio.sleep(0)
        assert client.cancelled == 1


# --- what a server says --------------------------------------------------------------------------------------

LOG = {"method": "notifications/message", "params": {"level": "info", "data": "x"}}


@pytest.mark.parametrize(
    "method",
    [
        TOOLS_CHANGED,
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
        "notifications/elicitation/complete",
        "notifications/tasks/status",
        "notifications/of/a/vendor",
    ],
)
async def test_what_belongs_to_no_request_is_told_the_client(home: Path, method: str) -> None:
    client = session()
    async with opened(python_server("talker.py"), home, client=client) as box:
        await box.call("say", {"messages": [{"method": method, "params": {"uri": "a", "_meta": {"b": 1}}}]})
        assert client.told == [Notice(method, b'{"uri": "a", "_meta": {"b": 1}}')]
        assert box.notices == []


@pytest.mark.parametrize(
    "message",
    [
        {"method": "notifications/initialized"},
        {"method": "notifications/roots/list_changed"},
        {"method": "notifications/cancelled", "params": {"requestId": 3}},
        {"method": "notifications/progress", "params": {"progressToken": 3, "progress": 1}},
        {"method": TOOLS_CHANGED, "params": {"_meta": {SUBSCRIPTION: 99}}},
        {"method": TOOLS_CHANGED, "params": {"_meta": {SUBSCRIPTION: {"no": "id"}}}},
        {"method": "x", "params": [1]},
    ],
)
async def test_what_no_client_can_use_is_told_nobody(home: Path, message: dict[str, Any]) -> None:
    client = session()
    async with opened(python_server("talker.py"), home, client=client) as box:
        await box.call("say", {"messages": [{"method": "first"}, message]})
        assert [notice.method for notice in client.told] == ["first"]
        assert box.notices == []


async def test_a_notification_with_a_null_id_is_one(home: Path) -> None:
    client = session()
    async with opened(python_server("talker.py"), home, client=client) as box:
        await box.call("say", {"messages": [{"id": None, "method": TOOLS_CHANGED}]})
        assert [notice.method for notice in client.told] == [TOOLS_CHANGED]
        assert await seen(box, "") == []


async def test_a_log_message_goes_to_the_only_call_and_else_to_the_client(home: Path) -> None:
    client = session()
    async with opened(python_server("talker.py"), home, client=client) as box:
        await box.call("say", {"messages": [LOG]})
        assert ([n.method for n in box.notices], client.told) == (["notifications/message"], [])
        other = asyncio.create_task(box.call("never"))
        await box.call("say", {"messages": [LOG]})
        assert (len(box.notices), len(client.told)) == (1, 1)
        other.cancel()
        await asyncio.wait([other])
        await box.call("say", {"messages": [LOG]})  # the cancelled one may have said that
        assert (len(box.notices), len(client.told)) == (1, 2)


async def test_a_log_message_between_calls_goes_to_the_client(home: Path) -> None:
    client = session()
    async with opened(python_server("talker.py"), home, client=client) as box:
        await box.call("say", {"messages": [LOG], "late": True})
        await client.hears()
        assert (box.notices, len(client.told)) == ([], 1)


# --- subscriptions of a modern server ------------------------------------------------------------------------

WANTED = {"notifications": {"toolsListChanged": True}}
MODERN = Caller(Era.MODERN, "2026-07-28")


def changed(id: object = "LISTEN", **more: object) -> dict[str, Any]:
    return {"method": TOOLS_CHANGED, "params": {"_meta": {SUBSCRIPTION: id, **more}}}


async def listening(box: Box, count: int = 1) -> asyncio.Task[Reply]:
    task = asyncio.create_task(box.send(LISTEN, WANTED, MODERN))
    await until(box, LISTEN, count)
    return task


async def test_a_subscription_hears_its_own_and_nothing_else(home: Path) -> None:
    client = ScriptedClient()
    async with opened(python_server("talker.py", "modern"), home, client=client) as box:
        task = await listening(box)
        id = (await seen(box, LISTEN))[0]["id"]
        await box.call("say", {"messages": [changed(), changed(str(id), other=1), changed(id + 1000)]})
        assert box.notices == [
            Notice(ACK, b'{"notifications":{"toolsListChanged": true}}'),
            Notice(TOOLS_CHANGED, b"{}"),
            Notice(TOOLS_CHANGED, b'{"_meta":{"other":1}}'),
        ]
        assert client.told == []
        await box.call("say", {"messages": [{"method": TOOLS_CHANGED}, LOG]})
        assert ([n.method for n in box.notices[3:]], len(client.told)) == (["notifications/message"], 1)
        task.cancel()
        await asyncio.wait([task])
        assert (await until(box, "notifications/cancelled"))[0]["params"] == {"requestId": id}
        await box.call("say", {"messages": [changed()]})
        assert len(box.notices) == 4


async def test_two_subscriptions_are_told_apart(home: Path) -> None:
    async with opened(python_server("talker.py", "modern"), home) as box:
        first = await listening(box)
        box.notices.clear()
        others: list[Notice] = []
        wanted = replace(box, notices=others)
        second = await listening(wanted, 2)
        await box.call("say", {"messages": [changed()]})
        assert (box.notices, [n.method for n in others]) == ([], [ACK, TOOLS_CHANGED])
        for task in (first, second):
            task.cancel()
            await asyncio.wait([task])


@pytest.mark.parametrize(
    ("end", "reply"),
    [
        ({"id": "LISTEN", "result": {"resultType": "complete", "_meta": {SUBSCRIPTION: "LISTEN"}}}, None),
        ({"method": "notifications/cancelled", "params": {"requestId": "LISTEN"}}, Result(b"{}")),
        ({"id": "LISTEN", "error": {"code": -32603, "message": "no"}}, Fault(-32603, "no")),
    ],
)
async def test_a_server_ends_a_subscription_in_either_way(
    home: Path, end: dict[str, Any], reply: Reply | None
) -> None:
    async with opened(python_server("talker.py", "modern"), home) as box:
        task = await listening(box)
        await box.call("say", {"messages": [end]})
        assert await task == (reply or Result(b'{"resultType":"complete"}'))
        assert await seen(box, "notifications/cancelled") == []


async def test_a_subscription_ends_well_when_we_let_go(home: Path) -> None:
    async with opened(python_server("talker.py", "modern"), home) as box:
        task = await listening(box)
        await asyncio.wait_for(box.upstream.close(30.0), 10.0)
        assert await task == Result(b"{}")


async def test_a_call_is_not_a_subscription(home: Path) -> None:
    async with opened(python_server("talker.py", "modern"), home) as box:
        call = asyncio.create_task(box.call("never"))
        id = (await until(box, "tools/call", 2))[0]["id"]
        ends = {"method": "notifications/cancelled", "params": {"requestId": id}}
        await box.call("say", {"messages": [ends, changed(id)]})
        assert (call.done(), box.notices) == (False, [])
        call.cancel()
        await asyncio.wait([call])


# --- attention -----------------------------------------------------------------------------------------------


async def test_while_attended_a_modern_server_is_listened_to_also_after_a_restart(home: Path) -> None:
    client = ScriptedClient()
    async with opened(python_server("talker.py", "modern"), home, NO_PAUSE, client=client) as box:
        box.upstream.attend(True)
        assert box.upstream.state is State.IDLE  # nothing changes in what does not run
        for _ in range(2):
            (listen,) = await until(box, LISTEN)
            assert listen["params"]["notifications"] == {
                "toolsListChanged": True,
                "resourcesListChanged": True,
            }
            client.told.clear()
            await box.call("say", {"messages": [changed(kept=1)]})
            assert client.told == [Notice(TOOLS_CHANGED, b'{"_meta":{"kept":1}}')]
            assert box.upstream.status().in_flight == 0
            with pytest.raises(UpstreamLost):
                await box.call("crash")
        await until(box, LISTEN)
        box.upstream.attend(False)
        await until(box, "notifications/cancelled")
        box.upstream.attend(True)
        await until(box, LISTEN, 2)


async def test_nobody_listens_unasked_and_a_legacy_server_is_never_asked(home: Path) -> None:
    async with (
        opened(python_server("talker.py", "modern"), home) as modern,
        opened(python_server("talker.py", "legacy"), home, client=session()) as legacy,
    ):
        legacy.upstream.attend(True)
        for box in (modern, legacy):
            await box.call("seen")
            assert await seen(box, LISTEN) == []


async def test_a_server_that_is_attended_is_stopped_when_idle_all_the_same(home: Path) -> None:
    idle = IdlePolicy(adaptive=False, after=0.15)
    async with opened(python_server("talker.py", "modern", idle=idle), home) as box:
        box.upstream.attend(True)
        await until(box, LISTEN)
        while box.upstream.state is State.READY:
            await asyncio.sleep(0.01)
        assert box.upstream.state is State.IDLE
        await until(box, LISTEN)


# --- what lasts ------------------------------------------------------------------------------------------------


async def test_a_new_child_is_told_first_what_the_last_one_was_told_to_keep(home: Path) -> None:
    async with opened(python_server("talker.py"), home, NO_PAUSE, client=session()) as box:
        await box.send("logging/setLevel", {"level": "info"})
        await box.send("logging/setLevel", {"level": "debug"})
        for uri in ("a:1", "a:2", "a:3"):
            await box.send("resources/subscribe", {"uri": uri})
        await box.send("resources/unsubscribe", {"uri": "a:2"})
        with pytest.raises(UpstreamLost):
            await box.call("crash")
        told = [(m["method"], m.get("params")) for m in await seen(box)]
        assert told[2:] == [
            ("logging/setLevel", {"level": "debug"}),
            ("resources/subscribe", {"uri": "a:1"}),
            ("resources/subscribe", {"uri": "a:3"}),
            ("tools/call", {"name": "seen", "arguments": {}}),
        ]


async def test_what_a_server_refused_is_not_kept(home: Path) -> None:
    async with opened(python_server("server.py"), home, NO_PAUSE, client=session()) as box:
        assert isinstance(await box.send("resources/subscribe", {"uri": "a:1"}), Fault)
        assert box.client.standing.calls() == ()


async def test_a_child_that_watches_something_is_not_idle(home: Path) -> None:
    idle = IdlePolicy(adaptive=False, after=0.1)
    async with opened(python_server("talker.py", idle=idle), home, client=session()) as box:
        pid = value_of(await box.call("pid"))[0]
        await box.send("resources/subscribe", {"uri": "a:1"})
        await asyncio.sleep(0.4)
        assert box.upstream.status().pid == pid
        await box.send("resources/unsubscribe", {"uri": "a:1"})
        while box.upstream.state is State.READY:
            await asyncio.sleep(0.01)
        assert box.upstream.state is State.IDLE


async def test_a_child_that_waits_for_its_client_is_not_idle(home: Path) -> None:
    client = session()
    answered = asyncio.Event()

    async def late(question: Question) -> Reply:
        await answered.wait()
        return Result(b"{}")

    client.reply = late
    idle = IdlePolicy(adaptive=False, after=0.1)
    async with opened(python_server("talker.py", idle=idle), home, client=client) as box:
        await box.call("say", {"messages": [{"id": 1, **SAMPLE}]})
        pid = box.upstream.status().pid
        await asyncio.sleep(0.4)
        assert pid is not None
        assert box.upstream.status().pid == pid
        answered.set()
        while box.upstream.state is State.READY:
            await asyncio.sleep(0.01)


# --- what the client says ------------------------------------------------------------------------------------


async def test_a_child_hears_what_its_client_says(home: Path) -> None:
    async with opened(python_server("talker.py"), home, client=session()) as box:
        await box.upstream.relay(Notice("notifications/roots/list_changed", b"{}"))
        assert box.upstream.state is State.IDLE  # it need not be started for that
        await box.upstream.greet()
        await box.upstream.relay(Notice("notifications/roots/list_changed", b'{\n"_meta":{"a":1}}'))
        assert (await until(box, "notifications/roots/list_changed"))[0]["params"] == {"_meta": {"a": 1}}


async def test_a_modern_server_is_told_nothing_of_a_session(home: Path) -> None:
    async with opened(python_server("talker.py", "modern"), home, client=session()) as box:
        await box.upstream.greet()
        await box.upstream.relay(Notice("notifications/roots/list_changed", b"{}"))
        assert [m["method"] for m in await seen(box)][-1] == "tools/call"
        assert await seen(box, "notifications/roots/list_changed") == []
