"""The log over real HTTP, without script: calls and their filters, one call, changes, refusals, the chain, files."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import pytest

from coatcheck.console.pages.log.asking import LogQuery, Matching, Terms
from coatcheck.console.pages.log.taking import ExportQuery
from coatcheck.console.web import forms
from coatcheck.console.web.rendering import link
from houses import House
from visitor import Sheet, Visitor

CALL = re.compile(r'href="/log/calls/([0-9]+)"')


@pytest.fixture(scope="module", autouse=True)
def played(house: House) -> None:
    """Let there be calls that went well and were hidden, and tokens that were refused."""
    hall = house.office.hall
    for number in range(3):
        assert hall.call("echo", {"text": f"word {number}"}).status == 200
    hall.call("denied")
    for _ in range(2):
        assert hall.ask("tools/list", grant="cckg_" + "0" * 40).status == 401
    issued = house.ask("POST", "/grants", {"label": "gone", "subject": "ada", "servers": None})
    house.ask("POST", f"/grants/{issued['grant']['id']}/revoke", {"because": "a test"})
    assert hall.ask("tools/list", grant=issued["token"]).status == 401


def numbers(page: Sheet) -> Sequence[str]:
    assert page.status == 200, page.text[:2000]
    return CALL.findall(page.html)


def test_calls_are_shown_newest_first_each_with_a_page_of_its_own(admin: Visitor) -> None:
    page = admin.get("/log")
    found = [int(number) for number in numbers(page)]
    assert len(found) >= 6
    assert found == sorted(found, reverse=True)
    assert "echo" in page.text


@pytest.mark.parametrize(
    ("query", "at_least", "kept"),
    [
        ("decision=refused", 2, lambda one: one["decision"] == "refused"),
        ("decision=hidden", 1, lambda one: one["decision"] == "hidden"),
        ("decision=not_allowed", 3, lambda one: one["decision"] != "allowed"),
        ("decision=allowed&tool=echo", 3, lambda one: (one["decision"], one["tool"]) == ("allowed", "echo")),
        ("outcome=ok", 3, lambda one: one["outcome"] == "ok"),
        ("outcome=not_well", 3, lambda one: one["outcome"] != "ok"),
        ("errors=yes", 3, lambda one: one["outcome"] != "ok"),
        ("server=srv&since=1h", 3, lambda one: one["server"] == "srv"),
        ("q=ECH", 3, lambda one: "echo" in one["tool"]),
    ],
)
def test_a_filter_in_the_address_keeps_what_it_says_and_no_other(
    house: House, admin: Visitor, query: str, at_least: int, kept: Callable[[dict[str, Any]], bool]
) -> None:
    """What is kept is told of each record, as the API has them without a filter."""
    records, found = shown_of(house, admin, f"/log?{query}")
    meant = [str(one["position"]) for one in reversed(records) if kept(one)]
    assert at_least <= len(meant) < len(records)
    assert found == meant[:50]


def test_an_address_keeps_what_came_from_it(house: House, admin: Visitor) -> None:
    records, found = shown_of(house, admin, "/log?address=127.0.0.1")
    assert found == [str(one["position"]) for one in reversed(records)][:50]
    assert not numbers(admin.get("/log?address=192.0.2.1"))


def shown_of(house: House, admin: Visitor, path: str) -> tuple[list[dict[str, Any]], Sequence[str]]:
    """Return the record, and which of it a page shows: what repeats is put on it a moment later."""
    for _ in range(20):
        records = house.office.hall.records()
        found = numbers(admin.get(path))
        if house.office.hall.records() == records:
            return records, found
    raise AssertionError("the record does not come to rest")


@pytest.mark.parametrize(
    "query",
    [
        "subject=nobody",
        "grant=none",
        "tool=echo&decision=denied",
        "client=none",
        "q=no-such-word",
        "until=7d",
    ],
)
def test_a_filter_that_nothing_meets_says_so(admin: Visitor, query: str) -> None:
    page = admin.get(f"/log?{query}")
    assert not numbers(page)
    assert "No call like this" in page.text


def test_failures_and_refusals_are_told_apart(admin: Visitor) -> None:
    assert not numbers(admin.get("/log?outcome=failed"))
    not_well, refused = (
        numbers(admin.get("/log?outcome=not_well")),
        numbers(admin.get("/log?decision=not_allowed")),
    )
    assert set(refused) == set(not_well)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("since=yesterday", "Say an age"),
        ("address=nowhere", "no IP address"),
        ("decision=maybe", "'maybe' is none of allowed"),
        ("since=1h&until=2h", "ends before it begins"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_words(admin: Visitor, query: str, words: str) -> None:
    page = admin.get(f"/log?{query}")
    assert (page.status, words in page.text) == (200, True), page.text


def test_each_row_leads_to_whoever_called_by_which_grant_and_where(house: House, admin: Visitor) -> None:
    page = admin.get("/log?tool=echo&decision=allowed")
    grant = next(one["id"] for one in house.ask("GET", "/grants")["items"] if one["subject"] == "alice")
    assert {"/people/one?name=alice", f"/grants/{grant}", "/servers/srv"} <= set(page.links)
    gone = admin.get("/log?q=revoked&decision=refused")
    assert "nobody gone " in gone.text, "what still knocks is told by its label"
    assert "a grant that was revoked" in gone.text, "and why by words, not by a code"


def test_times_have_seconds_and_the_day_where_it_changes(admin: Visitor) -> None:
    page = admin.get("/log")
    times = re.findall(r'data-when="clock">([^<]*)</time>', page.html)
    assert len(times) >= 6
    assert re.fullmatch(r"\d{4}-\d\d-\d\d, \d\d:\d\d:\d\d UTC", times[0]), times[0]
    assert all(re.fullmatch(r"(\d{4}-\d\d-\d\d, )?\d\d:\d\d:\d\d UTC", one) for one in times)
    assert sum(", " in one for one in times) <= 2, "the tests run on one day, or over midnight"


@pytest.mark.parametrize(
    ("query", "is_open"), [("tool=echo", True), ("server=srv&q=e", False), ("until=1h", True)]
)
def test_filters_that_are_folded_away_are_shown_where_one_is_set(
    admin: Visitor, query: str, is_open: bool
) -> None:
    (fold,) = re.findall(r'<details class="fold log-more"( open)?>', admin.get(f"/log?{query}").html)
    assert bool(fold) is is_open


def test_a_condition_can_be_taken_off_by_its_link(admin: Visitor) -> None:
    page = admin.get("/log?tool=echo&decision=allowed")
    assert {"/log?decision=allowed", "/log?tool=echo"} <= set(page.links)


def test_older_calls_are_on_the_next_page(house: House, admin: Visitor) -> None:
    for number in range(51):
        assert house.office.hall.call("echo", {"text": str(number)}).status == 200
    first = admin.get("/log?tool=echo")
    assert len(numbers(first)) == 50
    (older,) = (link for link in first.links if "before=" in link)
    second = admin.get(older)
    assert max(map(int, numbers(second))) < min(map(int, numbers(first)))
    assert "/log?tool=echo" in second.links, "the way back to the newest"
    assert "data-live" in first.html
    assert "data-live" not in second.html, "what is old does not change"


def test_a_call_tells_its_whole_story(admin: Visitor) -> None:
    number = numbers(admin.get("/log?tool=echo&decision=allowed"))[0]
    page = admin.get(f"/log/calls/{number}")
    assert page.status == 200
    for words in (
        "srv / echo",
        f"Put on record as entry {number}",
        "Asked srv",
        "Ended: ok",
        "text",
        "Receipt",
    ):
        assert words in page.text, words
    assert "word" not in page.text, "values were not kept"
    record = re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f-]{21}", page.text)
    assert record is not None
    assert f"as entry {number}" in admin.get(f"/log/calls/{record[0]}").text, "it is found by its id as well"


@pytest.mark.parametrize(
    "ref", ["999999", "0", "nothing", quote("x y"), "00000000-0000-4000-8000-000000000000"]
)
def test_a_call_that_there_is_not_is_missing(admin: Visitor, ref: str) -> None:
    assert admin.get(f"/log/calls/{ref}").status == 404


def test_an_entry_is_verified_up_to_its_checkpoint(house: House, admin: Visitor) -> None:
    number = numbers(admin.get("/log?tool=echo"))[-1]
    admin.get("/log/verify")
    signed = admin.send("/log/checkpoint")
    assert "Signed: the record up to entry" in signed.text
    page = admin.get(f"/log/calls/{number}?verify=yes")
    assert "As it was written" in page.text
    assert "lead up to the checkpoint of entry" in page.text


def test_a_refusal_has_a_story_as_well(admin: Visitor) -> None:
    number = numbers(admin.get("/log?decision=refused"))[0]
    page = admin.get(f"/log/calls/{number}")
    assert "Refused by (identity)" in page.text


def test_changes_show_before_and_after(admin: Visitor) -> None:
    page = admin.get("/log/changes?action=grant.revoke")
    assert page.status == 200
    assert "revoke grant" in page.text
    assert "a test" in page.text
    assert '<ins class="diff-line">' in page.html
    assert "No change like this" in admin.get("/log/changes?actor=nobody").text
    assert "No change like this" in admin.get("/log/changes?object=gone&kind=server").text
    assert "issue grant" in admin.get("/log/changes?object=gone").text
    assert "Say an age" in admin.get("/log/changes?since=soon").text


def test_refusals_are_folded_and_name_what_was_presented(house: House, admin: Visitor) -> None:
    stranger = house.stranger()
    stranger.get("/login")
    stranger.send("/login", name="ada", password="not the one at all")
    page = admin.get("/log/refusals")
    assert page.status == 200
    for words in (
        "what is no token",
        "a grant that was revoked",
        "a wrong password or link",
        "still knocking",
    ):
        assert words in page.text, words
    only = admin.get("/log/refusals?knocking=yes")
    assert "a grant that was revoked" in only.text
    assert "what is no token" not in only.text


def test_the_newest_entries_are_judged_on_demand(admin: Visitor) -> None:
    page = admin.get("/log/verify?check=yes")
    assert "are as they were written" in page.text
    assert "coatcheck audit verify --data" in page.text


@pytest.mark.parametrize("form", ["jsonl", "csv", "cef"])
def test_an_export_is_what_the_filter_says(house: House, admin: Visitor, form: str) -> None:
    before = changes_of(house, "record.export")
    sheet = admin.get(f"/log/export/file?format={form}&tool=echo&decision=allowed")
    assert sheet.status == 200
    assert sheet.header("content-disposition") == f'attachment; filename="record.{form}"'
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(sheet.html)))
        assert len(rows) >= 3
        assert {row["tool"] for row in rows} == {"echo"}
    elif form == "jsonl":
        assert json.loads(sheet.html.splitlines()[0])
    else:
        assert all(line.startswith("CEF:") for line in sheet.html.splitlines())
    assert admin.get("/log/export?tool=echo").status == 200
    assert changes_of(house, "record.export") == [*before, admin.name]


def changes_of(house: House, action: str) -> list[str]:
    """Return who did this, each time, the oldest first."""
    changes = house.ask("GET", "/changes", kind="record", limit=500)["items"]
    return [one["actor"] for one in changes if one["action"] == action]


SAID = {"address": "127.0.0.1", "client_ip": "127.0.0.1", "decision": "denied", "outcome": "failed", "since": "7d", "until": "1h", "errors": "yes"}  # fmt: skip
"""What can be asked of conditions that do not take any text."""


@pytest.mark.parametrize("name", Matching.__struct_fields__)
def test_every_condition_of_the_log_is_handed_on_to_its_export(admin: Visitor, name: str) -> None:
    fields = {name: (SAID.get(name, "tools/list"),)}
    wanted = Terms(forms.read_query(LogQuery, fields)).said
    assert wanted, "it restricts nothing"
    page = admin.get(link("/log", **fields))
    shown = page.form("/log").fields
    assert {one: shown[one][-1] for one in wanted} == wanted, "the filters of the page say the same"
    (export,) = [one for one in page.links if one.startswith("/log/export?")]
    sent = {one: tuple(said) for one, said in admin.get(export).form("/log/export/file").fields.items()}
    assert Terms(forms.read_query(ExportQuery, sent)).said == wanted
    assert forms.read_query(ExportQuery, sent).format == "jsonl"


def test_what_is_downloaded_is_what_was_looked_at(house: House, admin: Visitor) -> None:
    assert house.office.hall.ask("tools/list").status == 200
    page = admin.get("/log?method=tools/list")
    admin.get(next(one for one in page.links if one.startswith("/log/export?")))
    fields = admin.page.form("/log/export/file").fields
    sheet = admin.get(link("/log/export/file", **{**fields, "format": "csv"}))
    rows = list(csv.DictReader(io.StringIO(sheet.html)))
    assert {row["method"] for row in rows} == {"tools/list"}
    assert len(rows) == len(numbers(page))


def test_a_bundle_is_a_file_for_auditors(house: House) -> None:
    auditor = house.as_role("auditor")
    before = changes_of(house, "record.evidence")
    assert auditor.get("/log/evidence").status == 200
    refused = auditor.get("/log/evidence/file?grant=a&server=b")
    assert (refused.status, "one grant, one subject, one server" in refused.text) == (422, True)
    sheet = auditor.get("/log/evidence/file?since=1h")
    assert sheet.header("content-type") == "application/zip"
    assert sheet.html.startswith("PK")
    assert changes_of(house, "record.evidence") == [*before, auditor.name]


def test_looking_is_on_record_and_a_poll_is_not_told_again(house: House) -> None:
    auditor = house.enter("auditor")
    for _ in range(3):
        assert auditor.get("/log", {"X-Poll": "1"}).status == 200
    changes = house.ask("GET", "/changes", actor=auditor.name, kind="record")["items"]
    assert [one["action"] for one in changes] == ["record.read"]
