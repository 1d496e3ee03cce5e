"""Records: what was asked, never what was said; ids that differ; times that come from the clock."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from coatcheck.core.recording.argument_prints import ArgumentPrints
from coatcheck.core.recording.argument_values import ArgumentValues
from coatcheck.core.tokens import mint
from coatcheck.core.wire.messages import raw_of
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.call import Caller
from coatcheck.model.credential import Use
from coatcheck.model.era import Era
from coatcheck.model.record import Outcome, Verdict
from coatcheck.operations.records import MAX_ARGUMENT_CHARS, MAX_ID_CHARS, Matter, Records, Slip
from coatcheck.ports import Hop
from doubles.bench import ALICE, Bench, a_principal, asked_by
from doubles.clock import START
from doubles.entropy import CountingEntropy
from doubles.json_texts import texts
from ledgers import ended

CANARY = "canary-7f3a"
USE = Use("env/A", UUID(int=9), "pat", 3)


async def arguments(raw: bytes | None, *, log: bool = False) -> str:
    bench = Bench()
    bench.records.log_arguments = log
    await bench.records.close(
        ALICE, Matter("tools/call", "s", "t", raw), Verdict.HIDDEN, "r", "b", Outcome.DENIED
    )
    return bench.entries[0].record.arguments


@pytest.mark.parametrize(
    ("raw", "outline"),
    [
        (None, ""),
        (b"", ""),
        (b"null", ""),
        (b"[1]", ""),
        (b"{}", "{}"),
        (b'{"a": 1E2 ,"b":"%b"}' % CANARY.encode(), '{"a":3,"b":13}'),
        (
            b'{"deep":{"password":"%b"},"list":["%b"]}' % (CANARY.encode(), CANARY.encode()),
            '{"deep":26,"list":15}',
        ),
        ('{"é\\n":"é"}'.encode(), '{"é\\n":4}'),
    ],
)
async def test_an_outline_is_keys_and_sizes(raw: bytes | None, outline: str) -> None:
    assert await arguments(raw) == outline


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(max_size=8), texts(unique=True), max_size=5))
async def test_an_outline_never_holds_a_value(members: dict[str, str]) -> None:
    raw = {name: text.strip(" \t\r\n").encode() for name, text in members.items()}
    body = b"{%b}" % b",".join(raw_of(name) + b":" + value for name, value in raw.items())
    assert json.loads(await arguments(body)) == {name: len(value) for name, value in raw.items()}


async def test_an_outline_is_bounded_whatever_the_keys() -> None:
    body = raw_of({f"{number:04d}{'k' * 3_000}": 0 for number in range(1_000)})
    assert len(await arguments(body)) < 2 * MAX_ARGUMENT_CHARS
    assert len(await arguments(body, log=True)) < 2 * MAX_ARGUMENT_CHARS


@pytest.mark.parametrize(
    ("raw", "log", "kept"),
    [
        (b'{"q": "%b", "n":1E2}' % CANARY.encode(), True, True),
        (b'{"q": "%b", "n":1E2}' % CANARY.encode(), False, False),
        (raw_of({"q": "v" * MAX_ARGUMENT_CHARS}), True, False),
        (None, True, False),
    ],
)
async def test_values_are_sealed_where_that_was_asked_for(raw: bytes | None, log: bool, kept: bool) -> None:
    values, bench = ArgumentValues(bytes(32)), Bench()
    records = Records(
        bench.ledger,
        bench.clock,
        CountingEntropy(),
        bench.tally.settled,
        seal_values=lambda raw, id: values.seal(raw, id, bytes(12)),
    )
    records.log_arguments = log
    matter = Matter("tools/call", "s", "t", raw)
    await records.close(ALICE, matter, Verdict.HIDDEN, "r", "b", Outcome.DENIED)
    record = bench.entries[0].record
    assert CANARY not in repr(record)
    assert values.open(record) == (raw.decode() if kept and raw is not None else None)
    assert values.open(structs.replace(record, id=UUID(int=7))) is None


async def test_the_prints_are_those_of_the_arguments() -> None:
    bench = Bench()
    records = Records(
        bench.ledger, bench.clock, CountingEntropy(), bench.tally.settled, prints=lambda raw: f"<{len(raw)}>"
    )
    for raw in (b'{"a":1}', b"{}", None):
        await records.close(ALICE, Matter("m", arguments=raw), Verdict.HIDDEN, "r", "b", Outcome.DENIED)
    assert [entry.record.argument_prints for entry in bench.entries] == ["<7>", "", ""]


async def test_who_asks_is_told_in_full() -> None:
    bench, slip = Bench(), Slip()
    records = Records(bench.ledger, bench.clock, CountingEntropy(), bench.tally.settled, replica="host-1")
    asked = structs.replace(
        asked_by(a_principal(roles=("dev", "admin"))), id=b'"' + b"7" * 100, policy="0123abcd", slip=slip
    )
    opened = await records.open(asked, Matter("tools/call"), "r", "b", (USE, replace(USE, place="env/B")))
    record = bench.entries[0].record
    assert (record.replica, record.roles) == ("host-1", ("admin", "dev"))
    assert record.request_id == '"' + "7" * (MAX_ID_CHARS - 1)
    assert (record.policy, record.policy_version, record.credentials) == ("acl", "0123abcd", ("pat@3",))
    assert slip.receipt is None
    await records.settle(opened, Outcome.OK, hop=Hop((USE,), 200, 10, 20, 0.5))
    settlement = ended(bench.entries[0])
    assert settlement.credentials == ("pat@3",)
    assert (settlement.upstream_status, settlement.request_bytes, settlement.answer_bytes) == (200, 10, 20)
    assert settlement.upstream_seconds == 0.5
    assert slip.receipt is not None


async def test_a_request_is_opened_then_settled_by_the_clock() -> None:
    bench = Bench()
    opened = await bench.records.open(ALICE, Matter("tools/list"), "(list)", "because")
    (entry,) = bench.entries
    assert (entry.settlement, entry.record.at) == (None, START)
    bench.clock.advance(2.25)
    await bench.records.settle(opened, Outcome.TOOL_ERROR, "detail")
    settlement = bench.entries[0].settlement
    assert settlement is not None
    assert (settlement.record_id, settlement.seconds, settlement.outcome) == (
        opened.id,
        2.25,
        Outcome.TOOL_ERROR,
    )
    assert (settlement.at - START).total_seconds() == 2.25
    assert bench.tally.calls == {("tools/list", "tool_error"): 1}


async def test_ids_are_random_uuids_and_differ() -> None:
    bench = Bench()
    ids = {bench.records.new_id() for _ in range(500)}
    assert len(ids) == 500
    assert {id.version for id in ids} == {4}


async def test_what_could_not_be_recorded_is_not_counted() -> None:
    bench = Bench()
    opened = await bench.records.open(ALICE, Matter("tools/list"), "(list)", "because")
    bench.ledger.failing = True
    for attempt in (
        bench.records.open(ALICE, Matter("tools/list"), "", ""),
        bench.records.settle(opened, Outcome.OK),
        bench.records.close(ALICE, Matter("a"), Verdict.DENIED, "", "", Outcome.DENIED),
    ):
        with pytest.raises(LedgerUnavailable):
            await attempt
    await bench.records.abandon(opened, ZeroDivisionError())
    assert not bench.tally.calls
    assert len(bench.entries) == 1


TOKEN = mint(lambda count: bytes(range(1, count + 1)))


async def test_the_secret_of_a_token_is_not_on_record_wherever_a_client_writes_it() -> None:
    bench = Bench()
    records = Records(
        bench.ledger, bench.clock, CountingEntropy(), bench.tally.settled, prints=ArgumentPrints(b"k" * 32).of
    )
    caller = Caller(Era.MODERN, "2026-07-28", TOKEN, f"v {TOKEN}")
    route = f"/mcp/{TOKEN[:40]}"
    asked = structs.replace(ALICE, caller=caller, id=f'"{TOKEN}"'.encode(), route=route)
    matter = Matter(f"m/{TOKEN}", "git", f"x{TOKEN}", f'{{"{TOKEN}":"{TOKEN}","b":{{"{TOKEN}":1}}}}'.encode())
    await records.open(asked, matter, "r", f"Unknown method: {TOKEN}")
    record = bench.entries[0].record
    assert record.tool == f"x{TOKEN[:17]}***"
    assert record.reason == f"Unknown method: {TOKEN[:17]}***"
    assert TOKEN[20:50] not in repr(record)
    refused = records.make_refused("", "r", "unknown", f"/mcp/{TOKEN}", "")
    assert refused.route == f"/mcp/{TOKEN[:17]}***"
