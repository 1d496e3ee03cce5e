"""The log over real HTTP, without script: calls and their filters, one call, changes, refusals, the chain, files."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from urllib.parse import quote

import pytest

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
    ("query", "at_least", "words"),
    [
        ("decision=refused", 2, "nobody"),
        ("decision=hidden", 1, "denied"),
        ("decision=not_allowed", 3, "refused"),
        ("decision=allowed&tool=echo", 3, "echo"),
        ("outcome=ok", 3, "echo"),
        ("outcome=not_well", 3, "refused"),
        ("errors=yes", 3, "refused"),
        ("address=127.0.0.1", 6, "127.0.0.1"),
        ("server=srv&since=1h", 3, "srv"),
        ("q=ECH", 3, "echo"),
    ],
)
def test_a_filter_in_the_address_keeps_what_it_says(
    admin: Visitor, query: str, at_least: int, words: str
) -> None:
    page = admin.get(f"/log?{query}")
    found = numbers(page)
    assert at_least <= len(found) <= len(numbers(admin.get("/log")))
    assert words in page.text


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
def test_an_export_is_what_the_filter_says(admin: Visitor, form: str) -> None:
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
    assert f"record.{'export'}" in admin.get("/log/changes?action=record.export").html


def test_a_bundle_is_a_file_for_auditors(house: House) -> None:
    auditor = house.as_role("auditor")
    assert auditor.get("/log/evidence").status == 200
    refused = auditor.get("/log/evidence/file?grant=a&server=b")
    assert (refused.status, "one grant, one subject, one server" in refused.text) == (422, True)
    sheet = auditor.get("/log/evidence/file?since=1h")
    assert sheet.header("content-type") == "application/zip"
    assert sheet.html.startswith("PK")
    assert "take" in auditor.get("/log/changes").text or "evidence record" in auditor.get("/log/changes").text


def test_looking_is_on_record_and_a_poll_is_not_told_again(house: House) -> None:
    auditor = house.enter("auditor")
    name = next(reversed(house.names))
    for _ in range(3):
        assert auditor.get("/log", {"X-Poll": "1"}).status == 200
    changes = house.ask("GET", "/changes", actor=name, kind="record")["items"]
    assert [one["action"] for one in changes] == ["record.read"]
