"""The log and the settings in a real browser, with a client that makes calls beside them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser.consoles import Console, LivedIn
from browser.injection import PAYLOADS, nothing_ran
from browsers import NARROW, Watch, assert_accessible, assert_fits
from houses import PASSWORD

LOG = ("/log", "/log?outcome=failed", "/log/changes", "/log/refusals", "/log/verify?check=yes", "/log/export", "/log/evidence")  # fmt: skip
SETTINGS = (
    "/settings/operators", "/settings/roles", "/settings/tokens", "/settings/sessions", "/settings/me", "/settings/sinks",
    "/settings/keys", "/settings/sign-on", "/settings/configuration", "/settings/about", "/settings/operators/priya.raman",
    "/settings/invite", "/settings/me/token", "/settings/operators/priya.raman/end",
)  # fmt: skip


def called(lived_in: LivedIn, tool: str, server: str = "github", **arguments: Any) -> int:
    return lived_in.world.call("ada-laptop", server, tool, arguments)


@pytest.mark.parametrize("paths", [LOG, SETTINGS], ids=["log", "settings"])
def test_the_pages_can_be_used_by_everybody(lived_in: LivedIn, paths: tuple[str, ...]) -> None:
    page = lived_in.page("admin", size=NARROW)
    for path in paths:
        answer = page.goto(path)
        assert answer is not None
        assert (answer.ok, page.url) == (True, f"{lived_in.origin}{path}")
        assert_fits(page)
        assert_accessible(page)


def test_one_calls_story_can_be_read_by_everybody(lived_in: LivedIn) -> None:
    page = lived_in.page("auditor")
    page.goto("/log?q=get_issue&decision=allowed")
    page.locator("#tail tbody a").first.click()
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    page.get_by_role("link", name="Verify this entry").click()
    expect(page.get_by_text(re.compile("As it was written|As the chain has it"))).to_be_visible()
    assert_accessible(page)
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    assert_fits(page)


def test_a_call_shows_by_itself_until_the_log_is_paused(lived_in: LivedIn) -> None:
    page = lived_in.page("auditor")
    page.goto("/log?tool=list_issues")
    first = page.locator("#tail tbody tr").first.locator("a.name")
    before = str(first.get_attribute("href"))
    called(lived_in, "list_issues", "linear")
    expect(first).not_to_have_attribute("href", before)
    after = str(first.get_attribute("href"))
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#tail.htmx-request")).to_have_count(0)  # what was asked before is answered
    called(lived_in, "list_issues", "linear")
    page.wait_for_timeout(3_000)
    expect(first).to_have_attribute("href", after)
    page.get_by_role("button", name="Pause").click()
    expect(first).not_to_have_attribute("href", after)


def test_times_are_those_of_the_reader_with_the_day_where_it_changes(lived_in: LivedIn) -> None:
    page = lived_in.page("auditor")
    page.goto("/log")
    rows = page.evaluate(  # at once: the part renews itself
        """() => [...document.querySelectorAll('#tail time[data-when="clock"]')]
        .map((one) => [one.innerText, new Date(one.dateTime).toDateString(), one.title])"""
    )
    told, days = [one[0] for one in rows], [one[1] for one in rows]
    assert len(rows) > 10
    assert re.fullmatch(r"\d\d? \w{3,4} \d{4}, \d\d:\d\d:\d\d", told[0]), told[0]
    assert all(re.fullmatch(r"(\d\d? \w{3,4} \d{4}, )?\d\d:\d\d:\d\d", one) for one in told), told
    changed = [number == 0 or days[number] != days[number - 1] for number in range(len(days))]
    assert ["," in one for one in told] == changed
    assert re.match(r"(just now|\d+ minutes? ago|\d+ hours? ago|yesterday|\d+ days? ago), ", rows[-1][2])


def test_filters_work_as_one_types_and_stand_in_the_address(lived_in: LivedIn) -> None:
    page = lived_in.page("auditor")
    page.goto("/log")
    page.get_by_role("searchbox", name="Search calls").fill("delete_branch")
    expect(page).to_have_url(re.compile("q=delete_branch"))
    expect(page.locator("#tail tbody tr").first).to_contain_text("delete_branch")
    page.get_by_label("Decision").select_option("denied")
    expect(page).to_have_url(re.compile("decision=denied"))
    page.get_by_role("link", name=re.compile("^text: delete_branch")).click()
    expect(page).to_have_url(re.compile(r"/log\?decision=denied$"))


def test_the_log_works_without_script(lived_in: LivedIn) -> None:
    page = lived_in.page("auditor", script=False)
    page.goto("/log")
    page.get_by_role("searchbox", name="Search calls").fill("get_issue")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("tbody tr").first).to_contain_text("get_issue")
    page.goto("/log/export?tool=get_issue")
    page.get_by_label("CSV").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "record.csv"


def test_the_keyboard_reaches_a_change_and_opens_what_it_did(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    page.goto("/log/changes?action=policy.change")
    summary = page.locator("#results details summary").first
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#results ins").first).to_be_visible()


def test_somebody_is_invited_comes_in_and_is_ended(console: Console, watch: Watch) -> None:
    admin = console.page("admin")
    admin.goto("/settings/invite")
    admin.get_by_label("Name").fill("robin")
    admin.get_by_label("Auditor").check()
    admin.get_by_role("button", name="Make the link").click()
    link = admin.locator(".secret code").inner_text()
    robin = console.visitor()
    robin.goto(link)
    enter(robin)
    robin.goto("/settings/me")
    expect(robin.get_by_text("You are robin, auditor.")).to_be_visible()
    admin.goto("/settings/operators/robin/end")
    admin.get_by_role("button", name="End robin").click()
    expect(admin.get_by_role("status")).to_contain_text("robin has ended")
    robin.goto("/settings/me")
    expect(robin).to_have_url(re.compile("/login"))


def test_a_token_is_made_once_and_voided(console: Console) -> None:
    page = console.page("admin")
    page.goto("/settings/me/token")
    page.get_by_role("button", name="Make a token").click()
    expect(page.locator(".secret code")).to_contain_text("ccka_")
    page.goto("/settings/me/token")
    page.get_by_role("button", name="Void the token").click()
    page.get_by_role("dialog").get_by_role("button", name="Void the token").click()
    expect(page.get_by_role("status")).to_contain_text("The token is void")


def test_labels_and_reasons_are_text_in_the_log(console: Console) -> None:
    for number, payload in enumerate(PAYLOADS[:8]):
        body = {"label": f"label-{number}", "subject": "ada", "servers": None, "note": ""}
        grant = console.ask("POST", "/grants", body)["grant"]
        console.ask("POST", f"/grants/{grant['id']}/revoke", {"because": printable(payload)})
    page = console.page("admin")
    for path in ("/log/changes", "/log", "/log/refusals"):
        page.goto(path)
        nothing_ran(page)


def printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:200]


def enter(page: Page) -> None:
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same once more").fill(PASSWORD)
    page.get_by_role("button", name="Set the password").click()
    page.wait_for_url(re.compile(r"/(start)?$"))
