from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from coatcheck.core.backoff import BackoffRules
from coatcheck.errors import (
    UpstreamBadReply,
    UpstreamError,
    UpstreamLost,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from coatcheck.model.call import Call, Fault, Kind, Result, Target
from coatcheck.model.decision import Permit
from coatcheck.model.era import Era
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, IdlePolicy, Server, StdioReach
from coatcheck.ports import Ask, State, Upstream
from coatcheck.upstream.stdio.upstream import StdioUpstream
from doubles.clients import gateway_itself
from upstream.stdio_permits import (
    CALLER,
    QUICK,
    QUICK_CHILD,
    Box,
    children_of_ours,
    command_server,
    is_alive,
    open_fds,
    opened,
    permit,
    python_server,
    text_of,
)
from upstream.talking import until

NO_PAUSE = replace(QUICK, backoff=BackoffRules(healthy=0.0, many=1000))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "data" / "home"


def methods(seen: list[dict[str, Any]]) -> list[str]:
    return [message.get("method", "(reply)") for message in seen]


# --- eras ------------------------------------------------------------------------------------------------


async def test_a_legacy_server_is_probed_then_greeted_then_called(home: Path) -> None:
    async with opened(python_server("server.py", "legacy"), home) as box:
        assert box.upstream.status().state is State.IDLE
        greeting = await box.upstream.greet()
        assert (greeting.era, greeting.version, greeting.instructions) == (
            Era.LEGACY,
            "2025-11-25",
            "be kind",
        )
        seen = await box.value("seen")
        assert methods(seen) == ["server/discover", "initialize", "notifications/initialized", "tools/call"]
        assert box.upstream.status().state is State.READY
        assert await box.value("echo", {"n": 1}) == {"name": "echo", "arguments": {"n": 1}}


@pytest.mark.parametrize("era", ["modern", "dual"])
async def test_a_modern_server_is_probed_and_called_with_its_era_stamped(home: Path, era: str) -> None:
    async with opened(python_server("server.py", era), home) as box:
        greeting = await box.upstream.greet()
        assert (greeting.era, greeting.version) == (Era.MODERN, "2026-07-28")
        seen = await box.value("seen")
        assert methods(seen) == ["server/discover", "tools/call"]
        meta = seen[1]["params"]["_meta"]
        assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"


@pytest.mark.parametrize(
    ("era", "found"), [("legacy", Era.LEGACY), ("modern", Era.MODERN), ("dual", Era.LEGACY)]
)
async def test_a_server_too_slow_for_the_probe_is_understood(home: Path, era: str, found: Era) -> None:
    limits = replace(QUICK, probe_timeout=0.1)
    async with opened(python_server("server.py", era, "slow=0.35"), home, limits) as box:
        assert (await box.upstream.greet()).era is found
        assert json.loads(await box.text("echo", {"n": 1}))["arguments"] == {"n": 1}


async def test_one_that_dies_of_the_probe_is_greeted_the_old_way_and_that_is_remembered(home: Path) -> None:
    async with opened(python_server("server.py", "legacy", "die-when-probed"), home, NO_PAUSE) as box:
        assert (await box.upstream.greet()).era is Era.LEGACY
        with pytest.raises(UpstreamLost):
            await box.call("crash")
        assert methods(await box.value("seen"))[0] == "initialize"


@pytest.mark.parametrize("option", ["refuse-all", "bad-version"])
async def test_one_that_speaks_no_version_of_ours_is_refused(home: Path, option: str) -> None:
    async with opened(python_server("server.py", "legacy", option), home) as box:
        with pytest.raises(UpstreamBadReply) as caught:
            await box.call("echo")
        assert "version" in caught.value.message
        assert (caught.value.detail == "initialize was answered with error -32022") == (
            option == "refuse-all"
        )
        assert not caught.value.reached
        assert box.upstream.status().pid is None


async def test_the_era_is_found_anew_after_a_restart(home: Path) -> None:
    async with opened(python_server("server.py", "modern"), home, NO_PAUSE) as box:
        with pytest.raises(UpstreamLost):
            await box.call("crash")
        assert methods(await box.value("seen")) == ["server/discover", "tools/call"]


# --- requests and answers --------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_many_callers_share_one_child_and_each_gets_its_own_answer(loop: Any, home: Path) -> None:
    async def body() -> None:
        async with opened(python_server("server.py"), home) as box:
            answers = await asyncio.gather(*(box.value("echo", {"nonce": n}) for n in range(200)))
            assert [answer["arguments"]["nonce"] for answer in answers] == list(range(200))
            assert len(children_of_ours()) == 1
            assert box.upstream.status().in_flight == 0

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(body())
    assert children_of_ours() == []


async def test_what_was_permitted_is_what_is_sent(home: Path) -> None:
    async with opened(python_server("server.py"), home) as box:
        server = box.upstream.server
        raw = b'{\n "big":123456789012345678901234567890,\r\n\t"text":"a\\nb\xc3\xa4","f":1.10}'
        params = {"name": b'"echo"', "arguments": raw, "extra": b"[1, 2]"}
        made = permit(server, "echo")
        reply = await box.upstream.forward(
            Permit(Call(b"1", "tools/call", params), made.target, made.principal, server, "", ""),
            CALLER,
            print,
        )
        got = json.loads(text_of(reply), parse_float=str)
        assert got["arguments"] == {"big": 123456789012345678901234567890, "text": "a\nbä", "f": "1.1"}
        assert got["extra"] == [1, 2]


async def test_a_fault_of_the_server_is_its_answer(home: Path) -> None:
    async with opened(python_server("server.py"), home) as box:
        assert await box.call("nope") == Fault(-32602, "Unknown tool: nope")


async def test_a_megabyte_of_arguments_and_of_answer_pass(home: Path) -> None:
    async with opened(python_server("server.py"), home) as box:
        assert len((await box.value("echo", {"x": "y" * 2**20}))["arguments"]["x"]) == 2**20
        assert len(await box.text("big", {"n": 5 * 2**20})) == 5 * 2**20


@pytest.mark.parametrize("token", ['"tok\\u00e9n"', "7", "12345678901234567890", '"1"'])
async def test_progress_comes_back_under_the_callers_token_as_it_was_written(home: Path, token: str) -> None:
    async with opened(python_server("server.py"), home) as box:
        other = asyncio.create_task(box.call("sleep", {"s": 0.1}, token='"other"'))
        await box.call("progress", {"n": 3}, token=token)
        assert [notice.method for notice in box.notices] == ["notifications/progress"] * 3
        for step, notice in enumerate(box.notices):
            assert notice.params.startswith(b'{"progressToken":' + token.encode() + b',"progress":%d' % step)
        await other
        seen = await box.value("seen")
        sent = next(m for m in seen if m.get("params", {}).get("name") == "progress")
        assert sent["params"]["_meta"]["progressToken"] == sent["id"]


async def test_who_asked_for_no_progress_gets_none(home: Path) -> None:
    async with opened(python_server("server.py"), home) as box:
        assert text_of(await box.call("progress")) == "done"
        assert box.notices == []


async def test_a_log_message_belongs_to_the_only_call_or_to_nobody(home: Path) -> None:
    async with opened(python_server("server.py"), home) as box:
        await box.call("log")
        assert [notice.method for notice in box.notices] == ["notifications/message"]
        other = asyncio.create_task(box.call("never"))
        await box.call("log")
        assert len(box.notices) == 1
        other.cancel()
        await asyncio.wait([other])


async def test_what_the_server_asks_of_us_is_answered(home: Path) -> None:
    async with opened(python_server("server.py"), home) as box:
        ping, sampling, roots = await box.value("ask-back")
        assert ping == {"jsonrpc": "2.0", "id": "mine-ping", "result": {}}
        assert (sampling["id"], sampling["error"]["code"]) == ("mine-sampling/createMessage", -32601)
        assert roots["error"]["code"] == -32601


async def test_answers_to_nothing_are_passed_over(home: Path) -> None:
    async with opened(python_server("server.py"), home) as box:
        assert await box.text("wrong-id") == "right"
        assert await box.value("echo", {"n": 2}) == {"name": "echo", "arguments": {"n": 2}}


async def test_lines_that_are_no_messages_are_passed_over_and_shown_to_the_operator(home: Path) -> None:
    async with opened(python_server("server.py", "legacy", "banner"), home) as box:
        assert await box.text("junk") == "ok"
        shown = box.upstream.status().stderr
        assert shown[:2] == (
            "(stdout, no message) Welcome to the test server",
            "(stdout, no message) listening on stdio",
        )
        assert shown[2] == "(stdout, no message) hello world\ufffd"
        assert shown[3:5] == ("(stdout, no message) [1]", '(stdout, no message) "x"')
        assert shown[5] == "(stdout, no message) " + "z" * 200


@pytest.mark.parametrize(
    "line",
    [
        '{"jsonrpc":"2.0","id":ID,"result":5}',
        '{"jsonrpc":"2.0","id":ID,"result":[{}]}',
        '{"jsonrpc":"2.0","id":ID,"result":null}',
        '{"jsonrpc":"2.0","id":ID}',
        '{"jsonrpc":"1.0","id":ID,"result":{}}',
        '{"jsonrpc":"2.0","id":ID,"error":"no"}',
        '{"jsonrpc":"2.0","id":ID,"error":{"code":"x","message":"y"}}',
        '{"jsonrpc":"2.0","id":ID,"result":{"a":"\xff"}}',
        '{"jsonrpc":"2.0","id":ID,"result":{"a":1e999}}',
    ],
)
async def test_an_answer_that_is_none_fails_its_own_call(home: Path, line: str) -> None:
    async with opened(python_server("server.py"), home) as box:
        await box.call("raw", {"line": '{"jsonrpc":"2.0","id":ID,"result":{"content":[]}}'})
        other = asyncio.create_task(box.text("sleep", {"s": 0.1}))
        with pytest.raises(UpstreamBadReply) as caught:
            await box.call("raw", {"line": line})
        assert caught.value.reached
        assert await other == "slept"
        assert box.upstream.status().restarts == 0


async def test_an_answer_over_the_limit_ends_the_child_and_the_next_call_starts_another(home: Path) -> None:
    limits = replace(NO_PAUSE, child=replace(QUICK_CHILD, line_bytes=2**20))
    async with opened(python_server("server.py"), home, limits) as box:
        assert len(await box.text("big", {"n": 2**20 - 200})) == 2**20 - 200
        for tool, arguments in (("big", {"n": 2**20}), ("endless", {"mib": 64})):
            with pytest.raises(UpstreamBadReply) as caught:
                await box.call(tool, arguments)
            assert caught.value.reached
            assert "too large" in caught.value.message
        assert await box.text("echo")
        assert box.upstream.status().restarts == 2


async def test_a_cancelled_call_is_cancelled_at_the_server_and_its_late_answer_dropped(home: Path) -> None:
    async with opened(python_server("server.py"), home) as box:
        await box.upstream.greet()
        task = asyncio.create_task(box.call("sleep", {"s": 0.1}))
        await box.call("echo")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await box.call("sleep", {"s": 0.2})
        seen = await box.value("seen")
        slept = next(m for m in seen if m.get("params", {}).get("name") == "sleep")
        told = [m for m in seen if m.get("method") == "notifications/cancelled"]
        assert [m["params"] for m in told] == [{"requestId": slept["id"]}]
        assert box.upstream.status().in_flight == 0


async def test_a_deaf_child_fails_who_writes_too_much_and_nobody_else(home: Path) -> None:
    limits = replace(NO_PAUSE, child=replace(QUICK_CHILD, backlog_bytes=2**20))
    async with opened(python_server("server.py"), home, limits) as box:
        assert await box.text("deaf", {"s": 0.5}) == "will not listen"
        waiting = asyncio.create_task(box.text("echo", {"x": "y" * 2**20}))
        await asyncio.sleep(0)
        with pytest.raises(UpstreamUnreachable) as caught:
            await box.call("echo", {"x": "z" * 2**19})
        assert "stopped reading" in caught.value.message
        assert not caught.value.reached
        assert len(json.loads(await waiting)["arguments"]["x"]) == 2**20
        assert await box.text("echo")


async def test_ten_megabytes_of_stderr_are_drained_and_the_last_kept(home: Path) -> None:
    async with opened(python_server("server.py"), home) as box:
        assert await box.text("flood-stderr", {"mib": 10}) == "flooded"
        await until(lambda: box.upstream.status().stderr[-1].startswith("10239 e"))
        shown = box.upstream.status().stderr
        assert sum(map(len, shown)) <= 64 * 1024
        assert 50 <= len(shown) <= 64


async def test_our_own_requests(home: Path) -> None:
    async with opened(python_server("server.py", "modern"), home) as box:
        reply = await box.upstream.ask(Ask.TOOLS)
        assert isinstance(reply, Result)
        assert set(json.loads(reply.raw)["asked"]) == {"_meta"}
        reply = await box.upstream.ask(Ask.TOOLS, 'next"')
        assert isinstance(reply, Result)
        assert json.loads(reply.raw)["asked"]["cursor"] == 'next"'
        assert isinstance(await box.upstream.ask(Ask.PROMPTS), Fault)


async def test_our_own_requests_do_not_wait_for_ever(home: Path) -> None:
    async with opened(python_server("server.py"), home, replace(QUICK, ask_timeout=0.1)) as box:
        await box.upstream.ask(Ask.TOOLS)
        await box.call("deaf", {"s": 0.4})
        with pytest.raises(UpstreamTimeout) as caught:
            await box.upstream.ask(Ask.TOOLS)
        assert caught.value.message == "box did not answer tools/list within 0.1 s"


# --- start -----------------------------------------------------------------------------------------------


async def test_a_slow_start_holds_up_nobody_else(home: Path) -> None:
    limits = replace(QUICK, probe_timeout=5.0)
    async with (
        opened(python_server("server.py", "legacy", "slow=0.6"), home / "slow", limits) as slow,
        opened(python_server("server.py"), home / "fast") as fast,
    ):
        order: list[str] = []

        async def call(box: Box, name: str) -> None:
            await box.call("echo")
            order.append(name)

        tasks = [asyncio.create_task(call(slow, "slow")) for _ in range(5)]
        await asyncio.sleep(0.05)
        assert slow.upstream.status().state is State.STARTING
        assert slow.upstream.status().in_flight == 5
        await call(fast, "fast")
        await asyncio.gather(*tasks)
        assert order == ["fast"] + ["slow"] * 5
        assert len(children_of_ours()) == 2


async def test_a_caller_who_gives_up_does_not_stop_the_start_for_others(home: Path) -> None:
    async with opened(python_server("server.py", "legacy", "slow=0.4"), home) as box:
        first, second = (asyncio.create_task(box.text("echo")) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
        assert await second
        assert first.cancelled()
        assert methods(await box.value("seen")).count("tools/call") == 2


async def test_one_that_never_answers_is_given_up_and_ended(home: Path) -> None:
    limits = replace(QUICK, connect_timeout=0.5, probe_timeout=0.1)
    async with opened(python_server("server.py", "legacy", "mute"), home, limits) as box:
        results = await asyncio.gather(box.call("echo"), box.upstream.greet(), return_exceptions=True)
        for error in results:
            assert isinstance(error, UpstreamTimeout)
            assert error.message == "box did not start within 0.5 s"
            assert not error.reached
        assert box.upstream.status().state is State.FAILING
    assert children_of_ours() == []


async def test_a_missing_command_is_told_to_the_operator_with_its_fix(home: Path) -> None:
    async with opened(command_server("no-such-thing"), home) as box:
        with pytest.raises(UpstreamUnreachable) as caught:
            await box.call("echo")
        assert caught.value.message == "box could not be started: its command was not found"
        status = box.upstream.status()
        assert "'no-such-thing' is in no directory of PATH=" in status.last_error
        assert "install it" in status.last_error


async def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    async with opened(python_server("server.py"), tmp_path / "file" / "home") as box:
        with pytest.raises(UpstreamUnreachable) as caught:
            await box.call("echo")
        assert str(tmp_path) not in caught.value.message
        assert str(tmp_path / "file" / "home") in caught.value.detail


async def test_the_child_gets_a_minimal_environment_and_a_home_of_its_own(home: Path, tmp_path: Path) -> None:
    server = python_server("server.py", env={"MODE": "strict", "TZ": "Asia/Tokyo"}, cwd=str(tmp_path))
    ambient = {"COATCHECK_KEY": "the key", "AWS_SECRET_ACCESS_KEY": "s", "TZ": "UTC", "LC_TIME": "C"}
    async with opened(server, home, ambient=ambient) as box:
        found = await box.value("surroundings")
    assert found["env"] == {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LC_TIME": "C",
        "MODE": "strict",
        "TZ": "Asia/Tokyo",
    }
    assert found["fds"] == [0, 1, 2]
    assert found["core"] == [0, 0]
    assert found["leads"] is True
    assert found["cwd"] == str(tmp_path.resolve())
    assert found["home_mode"] == "0o700"
    assert home.is_dir()


async def test_secrets_of_the_environment_never_come_back(home: Path) -> None:
    secret = "s3cr3t-of-the-server"
    server = python_server("server.py", env={"API_TOKEN": secret, "NODE_ENV": "production"})
    async with opened(server, home) as box:
        found = await box.value("surroundings")
        assert found["env"]["API_TOKEN"] == "[redacted]"
        assert found["env"]["NODE_ENV"] == "production"
        await box.call("progress", {"n": 1, "note": f"with {secret}"}, token="1")
        assert json.loads(box.notices[0].params)["note"] == "with [redacted]"
        await box.call("raw", {"line": f"token is {secret}\n" + '{"jsonrpc":"2.0","id":ID,"result":{}}'})
        assert box.upstream.status().stderr == ("(stdout, no message) token is [redacted]",)
        assert secret not in repr(box.upstream.status())


async def test_material_that_is_hushed_never_comes_back_though_nothing_given_holds_it(home: Path) -> None:
    former = "Bearer the-former-credential"
    server = python_server("server.py", env={"NODE_ENV": "production"})
    assert isinstance(server.reach, StdioReach)
    hushed = replace(server, reach=replace(server.reach, hush=(Secret(former),)))
    assert hushed == server
    async with opened(hushed, home) as box:
        for said in (former, "the-former-credential"):
            await box.call("progress", {"n": 1, "note": f"with {said}"}, token="1")
            note = json.loads(box.notices[-1].params)["note"]
            assert note == f"with {said}".replace("the-former-credential", "[redacted]")


def test_only_stdio_servers_are_taken(home: Path) -> None:
    server = replace(python_server("server.py"), reach=HttpReach(Secret("http://x/"), "http://x/"))
    with pytest.raises(TypeError):
        opened_one(server, home)


def opened_one(server: Server, home: Path) -> Upstream:
    from upstream.stdio_permits import RealClock

    return StdioUpstream(server, client=gateway_itself(), clock=RealClock(), home=home, ambient={})


# --- death -----------------------------------------------------------------------------------------------


async def test_a_death_fails_the_calls_in_flight_and_the_next_call_starts_another(home: Path) -> None:
    limits = replace(QUICK, backoff=BackoffRules(healthy=0.0))
    async with opened(
        python_server("server.py", env={"API_TOKEN": "s3cr3t-of-the-server"}), home, limits
    ) as box:
        pid = (await box.value("surroundings"))["pid"]
        waiting = [asyncio.create_task(box.call("never")) for _ in range(3)]
        await box.call("echo")
        results = await asyncio.gather(box.call("crash"), *waiting, return_exceptions=True)
        for error in results:
            assert isinstance(error, UpstreamLost)
            assert error.reached
            assert error.message == "box stopped before it answered"
            assert error.detail == "box exited with code 3"
        status = box.upstream.status()
        assert (status.state, status.pid, status.in_flight) == (State.FAILING, None, 0)
        assert status.last_error == "box exited with code 3"
        assert status.stderr == ("the last words",)
        assert (await box.value("surroundings"))["pid"] != pid
        status = box.upstream.status()
        assert (status.state, status.restarts) == (State.READY, 1)


async def test_an_answer_given_with_the_last_breath_arrives(home: Path) -> None:
    async with opened(python_server("server.py"), home, NO_PAUSE) as box:
        for _ in range(5):
            assert await box.text("answer-and-exit") == "bye"
            while box.upstream.status().state is State.READY:
                await asyncio.sleep(0.005)
        assert box.upstream.status().restarts == 4


async def test_one_that_keeps_dying_is_left_alone_for_a_while(home: Path) -> None:
    limits = replace(QUICK, longest_wait=0.05, backoff=BackoffRules(least=0.01, most=40.0, many=4))
    async with opened(python_server("crasher.py"), home, limits) as box:
        kinds: list[str] = []
        for _ in range(6):
            with pytest.raises(UpstreamUnreachable) as caught:
                await box.call("echo")
            kinds.append(caught.value.message)
        assert kinds[:4] == ["box stopped while it was starting"] * 4
        assert kinds[4] == kinds[5] == "box keeps failing; it is tried again in 40 s: see `coatcheck doctor`"
        status = box.upstream.status()
        assert (status.state, status.restarts) == (State.FAILING, 3)
        assert "box exited with code 7" in status.last_error
        assert set(status.stderr) == {"no such configuration"}


async def test_callers_are_told_neither_last_words_nor_secrets(home: Path) -> None:
    server = python_server("crasher.py", "argument-secret", env={"API_TOKEN": "s3cr3t-of-the-server"})
    async with opened(server, home) as box:
        with pytest.raises(UpstreamError) as caught:
            await box.call("echo")
        for said in (
            caught.value.message,
            caught.value.detail,
            caught.value.fix,
            box.upstream.status().last_error,
        ):
            assert "configuration" not in said
            assert "s3cr3t" not in said
            assert "argument-secret" not in said


async def test_crash_cycles_leave_no_child_and_no_descriptor(home: Path) -> None:
    before = open_fds(), children_of_ours()
    async with opened(python_server("server.py"), home, NO_PAUSE) as box:
        for cycle in range(25):
            with pytest.raises(UpstreamLost):
                await box.call("crash", {"code": cycle})
        assert box.upstream.status().restarts == 24
    assert (open_fds(), children_of_ours()) == before


async def test_a_kill_from_outside_is_a_death_like_any_other(home: Path) -> None:
    async with opened(python_server("server.py"), home, NO_PAUSE) as box:
        call = asyncio.create_task(box.call("never"))
        pid = (await box.value("surroundings"))["pid"]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(UpstreamLost) as caught:
            await call
        assert caught.value.detail == "box was ended by SIGKILL"
        assert await box.text("echo")


# --- idleness and close ----------------------------------------------------------------------------------


async def test_an_idle_server_is_stopped_and_the_next_call_starts_it_again(home: Path) -> None:
    idle = IdlePolicy(adaptive=False, after=0.2)
    async with opened(python_server("server.py", idle=idle), home) as box:
        pid = (await box.value("surroundings"))["pid"]
        while box.upstream.status().state is State.READY:
            await asyncio.sleep(0.01)
        status = box.upstream.status()
        assert (status.state, status.pid, status.last_error) == (State.IDLE, None, "")
        assert (await box.value("surroundings"))["pid"] != pid
        assert not is_alive(pid)
        assert box.upstream.status().restarts == 0


async def test_a_server_with_a_call_in_flight_is_not_idle(home: Path) -> None:
    idle = IdlePolicy(adaptive=True, least=0.1, most=0.1)
    async with opened(python_server("server.py", idle=idle), home) as box:
        pid = (await box.value("surroundings"))["pid"]
        assert await box.text("sleep", {"s": 0.5}) == "slept"
        assert box.upstream.status().pid == pid


async def test_close_lets_calls_end_and_takes_no_new_ones(home: Path) -> None:
    async with opened(python_server("server.py"), home) as box:
        await box.upstream.greet()
        call = asyncio.create_task(box.text("sleep", {"s": 0.2}))
        await asyncio.sleep(0)
        closing = asyncio.create_task(box.upstream.close(5.0))
        await asyncio.sleep(0)
        with pytest.raises(UpstreamUnreachable) as caught:
            await box.call("echo")
        assert not caught.value.reached
        assert await call == "slept"
        await closing
        assert box.upstream.status().state is State.STOPPED
        assert children_of_ours() == []


async def test_close_waits_no_longer_than_it_was_told(home: Path) -> None:
    async with opened(python_server("server.py"), home) as box:
        await box.upstream.greet()
        call = asyncio.create_task(box.text("never"))
        await asyncio.sleep(0)
        await asyncio.gather(box.upstream.close(0.1), box.upstream.close(0.1))
        with pytest.raises(UpstreamLost):
            await call
        assert children_of_ours() == []


async def test_close_ends_a_start_under_way(home: Path) -> None:
    async with opened(python_server("server.py", "legacy", "mute"), home) as box:
        call = asyncio.create_task(box.text("echo"))
        await asyncio.sleep(0.1)
        await box.upstream.close(0.0)
        with pytest.raises(UpstreamUnreachable):
            await call
        assert children_of_ours() == []


async def test_a_call_that_waits_for_the_start_is_in_flight_when_a_close_comes(home: Path) -> None:
    async with opened(python_server("server.py", "legacy", "slow=0.2"), home) as box:
        call = asyncio.create_task(box.text("echo"))
        await asyncio.sleep(0)
        await asyncio.gather(box.upstream.close(5.0), call)
        assert call.result()


async def test_a_stubborn_child_does_not_hang_the_close(home: Path) -> None:
    async with opened(python_server("stubborn.py"), home) as box:
        pid = (await box.value("surroundings"))["pid"]
        await box.upstream.close(0.0)
        assert not is_alive(pid)


def test_it_is_an_upstream(home: Path) -> None:
    upstream: Upstream = opened_one(python_server("server.py"), home)
    assert upstream.server.name == "box"
    assert Target(Kind.TOOL, "x")
