"""People over real HTTP, without script: the list, one of them, changes, and seeing them off with a report."""

from __future__ import annotations

import csv
import io
import re
import threading
import time
from typing import Any

import pytest

from browser.injection import fitting
from coatcheck.console.web.rendering import link
from coatcheck.model.operator import OperatorRole
from houses import House
from visitor import Sheet, Visitor

NAMES = (
    "ada@example.com",
    'o\'hara "the boss"',
    "team/ops",
    "../../etc",
    "a?b#c&d=e%2F",
    "🦊 fox",
    "=cmd|' /C calc'!A0",
    "Zoë",
    "x" * 256,
)


def add(house: House, name: str, **more: Any) -> None:
    house.ask("POST", "/subjects", {"name": name, **more})


def issue(house: House, subject: str, label: str) -> str:
    return str(house.ask("POST", "/grants", {"label": label, "subject": subject, "servers": None})["token"])


def table(sheet: Sheet) -> list[list[str]]:
    return list(csv.reader(io.StringIO(sheet.html, newline="")))


def test_somebody_is_added_found_changed_disabled_and_enabled(house: House, admin: Visitor) -> None:
    admin.get("/people/new")
    wrong = admin.send("/people/new", name="", kind="person")
    assert (wrong.status, "name of an owner" in wrong.text) == (422, True)
    sheet = admin.send("/people/new", name=" dora ", kind="automation", roles="ops\n\n night ", note="Pager")
    assert sheet.path == "/people/one"
    assert "dora was added" in sheet.text
    for query, found in (("?q=PAGER", True), ("?q=night&kind=automation", True), ("?kind=person", False)):
        assert ("/people/one?name=dora" in admin.get(f"/people{query}").links) is found, query
    admin.get("/people/change?name=dora")
    stale = admin.page.form("/people/change").fields
    sheet = admin.send("/people/change", kind="person", roles="ops", note="Days")
    assert "Saved" in sheet.text
    told = house.ask("GET", "/subjects/dora")
    assert (told["kind"], told["roles"], told["note"]) == ("person", ["ops"], "Days")
    late = admin.post("/people/change", {**stale, "note": "mine"})
    assert (late.status, "changed meanwhile" in late.text, "mine" in late.html) == (409, True, True)
    admin.get("/people/disable?name=dora")
    sheet = admin.send("/people/disable", because="on leave")
    assert "dora is disabled. Nothing was under way. The grants are kept." in sheet.text
    assert "on leave" in sheet.text
    assert "/people/one?name=dora" in admin.get("/people?state=disabled").links
    admin.get("/people/one?name=dora")
    assert "is let in again" in admin.send("/people/enable").text


def test_offboarding_ends_all_of_it_and_the_report_names_it(house: House, admin: Visitor) -> None:
    add(house, "eve", note="Orders")
    add(house, "eves-bot", kind="automation", note="owner: eve")
    token = issue(house, "eve", "eve-laptop")
    issue(house, "eve", "eve-old")
    house.ask("POST", "/grants/eve-old/revoke", {"because": "lost"})
    house.ask("POST", "/credentials", {"name": "mail", "owner": "eve", "material": "s3cret-value"})
    assert house.office.hall.call("echo", {}, grant=token).status == 200
    owner = house.stranger()
    owner.get("/login/grant")
    owner.send("/login/grant", token=token)

    page = admin.get("/people/offboard?name=eve")
    assert "1 grant revoked, for ever : eve-laptop" in page.text.replace("ever:", "ever :")
    assert "1 browser signed out" in page.text
    report = admin.send("/people/offboard", because="left")
    assert (report.status, report.path) == (200, "/people/report")
    assert "eve is offboarded: 1 grant revoked" in report.text
    for said in (
        "eve-laptop",
        "because: left",
        "mail",
        "eves-bot",
        "Browsers signed out 1",
        "1 grant had ended before",
    ):
        assert said in report.text, said
    assert house.office.hall.call("echo", {}, grant=token).status == 401
    assert owner.get("/mine", follow=False).status == 303

    rows = table(admin.get("/people/report.csv?name=eve"))
    assert {tuple(row[:4]) for row in rows[1:]} >= {
        ("ended", "grant", "eve-laptop", "revoked"),
        ("ended", "browsers signed out", "1", ""),
        ("ended before", "grant", "eve-old", "revoked"),
        ("to do", "credential", "mail", "rotate"),
        ("to do", "automation", "eves-bot", "find a new owner"),
    }
    text = admin.get("/people/report.txt?name=eve").html
    assert "TO DO\n- credential · mail · rotate" in text
    assert "s3cret-value" not in report.html + text + str(rows)
    again = admin.get("/people/one?name=eve").text
    assert "Disabled: refused however they come" in again


