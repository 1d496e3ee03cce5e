"""Limits: reserved before the record, given back if the server was never reached, found again after a stop."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from coatcheck.core.access.rules import Policies
from coatcheck.core.policy.judging import ReadyPolicy
from coatcheck.core.policy.limits.windows import SECOND
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.tokens import mint
from coatcheck.errors import LedgerUnavailable, UpstreamLost, UpstreamUnreachable
from coatcheck.model.call import Fault, Kind, Result
from coatcheck.model.decision import Denial
from coatcheck.model.policy import Per
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.verdict import Charge
from coatcheck.operations.calling import limiting as module
from coatcheck.operations.calling.call import Performed
from coatcheck.operations.calling.limiting import Limiting, Taking, longest_window, taken_in
from coatcheck.ports import Ask
from doubles.bench import SENTRY, Bench, a_call, a_principal, asked_by, settle_down
from doubles.clock import HandClock
from ledgers import a_record, its_settlement
from policies import document

THREE = {"limits": [{"calls": 3, "per": "minute", "each": "grant"}]}
SUM = {
    "tools": {
        "find": {
            "limits": [{"sum": "/amount", "most": 100, "per": "day", "each": "subject", "message": "Spent."}]
        }
    }
}
SUM_RULE = "caps:/tools/find/limits/0"
ONE_AT_ONCE = {"limits": [{"at_once": 1, "each": "grant"}]}


def policies(**members: Any) -> Policies:
    return Policies((ReadyPolicy(read_policy(document(name="caps", **members))),), versions={"caps": 2})


def a_bench() -> Bench:
    bench = Bench(SENTRY)
    bench.upstreams.of("sentry").offer(Ask.TOOLS, ["find", "other"])
    return bench


async def call(bench: Bench, found: Policies, arguments: object = None, **how: Any) -> Performed:
    name = how.pop("name", "find")
    return await bench.perform(a_call(name, arguments), policies=found, name=name, **how)


def told(performed: Performed) -> str:
    assert isinstance(performed.reply, Result), performed.reply
    found = json.loads(performed.reply.raw)
    assert found["isError"] is True
    (content,) = found["content"]
    assert content["type"] == "text"
    return str(content["text"])


# --- a call that does not fit ---------------------------------------------------------------------------------


async def test_a_used_up_limit_is_told_with_the_wait_and_is_on_record() -> None:
    bench, found = a_bench(), policies(**THREE)
    for _ in range(3):
        assert (await call(bench, found)).outcome is Outcome.OK
    assert len(bench.upstreams.of("sentry").forwarded) == 3
    bench.clock.advance(10)
    refused = await call(bench, found)
    assert refused.outcome is Outcome.DENIED
    assert told(refused).startswith("The policy caps allows ")
    seconds = int(told(refused).rsplit("Try again in ", 1)[1].removesuffix(" s."))
    assert len(bench.upstreams.of("sentry").forwarded) == 3, "nothing was sent"
    last = bench.entries[-1].record
    assert (last.decision, last.rule) == (Verdict.DENIED, "caps:/limits/0")
    assert (last.policy, last.policy_version) == ("caps", "2")
    assert last.reason == "3 of 3 per minute are used"
    bench.clock.advance(seconds - 1.5)
    assert (await call(bench, found)).outcome is Outcome.DENIED
    bench.clock.advance(1.5)
    assert (await call(bench, found)).outcome is Outcome.OK, "as long as it said, and no longer"


async def test_who_shares_a_count_is_as_the_limit_says() -> None:
    bench, found = a_bench(), policies(**THREE)
    for _ in range(3):
        await call(bench, found)
    bob = asked_by(a_principal("bob"))
    assert (await call(bench, found, asked=bob)).outcome is Outcome.OK
    assert (await call(bench, found)).outcome is Outcome.DENIED


async def test_sums_are_exact_and_the_message_is_the_policys() -> None:
    bench, found = a_bench(), policies(**SUM)
    for amount, fits in ((60, True), (40.5, False), (39.5, True), (0.5, True), (0.1, False), (0, True)):
        performed = await call(bench, found, {"amount": amount})
        assert (performed.outcome is Outcome.OK) is fits, amount
    assert told(await call(bench, found, {"amount": 1})).startswith("Spent. Try again in ")
    assert told(await call(bench, found, {"amount": 101})) == "Spent.", "waiting does not help"
    for wrong in (-1, "1", None, [1]):
        performed = await call(bench, found, {"amount": wrong})
        assert (performed.outcome, bench.entries[-1].record.rule) == (Outcome.DENIED, SUM_RULE)


async def test_calls_at_one_time() -> None:
    bench, found = a_bench(), policies(**ONE_AT_ONCE)
    sentry = bench.upstreams.of("sentry")
    sentry.hold()
    first = asyncio.create_task(call(bench, found))
    await settle_down()
    assert told(await call(bench, found)).endswith("Try again when an earlier call has ended.")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    sentry.let_go()
    assert (await call(bench, found)).outcome is Outcome.OK, "a cancelled call has left"
    assert [entry.record.charges for entry in bench.entries] == ["", "", ""], "nothing that outlasts a call"


@pytest.mark.parametrize("kind", [Kind.PROMPT, Kind.RESOURCE])
async def test_prompts_and_resources_are_told_with_an_error(kind: Kind) -> None:
    bench, found = a_bench(), policies(limits=[{"calls": 1, "per": "day", "each": "all"}])
    bench.upstreams.of("sentry").offer(Ask.PROMPTS, ["find"])
    bench.upstreams.of("sentry").offer(Ask.RESOURCES, ["find"])
    method = {Kind.PROMPT: "prompts/get", Kind.RESOURCE: "resources/read"}[kind]
    for outcome in (Outcome.OK, Outcome.DENIED):
        made = a_call("find", method=method)
        performed = await bench.perform(made, policies=found, kind=kind, name="find", shown="find")
        assert performed.outcome is outcome
    assert isinstance(performed.reply, Fault)
    assert (performed.reply.code, performed.reply.data) == (-32602, b'{"gateway":true}')
    assert "Try again in " in performed.reply.message


# --- what is given back ---------------------------------------------------------------------------------------


async def test_what_never_reached_the_server_counts_for_nothing() -> None:
    bench, found = a_bench(), policies(**THREE)
    sentry = bench.upstreams.of("sentry")
    for _ in range(4):
        assert isinstance((await call(bench, found, name="nothing")).reply, Fault)  # no such tool
    sentry.failing = UpstreamUnreachable("sentry cannot be reached")
    for _ in range(4):
        assert (await call(bench, found)).outcome is Outcome.UPSTREAM_ERROR
    bench.ledger.failing = True
    sentry.failing = None
    for _ in range(4):
        with pytest.raises(LedgerUnavailable):
            await call(bench, found)
    bench.ledger.failing = False
    for _ in range(3):
        assert (await call(bench, found)).outcome is Outcome.OK
    assert (await call(bench, found)).outcome is Outcome.DENIED


async def test_what_may_have_reached_it_counts() -> None:
    bench, found = a_bench(), policies(**THREE)
    sentry = bench.upstreams.of("sentry")

    async def lost(_: object) -> Result:
        raise UpstreamLost("sentry went away", reached=True)

    sentry.answer = lost
    for _ in range(3):
        assert (await call(bench, found)).outcome is Outcome.UPSTREAM_ERROR
    assert (await call(bench, found)).outcome is Outcome.DENIED


async def test_a_denial_for_a_name_that_is_on_no_list_is_as_for_any_unknown_name() -> None:
    bench = a_bench()
    found = policies(tools={"*": {"outcome": "deny", "message": "No."}})
    assert told(await call(bench, found)) == "No.", "no lists are known yet"
    await bench.servers.of(SENTRY).known()
    assert told(await call(bench, found)) == "No."
    hidden = await call(bench, found, name="nothing", shown="nothing")
    assert hidden.reply == Fault(-32602, "Unknown tool: nothing")
    assert bench.entries[-1].record.decision is Verdict.HIDDEN


# --- after a stop ---------------------------------------------------------------------------------------------


async def restarted(bench: Bench, found: Policies) -> Limiting:
    after = Limiting(bench.clock)
    await after.restore([one.policy for one in found.on(a_principal(), SENTRY).policies], bench.ledger.list)
    return after


async def test_counts_go_on_after_a_stop_at_any_point() -> None:
    bench, found = a_bench(), policies(**THREE)
    await call(bench, found)
    sentry = bench.upstreams.of("sentry")
    sentry.failing = UpstreamUnreachable("sentry cannot be reached")
    await call(bench, found)  # given back
    sentry.failing = None
    sentry.hold()
    under_way = asyncio.create_task(call(bench, found))  # on record, and never settled
    await settle_down()
    assert bench.entries[-1].settlement is None
    bench.calls._limiting = await restarted(bench, found)
    sentry.let_go()
    assert (await call(bench, found)).outcome is Outcome.OK
    assert (await call(bench, found)).outcome is Outcome.DENIED, "two before the stop and one after"
    under_way.cancel()
    await asyncio.gather(under_way, return_exceptions=True)
    bench.clock.advance(61)
    bench.calls._limiting = await restarted(bench, found)
    assert (await call(bench, found)).outcome is Outcome.OK


AMOUNTS = st.decimals(0, 40, places=2) | st.integers(0, 40).map(Decimal)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(AMOUNTS, st.integers(0, 7_200), st.booleans()), max_size=12))
async def test_a_gateway_that_stops_at_any_time_decides_as_one_that_does_not(
    calls: list[tuple[Decimal, int, bool]],
) -> None:
    found = policies(
        tools={"find": {"limits": [{"sum": "/amount", "most": 100, "per": "hour", "each": "all"}]}}
    )
    steady, stopped = a_bench(), a_bench()
    for amount, later, stops in calls:
        for bench in (steady, stopped):
            bench.clock.advance(later)
        if stops:
            stopped.calls._limiting = await restarted(stopped, found)
        raw = float(amount)
        outcomes = [(await call(bench, found, {"amount": raw})).outcome for bench in (steady, stopped)]
        assert outcomes[0] is outcomes[1]


async def test_the_record_is_read_in_pages_and_only_as_far_as_windows_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench, found = a_bench(), policies(**THREE)
    monkeypatch.setattr(module, "PAGE", 2)
    await call(bench, found)
    bench.clock.advance(120)
    for _ in range(3):
        await call(bench, found)
    wanted = []

    async def listed(filter: Any) -> Any:
        wanted.append(filter)
        return await bench.ledger.list(filter)

    after = Limiting(bench.clock)
    await after.restore([policy.policy for policy in found.on(a_principal(), SENTRY).policies], listed)
    assert [one.limit for one in wanted] == [2, 2]
    assert wanted[0].since is not None
    bench.calls._limiting = after
    assert (await call(bench, found)).outcome is Outcome.DENIED
    wanted.clear()
    await Limiting(bench.clock).restore([], listed)
    assert not wanted, "where nothing is counted nothing is read"


async def test_one_caller_does_not_use_up_the_room_for_counts_of_others() -> None:
    """Of resources, callers write the names: each is a count of its own where the limit is for each tool."""
    bench, found = a_bench(), policies(limits=[{"calls": 5, "per": "day", "each": ["grant", "tool"]}])
    bench.calls._limiting._windows._max_counts = 20

    async def read(subject: str, uri: str) -> Outcome:
        asked = asked_by(a_principal(subject))
        made = a_call(uri, method="resources/read")
        how: Any = {"kind": Kind.RESOURCE, "name": uri, "shown": uri, "asked": asked}
        return (await bench.perform(made, policies=found, **how)).outcome

    outcomes = [await read("alice", f"notes:{number}") for number in range(25)]
    assert outcomes == [Outcome.OK] * 2 + [Outcome.DENIED] * 23
    assert bench.entries[-1].record.reason == "there are too many counts of one caller at one time"
    assert await read("alice", "notes:1") is Outcome.OK, "it has a count"
    assert await read("bob", "notes:1") is Outcome.OK
    bench.calls._limiting = await restarted(bench, found)
    bench.calls._limiting._windows._max_counts = 20
    assert await read("alice", "notes:3") is Outcome.DENIED, "its share is known after a stop"
    assert await read("bob", "notes:2") is Outcome.OK


def test_the_longest_window_of_all_limits() -> None:
    def policy(**members: Any) -> Any:
        return read_policy(document(**members))

    assert longest_window([]) is None
    assert longest_window([policy(), policy(**ONE_AT_ONCE)]) is None
    assert longest_window([policy(**THREE), policy(**SUM)]) is Per.DAY


def test_what_nobody_can_read_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    at = 2_000_000_000 * SECOND
    good = a_record(charges=f'[{at},[[["p","/limits/0","hour","",""],"2.5"]]]')
    assert [(one.per, one.at, one.amount) for one in taken_in([entry(good)])] == [
        (Per.HOUR, at, Decimal("2.5"))
    ]
    for wrong in (
        "{}",
        "[1]",
        '[1,[[["p"],"1"]]]',
        '[1,[[["p","r","year"],"1"]]]',
        '[1,[[["p","r","day"],"x"]]]',
    ):
        assert not list(taken_in([entry(replace(good, charges=wrong))]))
    assert len(caplog.records) == 5


async def test_a_clock_that_is_set_forward_and_a_restart_free_nothing() -> None:
    """As on a machine that starts with a clock hours behind, until it has asked for the time."""
    bench, found = a_bench(), policies(**THREE)
    bench.calls._limiting._began -= 5 * 3_600 * SECOND
    for _ in range(3):
        assert (await call(bench, found)).outcome is Outcome.OK
    assert (await call(bench, found)).outcome is Outcome.DENIED
    bench.calls._limiting = await restarted(bench, found)
    assert (await call(bench, found)).outcome is Outcome.DENIED
    bench.clock.advance(62)
    assert (await call(bench, found)).outcome is Outcome.OK


def entry(record: Any) -> Any:
    from coatcheck.model.record import RecordEntry

    return RecordEntry(1, record, its_settlement(record, Outcome.UNKNOWN))


def test_what_is_kept_of_a_call_is_short_and_has_no_token_in_it() -> None:
    limiting = Limiting(HandClock())
    token = mint(lambda size: b"s" * size)
    key = ("caps", "/limits/0", "day", "", "tool", "x" * 5_000, token)
    taking = limiting.reserve(
        [Charge("caps:/limits/0", key, 1, Per.DAY, 1, "No.")], policies(**THREE), "alice"
    )
    assert isinstance(taking, Taking)
    assert len(taking.charges) < 400
    assert token[-20:] not in taking.charges
    again = limiting.reserve(
        [Charge("caps:/limits/0", key, 1, Per.DAY, 1, "No.")], policies(**THREE), "alice"
    )
    assert isinstance(again, Denial)
    assert 86_400 <= int(again.message.removeprefix("No. Try again in ").removesuffix(" s.")) <= 87_840


def test_time_goes_on_from_the_clock_at_the_start() -> None:
    class Jumping(HandClock):
        at = datetime(2026, 11, 3, tzinfo=UTC)

        def now(self) -> datetime:
            return self.at

    clock = Jumping()
    limiting = Limiting(clock)
    charge = Charge("caps:/limits/0", ("caps", "", "minute"), 1, Per.MINUTE, 1, "No.")
    assert isinstance(limiting.reserve([charge], policies(**THREE), "alice"), Taking)
    clock.at = datetime(2030, 1, 1, tzinfo=UTC)
    assert isinstance(limiting.reserve([charge], policies(**THREE), "alice"), Denial), (
        "a clock that is set frees nothing"
    )
    clock.advance(61)
    assert isinstance(limiting.reserve([charge], policies(**THREE), "alice"), Taking)
