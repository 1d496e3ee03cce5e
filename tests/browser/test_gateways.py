"""The gateways that tests of pages look at: operators sign in as people do, and a company has lived in one."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from browser.consoles import Console, LivedIn
from browsers import NARROW, Watch, assert_accessible, assert_fits
from coatcheck.model.operator import OperatorRole


@pytest.mark.parametrize("role", list(OperatorRole))
def test_an_operator_of_each_role_is_signed_in(lived_in: LivedIn, role: OperatorRole) -> None:
    page = lived_in.page(role.value)
    page.goto("/confirm")
    assert page.url == f"{lived_in.origin}/confirm"
    again = lived_in.page(role.value, script=False)  # by the cookies of the first one
    again.goto("/confirm")
    assert again.url == f"{lived_in.origin}/confirm"


def test_a_visitor_is_not_signed_in(lived_in: LivedIn) -> None:
    page = lived_in.visitor(size=NARROW)
    page.goto("/confirm")
    assert "/login" in page.url
    assert_accessible(page)
    assert_fits(page)


def test_a_gateway_of_the_tests_own_has_nothing_in_it(console: Console, watch: Watch) -> None:
    assert [console.ask("GET", path)["items"] for path in ("/servers", "/grants")] == [[], []]
    page = console.page("viewer")
    with watch.expecting("status of 404"):
        answer = page.goto("/nothing/here")
    assert answer is not None
    assert answer.status == 404


def test_a_company_has_lived_in_the_other(lived_in: LivedIn) -> None:
    ask = lived_in.ask
    servers = {one["name"]: one for one in ask("GET", "/servers")["items"]}
    assert len(servers) == 8
    states_of_servers = Counter(one["state"] for one in servers.values())
    assert states_of_servers["failing"] == 1
    assert states_of_servers["ready"] + states_of_servers["idle"] == 7, "children that nobody calls rest"
    people = [one for one in ask("GET", "/subjects")["items"] if not one["name"].endswith(".example")]
    kinds = Counter(one["kind"] for one in people)  # the others are what tests bring along
    assert kinds == {"person": 14, "automation": 3}
    grants = {one["label"]: one for one in ask("GET", "/grants")["items"]}
    states = Counter(one["state"] for one in grants.values())
    assert {"live": states["live"], "revoked": 1, "expired": 1, "unclaimed": 1} == states
    assert states["live"] >= 22
    soon = datetime.now(UTC) + timedelta(days=7)
    ending = [one for one in grants.values() if one["state"] == "live" and _before(one["expires_at"], soon)]
    assert {one["label"] for one in ending} == {"carla-laptop", "nightly-report-old"}
    assert sum(one["last_used"] is None for one in grants.values() if one["state"] == "live") >= 4
    found = Counter(one["state"] for one in ask("GET", "/credentials")["items"])
    assert found == {"ok": 4, "due": 1, "overdue": 1, "failing": 1}
    assert sum(bool(one["uses"]) for one in ask("GET", "/policies")["items"]) == 4
    assert [one["tool"] for one in ask("GET", "/tools/changes")["items"]] == ["create_issue"]
    assert {one["role"] for one in ask("GET", "/operators")["items"]} == set(OperatorRole)
    assert [(one["name"], one["lag"]) for one in ask("GET", "/sinks")["items"]] == [("archive", 0)]


def test_its_day_had_calls_at_all_hours_refusals_and_failures(lived_in: LivedIn) -> None:
    records = lived_in.world.records()
    day = datetime.now(UTC) - timedelta(hours=25)
    assert len(records) >= 400
    assert all(datetime.fromisoformat(one["time"]) > day for one in records)
    assert [one["time"] for one in records] == sorted(one["time"] for one in records)
    assert len({one["time"][:13] for one in records}) >= 20
    decided = Counter(one["decision"] for one in records)
    assert decided.keys() == {"allowed", "denied", "hidden", "refused"}
    outcomes = Counter(one["outcome"] for one in records)
    assert outcomes.keys() >= {"ok", "denied", "tool_error", "upstream_error"}
    noah = next(one["id"] for one in lived_in.ask("GET", "/grants")["items"] if one["label"] == "noah-laptop")
    knocks = [one["repeats"] for one in records if one["grant_id"] == noah and one["reason"] == "revoked"]
    assert sum(knocks) >= 4


def test_its_record_is_whole(lived_in: LivedIn) -> None:
    """What was played was recorded as everything is: the chain holds, and so do the signed checkpoints."""
    told = lived_in.ask("GET", "/status")
    assert told["checkpoints"]["alarms"] == []
    assert told["damaged"] == []
    assert told["checkpoints"]["head"] > 900


def _before(text: str | None, moment: datetime) -> bool:
    return text is not None and datetime.fromisoformat(text) < moment
