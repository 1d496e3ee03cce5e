"""The state of a request with several rounds is its principal's alone; the server gets back what it gave."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from coatcheck.core.sealing.states import Seal
from coatcheck.core.wire.messages import raw_of
from coatcheck.model.call import Call, Caller, Fault, Kind, Reply, Result, Target
from coatcheck.model.decision import Permit
from coatcheck.model.era import Era
from coatcheck.model.record import Outcome, Verdict
from coatcheck.operations.calling.states import KEPT_SECONDS, States, asks_for_input
from coatcheck.operations.records import Asked
from coatcheck.ports import Ask
from doubles.bench import ALICE, GIT, SENTRY, Bench, a_call, a_principal, asked_by
from doubles.clock import HandClock
from doubles.entropy import CountingEntropy
from doubles.upstreams import ScriptedUpstream

FIND = Target(Kind.TOOL, "find")
STATE = 'opaque "state" \u00e9'
MODERN = Caller(Era.MODERN, "2026-07-28", capabilities=b'{"elicitation":{}}')
ASKING = Result(
    b'{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}},"requestState":%b}'
    % raw_of(STATE)
)


OTHER_CALLS: dict[str, dict[str, Any]] = {
    "method": {"method": "prompts/get"},
    "arguments": {"arguments": b'{"amount":1}'},
}


def modern(asked: Asked = ALICE) -> Asked:
    return replace(asked, caller=MODERN)


def retry(state: Any, tool: str = "find") -> Call:
    return Call(b"8", "tools/call", {"name": raw_of(tool), "requestState": raw_of(state)})


def states() -> tuple[States, HandClock]:
    clock = HandClock()
    return States(Seal(bytes(32)), clock, CountingEntropy()), clock


def sealed_of(result: Result | None) -> str:
    assert result is not None
    state = json.loads(result.raw)["requestState"]
    assert isinstance(state, str)
    return state


def test_the_server_gets_back_exactly_what_it_gave() -> None:
    kept, _ = states()
    sealed = sealed_of(kept.seal(ASKING, a_call("find"), ALICE.principal, SENTRY, FIND))
    assert "opaque" not in sealed
    opened = kept.open(retry(sealed), ALICE.principal, SENTRY, FIND)
    assert isinstance(opened, Call)
    assert json.loads(opened.params["requestState"]) == STATE
    assert opened.params["name"] == b'"find"'


@pytest.mark.parametrize(
    "case", ["subject", "grant", "server", "tool", "method", "arguments", "late", "changed", "number"]
)
def test_a_state_is_good_for_whom_and_what_it_was_given(case: str) -> None:
    kept, clock = states()
    sealed = sealed_of(kept.seal(ASKING, a_call("find"), ALICE.principal, SENTRY, FIND))
    assert isinstance(kept.open(retry(sealed), ALICE.principal, SENTRY, FIND), Call)
    who, server, target, call = ALICE.principal, SENTRY, FIND, retry(sealed)
    if case == "subject":
        who = replace(who, subject="mallory")
    elif case == "grant":
        who = replace(who, grant_id="file-other")
    elif case == "server":
        server = GIT
    elif case == "tool":
        target = Target(Kind.TOOL, "other")
    elif case in OTHER_CALLS:
        other = OTHER_CALLS[case]
        call = replace(call, method=other.get("method", call.method), params={**call.params, **other})
    elif case == "late":
        clock.advance(KEPT_SECONDS + 1)
    elif case == "changed":
        call = retry(sealed + "-TAMPERED")
    else:
        call = retry(7)
    refused = kept.open(call, who, server, target)
    assert isinstance(refused, Fault)
    assert refused.code == -32602


def test_arguments_may_be_written_in_another_order_and_say_the_same() -> None:
    """Limits count what each round says: a state must not stand for other arguments than it was given for."""
    kept, _ = states()

    def written(raw: bytes, state: str = "") -> Call:
        more = {"requestState": raw_of(state)} if state else {}
        return Call(b"8", "tools/call", {"name": b'"find"', "arguments": raw, **more})

    first = '{"amount":1.50,"to":{"b":[1,2],"a":"\u00e9"},"big":100000000000000000000000000000}'.encode()
    sealed = sealed_of(kept.seal(ASKING, written(first), ALICE.principal, SENTRY, FIND))
    same = b'{"big": 100000000000000000000000000000, "to": {"a": "\\u00e9", "b": [1, 2]}, "amount": 1.50}'
    for raw in (first, same):
        assert isinstance(kept.open(written(raw, sealed), ALICE.principal, SENTRY, FIND), Call)
    for one, other in (
        (b"1.50", b"0.01"),
        (b"1,2", b"2,1"),
        (b'"amount"', b'"Amount"'),
        (b"1.50", b'"1.50"'),
    ):
        changed = written(first.replace(one, other), sealed)
        assert isinstance(kept.open(changed, ALICE.principal, SENTRY, FIND), Fault)


def test_a_call_without_state_is_left_alone_and_so_is_a_result_without() -> None:
    kept, _ = states()
    call = a_call("find")
    assert kept.open(call, ALICE.principal, SENTRY, FIND) is call
    bare = Result(b'{"resultType":"input_required","inputRequests":{}}')
    assert kept.seal(bare, call, ALICE.principal, SENTRY, FIND) is bare
    odd = Result(b'{"resultType":"input_required","requestState":7}')
    assert kept.seal(odd, call, ALICE.principal, SENTRY, FIND) is None


@pytest.mark.parametrize(
    ("raw", "asks"),
    [
        (b'{"resultType":"input_required"}', True),
        (b'{"resultType":"complete","content":["input_required"]}', False),
        (b'{"content":[]}', False),
        (b'{"_meta":{"resultType":"input_required"}}', False),
    ],
)
def test_which_results_ask_for_input(raw: bytes, asks: bool) -> None:
    assert asks_for_input(Result(raw)) is asks


# --- through a call -----------------------------------------------------------------------------------------


def a_bench() -> tuple[Bench, ScriptedUpstream]:
    bench = Bench(SENTRY)
    upstream = bench.upstreams.of("sentry")
    upstream.offer(Ask.TOOLS, ["find"])

    async def answer(permit: Permit) -> Reply:
        return Result(b'{"content":[]}') if "requestState" in permit.call.params else ASKING

    upstream.answer = answer
    return bench, upstream


async def test_two_rounds_through_the_gateway() -> None:
    bench, upstream = a_bench()
    first = await bench.perform(asked=modern())
    assert isinstance(first.reply, Result)
    assert bench.entries[0].settlement is not None
    assert bench.entries[0].settlement.detail == "input required"
    second = await bench.perform(retry(sealed_of(first.reply)), asked=modern())
    assert second.reply == Result(b'{"content":[]}')
    assert json.loads(upstream.forwarded[1].call.params["requestState"]) == STATE


async def test_another_principals_state_reaches_no_server_and_is_on_record() -> None:
    bench, upstream = a_bench()
    first = await bench.perform(asked=modern())
    assert isinstance(first.reply, Result)
    other = modern(asked_by(a_principal("bob")))
    refused = await bench.perform(retry(sealed_of(first.reply)), asked=other)
    assert isinstance(refused.reply, Fault)
    assert len(upstream.forwarded) == 1
    assert (bench.entries[1].record.decision, bench.entries[1].record.rule) == (Verdict.DENIED, "(state)")
    settled = bench.entries[1].settlement
    assert settled is not None
    assert settled.detail == refused.reply.message


async def test_a_servers_own_state_is_refused_too_when_a_client_sends_it() -> None:
    bench, upstream = a_bench()
    refused = await bench.perform(retry(STATE), asked=modern())
    assert isinstance(refused.reply, Fault)
    assert not upstream.forwarded
    legacy = await bench.perform(retry(STATE))
    assert isinstance(legacy.reply, Fault)
    assert not upstream.forwarded


async def test_a_legacy_client_is_told_that_it_cannot_be_asked() -> None:
    bench, _ = a_bench()
    performed = await bench.perform()
    assert isinstance(performed.reply, Fault)
    assert performed.reply.code == -32021
    assert bench.outcomes() == [Outcome.DENIED]
