"""Records: what was asked, never what was said; ids that differ; times that come from the clock."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.wire.messages import raw_of
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import Outcome, Verdict
from coatcheck.operations.records import MAX_ARGUMENT_CHARS, Matter
from doubles.bench import ALICE, Bench
from doubles.clock import START
from doubles.json_texts import texts

CANARY = "canary-7f3a"


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


async def test_values_are_recorded_where_that_was_asked_for() -> None:
    raw = b'{"q": "%b", "n":1E2}' % CANARY.encode()
    assert await arguments(raw, log=True) == raw.decode()
    assert await arguments(raw_of({"q": "v" * MAX_ARGUMENT_CHARS}), log=True) == '{"q":65538}'


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
