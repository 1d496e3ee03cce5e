"""The line of an entry: all fields, always; one line whatever it holds; told in the reference."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.recording.record_lines import FIELDS, json_line, line_of, rfc3339
from coatcheck.core.recording.stored import stored_record
from coatcheck.model.record import Outcome, RecordEntry, Verdict
from ledgers import START, a_record, its_settlement

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "record.md"
ID = UUID("12345678-1234-4234-8234-123456789abc")


def test_a_settled_entry() -> None:
    record = a_record(
        id=ID,
        client_version="2.1",
        arguments='{"q": {"type": "string", "size": 3}}',
        request_id="7",
        replica="host-1",
        roles=("dev",),
        policy="acl",
        policy_version="76ab8a3db256",
        credentials=("pat@2",),
        argument_prints='{"/q":"0123456789abcdef"}',
        argument_values="v1:sealed",
        charges='[5,[[["caps","/limits/0","hour","/amount","grant+tool","g1","s/tool/x"],"2.50"],[["caps","/tools/*/limits/1","day","",""],"1"]]]',
    )
    settlement = its_settlement(
        record,
        Outcome.TOOL_ERROR,
        detail="no such row",
        credentials=("pat@2", "pat@3"),
        upstream_status=200,
        request_bytes=101,
        answer_bytes=102,
        upstream_seconds=0.2,
    )
    line = line_of(RecordEntry(7, record, settlement), '{"q": "abc"}')
    assert line == {
        "position": 7,
        "id": "12345678-1234-4234-8234-123456789abc",
        "time": "2026-11-03T09:08:07.060504Z",
        "request_id": "7",
        "replica": "host-1",
        "subject": "alice",
        "grant_id": "file-0123456789ab",
        "grant_label": "alice's laptop",
        "roles": ["dev"],
        "route": "/mcp",
        "server": "github",
        "method": "tools/call",
        "tool": "search",
        "credentials": ["pat@2", "pat@3"],
        "policy": "acl",
        "policy_version": "76ab8a3db256",
        "decision": "allowed",
        "rule": "/acl/roles/dev/1",
        "reason": "role dev may read",
        "charges": [
            {
                "rule": "caps:/limits/0",
                "per": "hour",
                "each": {"grant": "g1", "tool": "s/tool/x"},
                "took": "2.50",
            },
            {"rule": "caps:/tools/*/limits/1", "per": "day", "each": {}, "took": "1"},
        ],
        "outcome": "tool_error",
        "detail": "no such row",
        "duration_ms": 250.0,
        "upstream_ms": 200.0,
        "upstream_status": 200,
        "request_bytes": 101,
        "answer_bytes": 102,
        "settled": "2026-11-03T09:08:07.310504Z",
        "client_ip": "127.0.0.1",
        "client_name": "claude-code",
        "client_version": "2.1",
        "arguments": {"q": {"type": "string", "size": 3}},
        "argument_prints": {"/q": "0123456789abcdef"},
        "argument_values": {"q": "abc"},
        "repeats": 1,
    }
    assert tuple(line) == FIELDS


def test_an_entry_under_way_has_all_fields() -> None:
    line = line_of(RecordEntry(1, a_record(), None))
    assert tuple(line) == FIELDS
    assert {name for name, value in line.items() if value is None} == {
        "outcome", "detail", "duration_ms", "upstream_ms", "upstream_status", "request_bytes", "answer_bytes", "settled",
        "arguments", "argument_prints", "argument_values",
    }  # fmt: skip


@pytest.mark.parametrize(
    "odd", ["x", "[]", "[1]", '[1,[[["a"],"1"]]]', '[1,[[["a","/b","day","","x"],"1"]]]']
)
def test_charges_that_nobody_wrote_are_shown_as_they_are(odd: str) -> None:
    line = line_of(RecordEntry(1, a_record(charges=odd), None))
    assert line["charges"] == odd


def test_what_a_call_took_is_among_the_bytes_that_the_chain_is_over() -> None:
    taken, edited = (
        a_record(id=ID, charges=f'[5,[[["p","/limits/0","day","",""],"{took}"]]]') for took in (9, 1)
    )
    assert (
        stored_record(taken).replace(b'\\"9\\"', b'\\"1\\"') == stored_record(edited) != stored_record(taken)
    )


def test_credentials_are_those_used_or_where_nobody_can_tell_those_in_reach() -> None:
    record = a_record(credentials=("pat@2",))
    for settlement, shown in (
        (None, ["pat@2"]),
        (its_settlement(record, Outcome.UNKNOWN), ["pat@2"]),
        (its_settlement(record, Outcome.UNKNOWN, credentials=("pat@3",)), ["pat@3"]),
        (its_settlement(record, Outcome.UPSTREAM_ERROR), []),
        (its_settlement(record, credentials=("pat@3",)), ["pat@3"]),
    ):
        assert line_of(RecordEntry(1, record, settlement))["credentials"] == shown


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ("", None),
        ("{}", {}),
        ('{"a":12345678901234567890}', {"a": 12345678901234567890}),
        ('{"a":0.1,"b":1.50}', {"a": 0.1, "b": 1.5}),
        ('{"a":0.1000000000000000055}', '{"a":0.1000000000000000055}'),
        ('{"a":1e999}', '{"a":1e999}'),
        ('{"a":NaN}', '{"a":NaN}'),
        ("9" * 5000, "9" * 5000),
        ("not json", "not json"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_arguments_are_shown_exactly(recorded: str, shown: Any) -> None:
    entry = RecordEntry(1, a_record(arguments=recorded), None)
    assert line_of(entry)["arguments"] == shown
    assert json.loads(json_line(entry))["arguments"] == shown


@settings(deadline=None)
@given(text=st.text(st.characters()), arguments=st.recursive(st.text(), st.lists))
def test_a_line_is_one_line_of_printable_ascii(text: str, arguments: Any) -> None:
    record = a_record(tool=text, reason=text, arguments=json.dumps(arguments, ensure_ascii=False))
    entry = RecordEntry(1, record, its_settlement(record, detail=text))
    written = json_line(entry)
    assert re.fullmatch(rb"[\x20-\x7e]+\n", written)
    assert json.loads(written) == line_of(entry)
    assert tuple(json.loads(written)) == FIELDS


def test_times_are_utc_with_six_decimals() -> None:
    assert rfc3339(START) == "2026-11-03T09:08:07.060504Z"
    east = timezone(timedelta(hours=5, minutes=30))
    assert rfc3339(datetime(2026, 1, 1, 0, 0, tzinfo=east)) == "2025-12-31T18:30:00.000000Z"


# --- the reference --------------------------------------------------------------------------------


def rows_of_table(heading: str) -> list[str]:
    text = REFERENCE.read_text()
    table = text[text.index(heading) :].split("\n\n", 1)[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_the_reference_tells_every_field_in_order() -> None:
    assert tuple(rows_of_table("| field |")) == FIELDS


def test_the_reference_tells_every_outcome_and_decision() -> None:
    assert rows_of_table("| `outcome` | means")[1:] == [outcome.value for outcome in Outcome]
    (decision,) = (line for line in REFERENCE.read_text().splitlines() if line.startswith("| `decision` |"))
    assert set(re.findall(r"`(\w+)`", decision)) - {"decision"} == {verdict.value for verdict in Verdict}
