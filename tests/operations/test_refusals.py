"""Refused callers: the first on record at once, repeats counted, none lost and none kept for ever."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import KNOCKING, Outcome, Record, Verdict
from coatcheck.operations import refusals
from coatcheck.operations.records import Matter
from coatcheck.operations.refusals import Refusals
from coatcheck.ports import Refused
from doubles.bench import ALICE, Bench

UNKNOWN = Refused("unknown", "This grant is not known here.", "print:abc", guess=True)
REVOKED = Refused("revoked", "This grant was revoked.", "file-1")
MISSING = Refused("missing", "No grant was presented.")


def recorded(bench: Bench) -> int:
    return sum(entry.record.repeats for entry in bench.entries)


async def test_a_refusal_is_on_record_at_once() -> None:
    bench = Bench()
    await bench.refusals.note(UNKNOWN, "/mcp/git", "192.0.2.1")
    (entry,) = bench.entries
    record = entry.record
    assert (record.decision, record.rule, record.reason) == (Verdict.REFUSED, "(identity)", "unknown")
    assert (record.grant_id, record.route, record.client_ip, record.repeats) == (
        "print:abc",
        "/mcp/git",
        "192.0.2.1",
        1,
    )
    assert (record.subject, record.method, record.tool) == ("", "", "")
    assert entry.settlement is not None
    assert entry.settlement.outcome is Outcome.DENIED


async def test_probes_without_a_token_are_counted_only() -> None:
    bench = Bench()
    for _ in range(3):
        await bench.refusals.note(MISSING, "/mcp", "192.0.2.1")
    assert not bench.entries
    assert bench.tally.refusals == {"missing": 3}


async def test_equal_refusals_within_the_window_are_one_record_and_a_count() -> None:
    bench = Bench()
    for _ in range(100):
        await bench.refusals.note(UNKNOWN, "/mcp", "192.0.2.1")
    assert [entry.record.repeats for entry in bench.entries] == [1]
    bench.clock.advance(refusals.WINDOW)
    await bench.refusals.flush()
    assert [entry.record.repeats for entry in bench.entries] == [1, 99]
    bench.clock.advance(refusals.WINDOW)
    await bench.refusals.flush()
    assert len(bench.entries) == 2
    assert bench.tally.refusals == {"unknown": 100}


async def test_after_the_window_the_next_one_brings_the_count_along() -> None:
    bench = Bench()
    for _ in range(5):
        await bench.refusals.note(UNKNOWN, "/mcp", "192.0.2.1")
    bench.clock.advance(refusals.WINDOW)
    await bench.refusals.note(UNKNOWN, "/mcp", "192.0.2.1")
    assert [entry.record.repeats for entry in bench.entries] == [1, 5]
    await bench.refusals.flush()
    assert recorded(bench) == 6


async def test_what_differs_is_recorded_apart() -> None:
    bench = Bench()
    for refused in (UNKNOWN, REVOKED, Refused("unknown", "", "print:def")):
        for address in ("192.0.2.1", "192.0.2.2"):
            await bench.refusals.note(refused, "/mcp", address)
    assert [entry.record.repeats for entry in bench.entries] == [1] * 6


async def test_a_flood_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MAX_FOLDED", 50)
    monkeypatch.setattr(refusals, "MAX_SUMMARIES", 10)
    bench = Bench()
    for number in range(100):
        for _ in range(2):
            await bench.refusals.note(UNKNOWN, "/mcp", f"192.0.2.{number}")
    assert len(bench.refusals._folds) == 50
    bench.clock.advance(refusals.WINDOW)
    for rounds in range(1, 6):
        await bench.refusals.flush()
        assert len(bench.entries) == 100 + 10 * rounds
    assert not bench.refusals._folds


async def test_a_refusal_that_could_not_be_recorded_is_recorded_with_the_next() -> None:
    bench = Bench()
    bench.ledger.failing = True
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            await bench.refusals.note(UNKNOWN, "/mcp", "192.0.2.1")
    bench.ledger.failing = False
    await bench.refusals.note(UNKNOWN, "/mcp", "192.0.2.1")
    assert [entry.record.repeats for entry in bench.entries] == [4]


async def test_repeats_that_could_not_be_recorded_are_recorded_later() -> None:
    bench = Bench()
    for address in ("192.0.2.1", "192.0.2.2"):
        for _ in range(3):
            await bench.refusals.note(UNKNOWN, "/mcp", address)
    bench.clock.advance(refusals.WINDOW)
    bench.ledger.failing = True
    with pytest.raises(LedgerUnavailable):
        await bench.refusals.flush()
    bench.ledger.failing = False
    await bench.refusals.flush()
    assert [entry.record.repeats for entry in bench.entries] == [1, 1, 2, 2]


STEPS = st.lists(st.sampled_from(("a", "b", "a", "flush", "wait", "part", "fail", "heal")), max_size=40)


@settings(max_examples=200, deadline=None)
@given(STEPS)
async def test_no_history_loses_or_invents_a_refusal(steps: list[str]) -> None:
    bench = Bench()
    noted = 0
    for step in [*steps, "heal", "wait", "flush"]:
        try:
            if step in {"a", "b"}:
                noted += 1
                await bench.refusals.note(UNKNOWN, "/mcp", step)
            elif step == "flush":
                await bench.refusals.flush()
        except LedgerUnavailable:
            assert bench.ledger.failing
        bench.ledger.failing = {"fail": True, "heal": False}.get(step, bench.ledger.failing)
        bench.clock.advance({"wait": refusals.WINDOW, "part": refusals.WINDOW / 3}.get(step, 0.0))
        assert recorded(bench) <= noted
    assert recorded(bench) == noted


async def test_at_the_end_every_count_is_written() -> None:
    bench = Bench()
    for _ in range(5):
        await bench.refusals.note(UNKNOWN, "/mcp", "192.0.2.1")
    await bench.refusals.flush()
    assert recorded(bench) == 1
    await bench.refusals.flush(everything=True)
    assert recorded(bench) == 5


async def test_an_address_that_presents_ever_other_things_fills_no_disk() -> None:
    bench = Bench()

    async def strange(number: int, address: str = "192.0.2.1", reason: str = "foreign") -> None:
        await bench.refusals.note(Refused(reason, "", f"print:{number:012}"), "/mcp", address)

    for number in range(300):
        await strange(number)
    most = refusals.MAX_OF_ADDRESS
    assert len(bench.entries) == most + 1
    assert (bench.entries[-1].record.grant_id, bench.entries[-1].record.reason) == ("", "foreign")
    await bench.refusals.note(REVOKED, "/mcp", "192.0.2.1")
    assert bench.entries[-1].record.grant_id == "file-1"
    await strange(1000, reason="malformed")
    await strange(1001, address="192.0.2.2")
    assert len(bench.entries) == most + 4
    bench.clock.advance(refusals.WINDOW)
    await bench.refusals.flush()
    assert recorded(bench) == 303
    await strange(2000)
    assert bench.entries[-1].record.grant_id == "print:000000002000"


async def test_a_wrong_name_at_the_door_is_one_record_a_minute_for_each_address() -> None:
    bench = Bench()
    for address in ("192.0.2.1", "192.0.2.2"):
        for path in ("/mcp", "/mcp/a", "/mcp"):
            await bench.refusals.note_at_door("bad_host", path, address)
    assert [(one.record.rule, one.record.reason, one.record.client_ip) for one in bench.entries] == [
        ("(door)", "bad_host", "192.0.2.1"),
        ("(door)", "bad_host", "192.0.2.2"),
    ]
    await bench.refusals.flush(everything=True)
    assert recorded(bench) == 6


async def test_many_addresses_together_fill_no_disk_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MAX_OF_ALL", 50)
    bench = Bench()
    for number in range(200):
        await bench.refusals.note(Refused("malformed", ""), "/mcp", f"192.0.2.{number}")
        await bench.refusals.note(REVOKED, "/mcp", f"192.0.2.{number}")
    assert len(bench.entries) == 52
    last = {entry.record.reason: entry.record for entry in bench.entries[-2:]}
    assert (last["malformed"].grant_id, last["malformed"].client_ip) == ("", "")
    assert (last["revoked"].grant_id, last["revoked"].client_ip) == ("file-1", "")  # the grant is named still
    await bench.refusals.flush(everything=True)
    assert recorded(bench) == 400
    bench.clock.advance(refusals.WINDOW)
    await bench.refusals.note(REVOKED, "/mcp", "192.0.2.1")
    assert bench.entries[-1].record.client_ip == "192.0.2.1"


async def test_requests_of_known_callers_are_recorded_one_by_one_and_then_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refusals, "MAX_OF_GRANT", 5)
    bench = Bench()
    for number in range(20):
        matter = Matter(f"no/such{number}")
        await bench.refusals.note_asked(ALICE, matter, Verdict.DENIED, "(request)", f"-32601: {number}")
    assert [entry.record.method for entry in bench.entries] == [f"no/such{number}" for number in range(5)] + [
        ""
    ]
    assert {entry.record.subject for entry in bench.entries} == {"alice"}
    assert bench.tally.calls.total() == 20
    await bench.refusals.flush(everything=True)
    assert recorded(bench) == 20
    bench.clock.advance(refusals.WINDOW)
    await bench.refusals.note_asked(ALICE, Matter("x"), Verdict.HIDDEN, "(scope)", "")
    assert (bench.entries[-1].record.rule, bench.entries[-1].record.method) == ("(scope)", "x")


async def test_whoever_knocks_is_told_of_once_a_window() -> None:
    bench, heard = Bench(), list[Record]()
    tested = Refusals(bench.records, bench.clock, bench.tally, heard.append)
    for reason in sorted({*KNOCKING, "unknown", "malformed"}):
        for _ in range(3):
            await tested.note(Refused(reason, "", "file-1"), "/mcp", "192.0.2.1")
    assert {(one.grant_id, one.reason, one.client_ip) for one in heard} == {
        ("file-1", reason, "192.0.2.1") for reason in KNOCKING
    }
    assert len(heard) == len(KNOCKING)
    bench.clock.advance(refusals.WINDOW)
    await tested.note(REVOKED, "/mcp", "192.0.2.1")
    assert len(heard) == len(KNOCKING) + 1
