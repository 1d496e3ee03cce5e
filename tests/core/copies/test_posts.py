"""What is posted: OpenTelemetry's JSON and the signature of a webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.copies.otlp import logs_request
from coatcheck.core.copies.signing import is_signed, signature_of
from coatcheck.model.record import Verdict
from coatcheck.model.secret import Secret
from coatcheck.model.sink import Copy, Trial
from doubles.copies import a_change_copy, a_copy
from ledgers import START

KEY = Secret("0123456789abcdef")


def records_of(body: bytes) -> list[dict[str, Any]]:
    logs = json.loads(body)["resourceLogs"][0]
    assert {"key": "service.name", "value": {"stringValue": "coatcheck"}} in logs["resource"]["attributes"]
    found: list[dict[str, Any]] = logs["scopeLogs"][0]["logRecords"]
    return found


def test_log_records() -> None:
    copies = [a_copy(1, decision=Verdict.DENIED), a_change_copy(2), Copy(0, Trial(START))]
    first, second, third = records_of(logs_request(copies, datetime(2026, 11, 4, tzinfo=UTC), {}))
    assert first["timeUnixNano"] == "1793696887060504000"
    assert first["observedTimeUnixNano"] == "1793750400000000000"
    assert (first["severityNumber"], first["severityText"], first["eventName"]) == (13, "WARN", "coatcheck.call.denied")  # fmt: skip
    values = {each["key"]: each["value"] for each in first["attributes"]}
    assert values["coatcheck.seq"] == {"intValue": "1"}
    assert values["coatcheck.duration_ms"] == {"doubleValue": 250.0}
    assert values["coatcheck.subject"] == {"stringValue": "alice"}
    assert second["eventName"] == "coatcheck.grant.issue"
    assert third["body"]["stringValue"].startswith("a test entry")


@given(st.binary(max_size=100), st.integers(0, 1 << 40))
def test_only_the_same_post_bears_the_signature(body: bytes, timestamp: int) -> None:
    signed = signature_of(KEY, timestamp, body)
    assert signed == "v1=" + hmac.new(b"0123456789abcdef", str(timestamp).encode() + b"." + body, hashlib.sha256).hexdigest()  # fmt: skip
    assert is_signed(KEY, timestamp, body, signed)
    assert not is_signed(KEY, timestamp + 1, body, signed)
    assert not is_signed(KEY, timestamp, body + b" ", signed)
    assert not is_signed(Secret("another-secret-entirely"), timestamp, body, signed)


@pytest.mark.parametrize("signature", ["", "v1=", "v2=00", "ü"])
def test_what_is_no_signature_is_none(signature: str) -> None:
    assert not is_signed(KEY, 1, b"{}", signature)
