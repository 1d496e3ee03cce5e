"""Activity over the API: what was called is counted, for every role, and nobody is named."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from journeys.operating import Office


def complete(office: Office, path: str, role: str, server: str = "") -> Any:
    """Return what a path tells once all of it is counted, the calls of a server among it if one is named."""
    until = time.monotonic() + 20
    while True:
        told = office.ask("GET", path, role).body
        called = {one.get("name") for one in told["items"] if one["counts"] and one["counts"]["calls"]}
        if told["complete"] and (not server or server in called):
            return told
        assert time.monotonic() < until, told
        time.sleep(0.05)


def test_a_call_is_counted_within_moments(office: Office) -> None:
    complete(office, "/activity/servers", "viewer")
    office.hall.good()
    office.hall.call("echo", {}, grant="cckg_nobody")
    office.ask(
        "POST", "/grants", "admin", {"label": "short", "subject": "bob-of-the-grants", "servers": None}
    )
    told = complete(office, "/activity/servers", "viewer", "srv")
    found = next(one["counts"] for one in told["items"] if one["name"] == "srv")
    assert found["failed"] == 0
    assert found["p50_seconds"] <= found["longest_seconds"]
    assert found["last"].endswith("Z")


@pytest.mark.parametrize(("step", "most"), [("5m", 289), ("1h", 25), ("1d", 2)])
def test_a_series_is_told_step_by_step(office: Office, step: str, most: int) -> None:
    told = complete(office, f"/activity?step={step}", "auditor")
    assert told["step"] == step
    assert most - 1 <= len(told["items"]) <= most
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
