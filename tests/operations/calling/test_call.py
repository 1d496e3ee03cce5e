"""One call: decided, recorded, forwarded, settled; whatever happens, the record says so and nothing goes unrecorded."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from coatcheck import errors
from coatcheck.core.wire.messages import object_of, raw_of, response
from coatcheck.errors import LedgerUnavailable, UpstreamError
from coatcheck.model.call import Call, Fault, Kind, Reply, Result
from coatcheck.model.decision import Permit
from coatcheck.model.record import Outcome, Verdict
from coatcheck.operations.calling.call import UNSETTLED, with_param
from coatcheck.operations.calling.gate import GateLimits
from coatcheck.ports import Ask
from doubles.bench import ALICE, GIT, SENTRY, Bench, a_call, a_principal, asked_by, denying, settle_down
from doubles.upstreams import ScriptedUpstream

CANARY = "canary-in-the-arguments"


def a_bench(**settings: Any) -> Bench:
    bench = Bench(SENTRY, **settings)
    bench.upstreams.of("sentry").offer(Ask.TOOLS, ["find", "denied"])
    return bench


def sentry(bench: Bench) -> ScriptedUpstream:
    return bench.upstreams.of("sentry")


def untouched(bench: Bench) -> bool:
    upstream = sentry(bench)
    return not (upstream.greeted or upstream.asked or upstream.forwarded)


async def assert_no_place_is_held(bench: Bench) -> None:
    """Every place of a gate with one place each can be taken, so none was kept."""
    assert bench.gate._total == 0
    assert not bench.gate._running
    assert not bench.gate._waiting


# --- the good path ----------------------------------------------------------------------------------------


async def test_the_record_is_durable_before_the_server_is_asked_and_the_outcome_before_the_caller_hears() -> (
    None
):
    bench = a_bench()
    seen: list[tuple[int, Any]] = []

    async def answer(permit: Permit) -> Reply:
        seen.append((len(bench.entries), bench.entries[0].settlement))
        bench.clock.advance(1.5)
        return Result(b'{"content":[ ]}')

    sentry(bench).answer = answer
    performed = await bench.perform(a_call("find", {"q": CANARY, "deep": {"n": [1, 2]}}))
    assert seen == [(1, None)]
    assert (performed.reply, performed.outcome) == (Result(b'{"content":[ ]}'), Outcome.OK)
    (entry,) = bench.entries
    record, settlement = entry.record, entry.settlement
    assert settlement is not None
    assert (settlement.outcome, settlement.seconds, settlement.detail) == (Outcome.OK, 1.5, "")
    assert (record.subject, record.grant_id, record.grant_label) == ("alice", "file-alice", "alice's laptop")
    assert (record.route, record.server, record.method, record.tool) == (
        "/mcp",
        "sentry",
        "tools/call",
        "find",
    )
    assert (record.decision, record.rule, record.reason) == (
        Verdict.ALLOWED,
        "/acl/default",
        "no rule matches and the default allows",
    )
    assert (record.client_ip, record.client_name, record.client_version) == (
        "192.0.2.1",
        "claude-code",
        "2.1",
    )
    assert json.loads(record.arguments) == {"q": len(CANARY) + 2, "deep": 11}
    assert CANARY not in repr(bench.entries)
    assert bench.tally.calls == {("tools/call", "ok"): 1}


async def test_what_was_decided_is_what_is_forwarded() -> None:
    bench = a_bench()
    call = Call(b"7", "tools/call", {"name": b'"find"', "arguments": b'{ "n":1E2 }', "x": b"1"}, {"k": b"1"})
    await bench.perform(call)
    (permit,) = sentry(bench).forwarded
    assert permit.call is call
    assert (permit.target.name, permit.server, permit.principal) == ("find", SENTRY, ALICE.principal)


async def test_a_prompt_is_forwarded_if_it_is_listed_and_unknown_if_not() -> None:
    bench = a_bench()
    sentry(bench).offer(Ask.PROMPTS, ["summary"])
    call = a_call("summary", method="prompts/get")
    await bench.perform(call, kind=Kind.PROMPT, name="summary")
    assert len(sentry(bench).forwarded) == 1
    performed = await bench.perform(call, kind=Kind.PROMPT, name="denied")
    assert response(b"7", performed.reply) == UNKNOWN_BYTES[Kind.PROMPT]
    assert len(sentry(bench).forwarded) == 1


async def test_a_resource_is_read_without_being_looked_up() -> None:
    bench = a_bench()
    await bench.perform(a_call(method="resources/read"), kind=Kind.RESOURCE, name="anything")
    assert not sentry(bench).asked
    assert len(sentry(bench).forwarded) == 1


@pytest.mark.parametrize("code", [-32002, -32602])
async def test_a_servers_words_for_no_such_resource_are_replaced_by_ours(code: int) -> None:
    bench = a_bench()

    async def answer(permit: Permit) -> Reply:
        return Fault(code, "no such thing in my vault", b'{"hint":1}')

    sentry(bench).answer = answer
    performed = await bench.perform(a_call(method="resources/read"), kind=Kind.RESOURCE, name="denied")
    assert response(b"7", performed.reply) == UNKNOWN_BYTES[Kind.RESOURCE]
    assert bench.outcomes() == [Outcome.DENIED]
    other = await bench.perform(a_call(method="tools/call"))
    assert other.reply == Fault(code, "no such thing in my vault", b'{"hint":1}')


async def test_a_completion_for_what_is_not_listed_reaches_no_server() -> None:
    bench = a_bench()
    sentry(bench).offer(Ask.TEMPLATES, ["sentry://{id}"])
    call = a_call(method="completion/complete")
    await bench.perform(call, kind=Kind.RESOURCE, name="sentry://{id}")
    assert len(sentry(bench).forwarded) == 1
    performed = await bench.perform(call, kind=Kind.RESOURCE, name="denied")
    assert response(b"7", performed.reply) == UNKNOWN_BYTES[Kind.RESOURCE]
    assert len(sentry(bench).forwarded) == 1


# --- hidden and unknown -------------------------------------------------------------------------------------

UNKNOWN_BYTES = {
    Kind.TOOL: b'{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"Unknown tool: sentry__denied"}}',
    Kind.PROMPT: b'{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"Unknown prompt: sentry__denied"}}',
    Kind.RESOURCE: b'{"jsonrpc":"2.0","id":7,"error":{"code":-32002,"message":"Resource not found","data":{"uri":"sentry__denied"}}}',
}


@pytest.mark.parametrize("kind", list(UNKNOWN_BYTES))
@pytest.mark.parametrize("by", ["rule", "default", "scope"])
async def test_what_is_hidden_answers_like_what_does_not_exist_and_reaches_no_server(
    kind: Kind, by: str
) -> None:
    bench = a_bench()
    access = denying("sentry__denied") if by == "rule" else denying("nothing", default=by != "default")
    asked = asked_by(a_principal(scope=(GIT,))) if by == "scope" else ALICE
    performed = await bench.perform(kind=kind, name="denied", access=access, asked=asked)
    assert response(b"7", performed.reply) == UNKNOWN_BYTES[kind]
    assert performed.outcome is Outcome.DENIED
    assert untouched(bench)
    (entry,) = bench.entries
    pointer = {"rule": "/acl/rules/0", "default": "/acl/default", "scope": "(scope)"}[by]
    assert (entry.record.decision, entry.record.rule) == (Verdict.HIDDEN, pointer)
    assert bench.outcomes() == [Outcome.DENIED]


async def test_a_tool_that_does_not_exist_gets_the_same_bytes_and_is_not_forwarded() -> None:
    bench = a_bench()
    hidden = await bench.perform(name="denied", access=denying("sentry__denied"))
    sentry(bench).offer(Ask.TOOLS, ["find"])
    absent = await bench.perform(name="denied")
    assert response(b"7", absent.reply) == response(b"7", hidden.reply) == UNKNOWN_BYTES[Kind.TOOL]
    assert not sentry(bench).forwarded
    assert bench.outcomes() == [Outcome.DENIED, Outcome.DENIED]


@pytest.mark.parametrize(
    "entry",
    [b'{"name":"de\\u200bnied"}', b'{"name":"find"},{"name":"FIND"}', b'{"name":"denied"},{"name":"denied"}'],
)
async def test_a_tool_that_is_left_out_of_the_lists_cannot_be_called(entry: bytes) -> None:
    bench = a_bench()
    sentry(bench).offer(Ask.TOOLS, [entry])
    for name in ("de\u200bnied", "find", "FIND", "denied"):
        performed = await bench.perform(name=name)
        assert isinstance(performed.reply, Fault)
        assert performed.reply.message == f"Unknown tool: sentry__{name}"
    assert not sentry(bench).forwarded


async def test_a_name_that_no_list_holds_is_asked_for_once_a_second_at_most() -> None:
    bench = a_bench()
    for _ in range(5):
        await bench.perform(name="absent")
    assert sentry(bench).greeted == 1
    sentry(bench).offer(Ask.TOOLS, ["find", "absent"])
    bench.clock.advance(1.1)
    assert (await bench.perform(name="absent")).outcome is Outcome.OK
    assert sentry(bench).greeted == 2


# --- the ledger fails -----------------------------------------------------------------------------------------


async def test_no_record_no_call() -> None:
    bench = a_bench()
    bench.ledger.failing = True
    for access in (denying("nothing"), denying("*")):
        with pytest.raises(LedgerUnavailable):
            await bench.perform(access=access)
    assert untouched(bench)
    await assert_no_place_is_held(bench)
    bench.ledger.failing = False
    assert (await bench.perform()).outcome is Outcome.OK


WAYS: dict[str, Any] = {
    "result": Result(b'{"content":"the secret result"}'),
    "fault": Fault(-32000, "the secret error"),
    "upstream": errors.UpstreamLost("sentry went away", reached=True),
}


@pytest.mark.parametrize("way", sorted(WAYS))
async def test_no_outcome_on_record_no_answer(way: str) -> None:
    bench = a_bench()
    await bench.perform()

    async def answer(permit: Permit) -> Reply:
        bench.ledger.failing = True
        reply: Reply | UpstreamError = WAYS[way]
        if isinstance(reply, UpstreamError):
            raise reply
        return reply

    sentry(bench).answer = answer
    performed = await bench.perform()
    assert performed.outcome is Outcome.UNKNOWN
    assert response(b"7", performed.reply) == response(b"7", Fault(-32603, UNSETTLED, b'{"gateway":true}'))
    with pytest.raises(LedgerUnavailable):
        await bench.perform()
    assert len(sentry(bench).forwarded) == 2


async def test_a_cancelled_call_stays_cancelled_if_its_outcome_cannot_be_recorded() -> None:
    bench = a_bench()
    await bench.perform()
    sentry(bench).hold()
    task = asyncio.create_task(bench.perform())
    await settle_down()
    bench.ledger.failing = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_no_place_is_held(bench)


# --- servers that fail ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (errors.UpstreamUnreachable, Outcome.UPSTREAM_ERROR),
        (errors.UpstreamForbidden, Outcome.UPSTREAM_ERROR),
        (errors.UpstreamLost, Outcome.UPSTREAM_ERROR),
        (errors.UpstreamBadReply, Outcome.UPSTREAM_ERROR),
        (errors.UpstreamCredentialRefused, Outcome.UPSTREAM_ERROR),
        (errors.UpstreamTimeout, Outcome.TIMEOUT),
    ],
)
@pytest.mark.parametrize("when", ["looking up", "calling"])
async def test_every_failure_of_a_server_is_told_and_recorded(
    error: type[UpstreamError], outcome: Outcome, when: str
) -> None:
    bench = a_bench()
    if when == "calling":
        await bench.perform()
    sentry(bench).failing = error("sentry does not do well", detail="status 500")
    performed = await bench.perform()
    assert performed.reply == Fault(-32603, "sentry does not do well", b'{"gateway":true}')
    assert performed.outcome is outcome
    settlement = bench.entries[-1].settlement
    assert settlement is not None
    assert (settlement.outcome, settlement.detail) == (outcome, f"{error.code}: status 500")
    await assert_no_place_is_held(bench)


@pytest.mark.parametrize(
    ("reply", "outcome", "detail"),
    [
        (Result(b'{"isError":true,"content":[]}'), Outcome.TOOL_ERROR, ""),
        (Result(b'{"isError": true }'), Outcome.TOOL_ERROR, ""),
        (Result(b'{"isError":false,"content":[]}'), Outcome.OK, ""),
        (Result(b'{"isError":null}'), Outcome.OK, ""),
        (Result(b'{"content":["isError",{"isError":true}]}'), Outcome.OK, ""),
        (Fault(-32602, "no such id"), Outcome.TOOL_ERROR, "error -32602"),
        (Fault(-32000, "x", b"[1]"), Outcome.TOOL_ERROR, "error -32000"),
    ],
)
async def test_what_a_server_answers_goes_on_untouched(reply: Reply, outcome: Outcome, detail: str) -> None:
    bench = a_bench()

    async def answer(permit: Permit) -> Reply:
        return reply

    sentry(bench).answer = answer
    performed = await bench.perform()
    assert (performed.reply, performed.outcome) == (reply, outcome)
    settlement = bench.entries[0].settlement
    assert settlement is not None
    assert (settlement.outcome, settlement.detail) == (outcome, detail)


async def test_a_server_that_hangs_is_left_after_its_time_and_told_so() -> None:
    bench = a_bench(timeout=0.05)
    await bench.perform()
    sentry(bench).hold()
    performed = await bench.perform()
    assert isinstance(performed.reply, Fault)
    assert performed.reply.message == "sentry did not answer within 0.05 s. It may still act."
    assert bench.outcomes() == [Outcome.OK, Outcome.TIMEOUT]
    assert sentry(bench).cancelled == 1
    await assert_no_place_is_held(bench)


async def test_a_server_that_hangs_before_it_lists_is_left_after_its_time() -> None:
    bench = a_bench(timeout=0.05)
    sentry(bench).hold()
    assert (await bench.perform()).outcome is Outcome.TIMEOUT
    sentry(bench).let_go()
    assert (await bench.perform()).outcome is Outcome.OK
    assert sentry(bench).greeted == 1


@pytest.mark.parametrize("listed", [True, False])
async def test_a_cancelled_call_is_cancelled_at_the_server_and_recorded(listed: bool) -> None:
    bench = a_bench()
    if listed:
        await bench.perform()
    sentry(bench).hold()
    task = asyncio.create_task(bench.perform())
    await settle_down()
    assert bench.entries[-1].settlement is None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.outcomes()[-1] is Outcome.CANCELLED
    assert sentry(bench).cancelled == int(listed)
    await assert_no_place_is_held(bench)


async def test_a_defect_of_ours_leaves_an_outcome_too() -> None:
    bench = a_bench()

    async def answer(permit: Permit) -> Reply:
        raise ZeroDivisionError

    sentry(bench).answer = answer
    with pytest.raises(ZeroDivisionError):
        await bench.perform()
    assert bench.outcomes() == [Outcome.UNKNOWN]
    await assert_no_place_is_held(bench)


async def test_a_server_that_an_edit_took_away_is_said_to_be_gone() -> None:
    bench = a_bench()
    bench.apply()
    performed = await bench.perform()
    assert performed.reply == Fault(-32603, "sentry was just removed", b'{"gateway":true}')
    assert bench.outcomes() == [Outcome.UPSTREAM_ERROR]


# --- too many calls ---------------------------------------------------------------------------------------------


async def test_a_call_beyond_the_limit_is_recorded_and_not_forwarded() -> None:
    bench = a_bench(gate=GateLimits(per_grant=1, total=1, wait=0.02))
    await bench.perform()
    sentry(bench).hold()
    first = asyncio.create_task(bench.perform())
    await settle_down()
    second = await bench.perform()
    assert isinstance(second.reply, Fault)
    assert second.reply.message.startswith("Too many calls at once.")
    assert len(sentry(bench).forwarded) == 2
    assert (bench.entries[-1].record.decision, bench.entries[-1].record.rule) == (Verdict.DENIED, "(limit)")
    sentry(bench).let_go()
    assert (await first).outcome is Outcome.OK
    assert bench.outcomes() == [Outcome.OK, Outcome.OK, Outcome.DENIED]
    await assert_no_place_is_held(bench)


async def test_a_call_that_waits_its_turn_leaves_no_record_until_it_has_it() -> None:
    bench = a_bench(gate=GateLimits(per_grant=1, total=9, wait=5.0))
    await bench.perform()
    sentry(bench).hold()
    first, second, third = (asyncio.create_task(bench.perform()) for _ in range(3))
    await settle_down()
    assert len(bench.entries) == 2
    second.cancel()
    sentry(bench).let_go()
    assert [(await task).outcome for task in (first, third)] == [Outcome.OK, Outcome.OK]
    assert bench.outcomes() == [Outcome.OK] * 3
    await assert_no_place_is_held(bench)


# --- sizes --------------------------------------------------------------------------------------------------------


async def test_what_a_caller_writes_cannot_swell_the_record() -> None:
    bench = a_bench()
    long = "n" * 1_000_000
    for access in (denying("*"), denying("nothing")):
        await bench.perform(a_call(long, {long: 1}), name=long, access=access)
    for entry in bench.entries:
        texts = [str(getattr(entry.record, name)) for name in entry.record.__struct_fields__]
        assert max(map(len, texts)) <= 1_000
    assert bench.outcomes() == [Outcome.DENIED, Outcome.DENIED]


def test_a_param_is_replaced_in_its_place() -> None:
    call = Call(b"1", "tools/call", {"a": b"1", "name": b'"x"', "b": b"2"})
    assert object_of(with_param(call, "name", raw_of("y")).params) == b'{"a":1,"name":"y","b":2}'
    assert with_param(call, "absent", b"1").params == call.params
    assert call.params["name"] == b'"x"'