def test_a_call_under_way_is_told_before_and_cancelled(house: House, admin: Visitor) -> None:
    token = issue(house, "fay", "fay-laptop")
    hall = house.office.hall
    hall.peer.release.clear()
    answers: list[int] = []
    caller = threading.Thread(target=lambda: answers.append(hall.call("hang", {}, grant=token).status))
    caller.start()
    try:
        limit = time.monotonic() + 10
        while "1 call under way" not in admin.get("/people/offboard?name=fay").text:
            assert time.monotonic() < limit, admin.page.text
            time.sleep(0.05)
        assert "1 call ended within" in admin.send("/people/offboard").text
        caller.join(10)
        assert not caller.is_alive()
        assert answers == [401]
    finally:
        hall.peer.release.set()
        caller.join(10)
    assert hall.call("echo", {}, grant=token).status == 401
    assert "Calls cancelled 1" in admin.get("/people/report?name=fay").text


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_kind_work_on_every_page(house: House, admin: Visitor, name: str) -> None:
    add(house, name)
    pages = ("one", "change", "offboard", "disable", "report")
    for page in pages:
        sheet = admin.get(link(f"/people/{page}", name=name))
        assert sheet.status == 200, (page, sheet.text)
        assert " ".join(name.split()) in sheet.text
    assert link("/people/one", name=name) in admin.get(link("/people", q=name)).links
    admin.get(link("/people/change", name=name))
    assert "Saved" in admin.send("/people/change", note="seen").text
    admin.get(link("/people/offboard", name=name))
    assert admin.send("/people/offboard").path == "/people/report"
    rows = table(admin.get(link("/people/report.csv", name=name)))
    assert rows[1][2] == (f"'{name}" if name.startswith("=") else name)
    assert admin.get(link("/people/report.txt", name=name)).status == 200
    admin.get(link("/people/one", name=name))
    assert "is let in again" in admin.send("/people/enable").text


def test_nothing_that_somebody_is_called_becomes_markup(house: House, admin: Visitor) -> None:
    shown = [
        payload
        for payload in fitting(256)
        if payload.isprintable() and payload == payload.strip() and not payload.startswith("-")
    ]
    assert len(shown) > 25
    for payload in shown:
        add(house, payload, note=payload[:200])
    for number, payload in enumerate(shown):
        sheet = admin.get(link("/people/one", name=payload))
        assert sheet.status == 200, number
        assert payload in sheet.text or " ".join(payload.split()) in sheet.text, number
        if "<" in payload:
            assert payload not in sheet.html, number
        assert "<script>globalThis" not in sheet.html


def test_who_may_only_read_sees_no_buttons_and_the_report_without_operators(
    house: House, admin: Visitor
) -> None:
    add(house, "gil")
    house.ask("POST", "/operators", {"name": "gil", "role": "auditor"})
    viewer = house.as_role(OperatorRole.VIEWER.value)
    sheet = viewer.get("/people/one?name=gil")
    assert (sheet.status, [form.action for form in sheet.forms if form.action.startswith("/people/")]) == (
        200,
        [],
    )
    assert "Changes" not in sheet.text
    assert "/people/new" not in viewer.get("/people").links
    assert "operator" not in viewer.get("/people/report.csv?name=gil").html
    assert "operator" in admin.get("/people/report.csv?name=gil").html
    assert "can still sign in" in admin.get("/people/report?name=gil").text
    assert "can still sign in" not in viewer.get("/people/report?name=gil").text
    assert "1 thing left to do" in admin.page.text, "the count is of what may be known"
    assert "thing left to do" not in viewer.page.text


def test_where_somebody_is_signed_in_is_for_those_who_may_end_it(house: House, admin: Visitor) -> None:
    token = issue(house, "hal", "hal-laptop")
    owner = house.stranger()
    owner.get("/login/grant")
    owner.send("/login/grant", token=token)
    assert "from 127.0.0.1" in admin.get("/people/one?name=hal").text
    sheet = house.as_role(OperatorRole.AUDITOR.value).get("/people/one?name=hal")
    assert ("Signed in at 1 browser." in sheet.text, "127.0.0.1" in sheet.text) == (True, False)


def test_who_was_offboarded_by_a_program_has_the_same_report(house: House, admin: Visitor) -> None:
    token = issue(house, "ivy", "ivy-laptop")
    owner = house.stranger()
    owner.get("/login/grant")
    owner.send("/login/grant", token=token)
    ended = house.ask("POST", "/subjects/ivy/offboard", {"because": "left"})
    assert (ended["browsers"], len(ended["revoked"])) == (1, 1)
    report = admin.get("/people/report?name=ivy").text
    assert ("Browsers signed out 1" in report, "not known any more" in report) == (True, False)


def test_a_reason_that_somebody_wrote_is_shown_as_they_wrote_it(house: House, admin: Visitor) -> None:
    """Pages stand in place of commands in our own messages; what others said is a fact."""
    reason = "saw them run coatcheck grant revoke zed-laptop"
    add(house, "zed")
    house.ask("POST", "/subjects/zed/disable", {"because": reason})
    assert reason in admin.get(link("/people/one", name="zed")).text
    missing = admin.get("/grants/zed-laptop")
    assert missing.status == 404
    assert "coatcheck grant" not in missing.text
    assert "Grants" in missing.text, missing.text


@pytest.mark.parametrize(
    ("verb", "named", "not_named"),
    [("offboard", "Grants that end", "refused"), ("disable", "Grants that are refused", "that end")],
)
def test_what_becomes_of_grants_is_what_their_table_is_called(
    house: House, admin: Visitor, verb: str, named: str, not_named: str
) -> None:
    house.ask("POST", "/grants", {"label": f"ula-{verb}", "subject": "ula", "servers": None})
    (label,) = re.findall(r'role="region" aria-label="([^"]*)"', admin.get(f"/people/{verb}?name=ula").html)
    assert (named in label, not_named in label) == (True, False), label


def test_nobody_is_told_kindly(admin: Visitor) -> None:
    for page in ("one", "change", "offboard", "report", "report.csv"):
        assert admin.get(f"/people/{page}?name=nobody-here").status == 404
        assert admin.get(f"/people/{page}").status == 404
    assert "Nobody is like that" in admin.get("/people?q=nobody-here").text
