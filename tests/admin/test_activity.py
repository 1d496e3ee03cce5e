"""Activity over the API: what was called is counted, for every role, and nobody is named."""

from __future__ import annotations

import json
import time

import pytest

from journeys.operating import Office


def test_a_call_is_counted_within_moments(office: Office) -> None:
    before = office.ask("GET", "/activity/servers", "viewer").body
    assert before["complete"]
    office.hall.good()
    office.hall.call("echo", {}, grant="cckg_nobody")
    office.ask(
        "POST", "/grants", "admin", {"label": "short", "subject": "bob-of-the-grants", "servers": None}
    )
    for _ in range(50):
        time.sleep(0.1)
        told = office.ask("GET", "/activity/servers", "viewer")
        if any(one["name"] == "srv" and one["counts"]["calls"] for one in told.body["items"]):
            break
    found = next(one["counts"] for one in told.body["items"] if one["name"] == "srv")
    assert found["failed"] == 0
    assert found["p50_seconds"] <= found["longest_seconds"]
    assert found["last"].endswith("Z")


@pytest.mark.parametrize(("step", "most"), [("5m", 289), ("1h", 25), ("1d", 2)])
def test_a_series_is_told_step_by_step(office: Office, step: str, most: int) -> None:
    told = office.ask("GET", f"/activity?step={step}", "auditor").body
    assert told["step"] == step
    assert most - 1 <= len(told["items"]) <= most
    assert told["complete"]
    assert told["back_to"] == told["items"][0]["at"]
    assert told["whole"]["calls"] == sum(one["counts"]["calls"] for one in told["items"])
    of_none = office.ask("GET", f"/activity?step={step}&server=nothing", "viewer").body
    assert of_none["whole"]["calls"] == 0
    assert of_none["whole"]["p50_seconds"] is None
    assert "bob" not in json.dumps(told)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("step=2h", 400, "bad_filter"),
        ("since=yesterday", 400, "bad_filter"),
        ("since=2026-11-02T00:00:00Z&until=2026-11-01T00:00:00Z", 400, "bad_filter"),
        ("since=2020-01-01T00:00:00Z", 422, "unfit"),
        ("since=9998-01-01T00:00:00Z", 422, "unfit"),
        ("since=0001-01-01T00:00:00Z", 422, "unfit"),
        ("grant=g1", 400, "bad_filter"),
    ],
)
def test_what_cannot_be_counted_is_refused(office: Office, query: str, status: int, code: str) -> None:
    assert office.ask("GET", "/activity?step=1d", "viewer").status == 200
    told = office.ask("GET", f"/activity?{query}", "viewer")
    assert (told.status, told.code) == (status, code)
