"""The pages of policies in a browser: both sides of the editor, a replay, saving, and what a client then gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Dialog, Page, expect

from browser.consoles import LivedIn
from browser.injection import PAYLOADS, nothing_ran
from browsers import NARROW, assert_accessible, assert_fits
from coatcheck.console.pages.policies.editing import Edited
from coatcheck.console.web.rendering import Rendering
from coatcheck.operations.policies.replay_runs import ReplayRun

DELETE = "delete_branch"
LABEL = "ada-laptop"


def row(page: Page, name: str) -> Any:
    """Return the row of a tool or pattern in the editor."""
    return page.locator(".rule").filter(has=page.locator(f'[value$="/{name}"]')).first


def last_call(lived_in: LivedIn) -> Any:
    """Return the newest record of the grant's calls."""
    found = lived_in.ask("GET", "/records?limit=50&server=github")["items"]
    return max((one for one in found if one["grant_label"] == LABEL), key=lambda one: one["position"])


def begin(page: Page, name: str) -> None:
    """Open the editor of a new policy beside the tools of github."""
    page.goto("/policies/new?start=blank&server=github")
    page.locator("[name=name]").fill(name)
    page.locator("[name=name]").press("Tab")
    expect(page.locator("#f-text")).to_have_value(having(name))


def having(text: str) -> re.Pattern[str]:
    """Return what finds a text in the value of a field."""
    return re.compile(re.escape(text))


@pytest.fixture
def names(lived_in: LivedIn) -> Iterator[list[str]]:
    """Give a list of policies that are taken away again at the end."""
    made: list[str] = []
    yield made
    for name in made:
        told = lived_in.ask("GET", f"/policies/{name}")["policy"]
        for use in told["uses"]:
            body = {"kind": use["kind"], "of": use["of"], "server": use["server"]}
            lived_in.ask("POST", f"/policies/{name}/unuse", body)


def test_what_is_changed_on_one_side_shows_on_the_other(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    begin(page, "both-sides")
    text = page.locator("#f-text")
    row(page, DELETE).locator("[name=choice]").select_option("deny")
    expect(text).to_have_value(having("delete_branch: {outcome: deny}"))
    expect(row(page, DELETE).locator(".rule-comes")).to_contain_text("denied")
    row(page, DELETE).locator("[name=message]").fill("Ask a repository admin.")
    row(page, DELETE).locator("[name=message]").press("Tab")
    expect(text).to_have_value(having("message: Ask a repository admin."))
    row(page, "push_files").locator("[name=choice]").select_option("limit")
    expect(text).to_have_value(having("{calls: 100, per: hour, each: grant}"))
    row(page, "push_files").locator("[name=window]").select_option("day subject")
    expect(text).to_have_value(having("{calls: 100, per: day, each: subject}"))

    custom = "  create_issue:\n    deny_if:\n      - {path: /title, op: contains, value: urgent}\n"
    text.fill(text.input_value() + custom)
    create = page.locator(".rule").filter(has_text="create_issue")
    expect(create).to_contain_text("custom")
    expect(create).to_contain_text("not if /title contains urgent")
    row(page, DELETE).locator("[name=choice]").select_option("hide")
    expect(text).to_have_value(having("delete_branch: {outcome: hide}"))
    expect(text).to_have_value(having("{path: /title, op: contains, value: urgent}"))


TYPED_AT_ONCE = """(added) => {
  const before = document.getElementById("f-text");
  new MutationObserver((_, observer) => {
    const text = document.getElementById("f-text");
    if (!text || text === before) return;
    observer.disconnect();
    text.value += added;
    text.dispatchEvent(new Event("input", { bubbles: true }));
  }).observe(document.getElementById("editor"), { childList: true, subtree: true });
}"""
"""Types in the document in the very moment that another one takes its place."""


def test_what_is_typed_the_moment_a_side_is_renewed_is_not_lost(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    begin(page, "at-once")
    page.evaluate(TYPED_AT_ONCE, "  create_issue:\n    outcome: hide\n")
    row(page, DELETE).locator("[name=choice]").select_option("deny")
    expect(page.locator("#f-text")).to_have_value(having("create_issue:\n    outcome: hide"))
    expect(row(page, "create_issue").locator("[name=choice]")).to_have_value("hide")


def test_a_document_is_judged_while_it_is_typed(lived_in: LivedIn) -> None:
    page = lived_in.page("viewer")
    page.goto("/policies/new?start=payments-caps")
    text, problems = page.locator("#f-text"), page.locator("#problems")
    expect(page.get_by_text("All 31 cases come as written")).to_be_visible()
    text.fill(text.input_value().replace("op: gt", "op: greater", 1))
    expect(problems).to_contain_text("Line 9")
    expect(problems).to_contain_text("/tools/create_charge/allow_if/0/op")
    expect(page.locator("#f-default")).to_be_disabled()
    assert_accessible(page)
    text.fill(text.input_value().replace("op: greater", "op: gt").replace("value: 5000,", "value: 6000,"))
    expect(problems).to_contain_text("reads well")
    expect(page.locator("#case-results")).to_contain_text("otherwise")
    expect(page.get_by_role("button", name="Save the policy")).to_have_count(0)


def test_a_policy_is_replayed_saved_and_used_and_a_client_feels_it(
    lived_in: LivedIn, names: list[str]
) -> None:
    page, world = lived_in.page("admin"), lived_in.world
    assert world.call(LABEL, "github", "search_code", {"query": "x"}) == 200
    assert last_call(lived_in)["decision"] == "allowed"
    begin(page, "nobody-searches")
    row(page, "search_code").locator("[name=choice]").focus()
    page.keyboard.press("h")  # of one letter: a word takes time, and then begins anew
    expect(page.locator("#f-text")).to_have_value(having("search_code: {outcome: hide}"))
    page.locator("[name=used_on]").select_option("grant")
    page.locator("[name=of]").fill(LABEL)
    page.locator("[name=days]").select_option("30")
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#replay")).to_contain_text("Newly hidden")
    expect(page.locator("#replay")).to_contain_text("search_code")
    assert_accessible(page)
    page.locator("[name=because]").fill("as a test")
    names.append("nobody-searches")
    page.get_by_role("button", name="Save the policy").click()
    expect(page.get_by_role("status").first).to_contain_text("saved as version 1")
    page.locator("[name=kind]").select_option("grant")
    page.locator("[name=of]").fill(LABEL)
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_role("status").first).to_contain_text(f"used on the grant {LABEL}")
    world.call(LABEL, "github", "search_code", {"query": "x"})
    assert last_call(lived_in)["rule"] == "nobody-searches:/tools/search_code/outcome"

    page.goto(f"/policies/explain?grant={LABEL}&server=github&tool=search_code")
    expect(page.locator(".verdict")).to_contain_text("hidden")
    expect(page.get_by_text("nobody-searches:/tools/search_code/outcome").first).to_be_visible()
    assert_accessible(page)
    page.goto("/policies/nobody-searches")
    page.get_by_role("button", name="Take off").click()
    page.get_by_role("dialog").get_by_role("button", name="Take off").click()
    expect(page.get_by_text("So far it decides no call.")).to_be_visible()


def test_a_version_is_compared_and_taken_back(lived_in: LivedIn) -> None:
    page = lived_in.page("policy_manager")
    document = {"coatcheck": 1, "name": "history", "default": "read-only"}
    lived_in.ask("PUT", "/policies/history", {"document": document})
    version = lived_in.ask("GET", "/policies/history")["policy"]["version"]
    page.goto("/policies/history/edit?server=github")
    row(page, DELETE).locator("[name=choice]").select_option("allow")
    expect(page.locator("#f-text")).to_have_value(having("delete_branch: {outcome: allow}"))
    page.get_by_role("button", name="Save as a new version").click()
    page.get_by_role("link", name=f"Version {version + 1}").click()
    expect(page.locator(".diff ins")).to_have_text(["+tools:\n", "+  delete_branch: {outcome: allow}\n"])
    assert_accessible(page)
    page.goto(f"/policies/history/history/{version}")
    page.get_by_role("button", name="Go back to this version").click()
    page.get_by_label("Why").fill("It was fine before.")
    page.get_by_role("button", name="Go back to it").click()
    expect(page.get_by_role("status").first).to_contain_text(f"says again what version {version} said")
    assert lived_in.ask("GET", "/policies/history")["document"] == document


def test_the_least_policy_of_a_grant_opens_as_a_draft(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    page.goto("/policies/suggest")
    page.get_by_label("Grant", exact=True).fill(LABEL)
    page.get_by_role("button", name="Suggest").click()
    expect(page.get_by_role("heading", level=2).nth(1)).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Open in the editor").first.click()
    expect(page.locator("#problems")).to_contain_text("reads well")
    expect(page.locator("#f-text")).to_have_value(having("default: deny-all"))
    expect(page.locator(".rule").first).to_be_visible()


def test_the_editor_works_without_script(lived_in: LivedIn) -> None:
    page = lived_in.page("admin", script=False, size=NARROW)
    page.goto("/policies/new?start=blank&server=github")
    expect(page.locator("#f-text")).to_be_hidden()
    page.locator("[name=name]").fill("plain")
    row(page, DELETE).locator("[name=choice]").select_option("hide")
    page.get_by_role("button", name="Show as document").click()
    text = page.locator("#f-text")
    expect(text).to_have_value(having("delete_branch: {outcome: hide}"))
    expect(page.locator("#rules")).to_be_hidden()
    text.fill(text.input_value() + "  push_files: {outcome: deny}\n")
    page.get_by_role("button", name="Show as rules").click()
    expect(row(page, "push_files").locator("[name=choice]")).to_have_value("deny")
    page.get_by_role("button", name="Save the policy").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("plain")
    page.goto("/policies/plain/edit")
    row(page, DELETE).locator("[name=choice]").select_option("nothing")
    page.get_by_role("button", name="Save as a new version").click()
    told = lived_in.ask("GET", "/policies/plain")
    assert told["document"]["tools"] == {"push_files": {"outcome": "deny"}}


@pytest.mark.parametrize(
    "path",
    [
        "/policies",
        "/policies/new",
        "/policies/new?start=rate-limits&server=github",
        "/policies/repository-deletion",
        "/policies/repository-deletion/edit",
        "/policies/slack-posts/history",
        "/policies/slack-posts/history/2",
        "/policies/suggest",
        "/policies/explain",
        "/policies/deny-all",
    ],
)
def test_everybody_can_use_the_pages(lived_in: LivedIn, path: str) -> None:
    page = lived_in.page("admin", size=NARROW)
    page.goto(path)
    assert_accessible(page)
    assert_fits(page)


def test_nothing_that_stands_in_a_policy_becomes_markup(lived_in: LivedIn) -> None:
    plain = [one for one in PAYLOADS if one.isprintable() and one == one.strip()]
    assert len(plain) > 30
    entries = {
        key: {"outcome": "deny", "message": key}
        if number % 2
        else {"deny_if": [{"subject": key, "message": key}]}
        for number, key in enumerate(plain)
        if len(key) <= 256
    }
    document = {
        "coatcheck": 1,
        "name": "payloads",
        "default": "read-only",
        "description": "\n".join(plain)[:2_000].strip(),
        "tools": entries,
    }
    lived_in.ask("PUT", "/policies/payloads", {"document": document, "because": plain[0]})
    page = lived_in.page("admin")
    for path in (
        "/policies",
        "/policies/payloads",
        "/policies/payloads/edit",
        "/policies/payloads/history/1",
    ):
        page.goto(path)
        nothing_ran(page)
    page.goto("/policies/new?start=blank&server=github")
    text = page.locator("#f-text")
    for one in PAYLOADS[::6]:
        text.fill(f"coatcheck: 1\nname: p\ndefault: read-only\ntools: {one}\n")
        page.wait_for_timeout(600)
        nothing_ran(page)
    page.goto("/policies/explain")
    page.get_by_label("Grant", exact=True).fill(plain[0])
    page.locator("[name=name]").fill(plain[1])
    page.locator("[name=server]").select_option("github")
    page.locator("[name=arguments]").fill(plain[2])
    with lived_in.watch.expecting("status of 422"):
        page.get_by_role("button", name="Explain").click()
        expect(page.locator("[name=name]")).to_have_value(plain[1])
    nothing_ran(page)


def test_a_changed_draft_is_not_left_without_asking(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    asked: list[str] = []

    def answered(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answered)
    page.goto("/policies/slack-posts/edit")
    page.get_by_role("searchbox", name="Search tools").fill("post")
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/policies/slack-posts")
    assert asked == [], "looking is no change"
    page.goto("/policies/slack-posts/edit")
    page.locator("[name=default]").select_option("deny-all")
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#replay")).to_be_visible()
    assert asked == [], "what sends the draft keeps it"
    page.get_by_role("heading", name="Rules", exact=True).click()  # pages ask nobody who never touched them
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/policies/slack-posts")
    assert asked == ["beforeunload"]


def test_cases_are_taken_along_as_a_file(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    page.goto("/policies/slack-posts/edit")
    cases = page.locator("#f-cases")
    assert "policy test" not in page.content()
    if not cases.is_visible():
        page.get_by_text("Cases", exact=True).click()
    cases.fill("cases:\n- name: kept\n")
    with page.expect_download() as found:
        page.get_by_role("button", name="Download the cases").click()
    assert found.value.suggested_filename == "slack-posts.cases.yaml"
    assert found.value.path().read_text(encoding="utf-8") == "cases:\n- name: kept\n"


def test_a_row_says_what_comes_of_a_tool_without_it(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    begin(page, "says-the-rest")
    first = row(page, DELETE).locator("option").first
    expect(first).to_have_text("Default (hidden)")
    expect(row(page, "search_code").locator("option").first).to_have_text("Default (allowed)")
    row(page, DELETE).locator("[name=choice]").select_option("allow")
    expect(page.locator("#f-text")).to_have_value(having(DELETE))
    page.get_by_role("searchbox", name="Search tools").fill("delete")
    expect(page.locator(".rule")).to_have_count(1)
    expect(first).to_have_text("Default (hidden)")
    document, rules = (
        page.locator(".pane-document").bounding_box(),
        page.locator(".pane-rules").bounding_box(),
    )
    assert document is not None
    assert rules is not None
    assert (document["y"], abs(document["width"] - rules["width"]) < 2) == (rules["y"], True)


def test_a_replay_is_looked_at_in_a_tab_that_nobody_sees_too(lived_in: LivedIn) -> None:
    """One that nobody looks at is ended, so the part of it asks whether the tab is seen or not."""
    run = ReplayRun("r1", "alice", "long", 0.0)  # a real one is over in a moment
    values = {"edited": Edited(), "run": run, "begun": True, "alone": False, "csrf": "c"}
    part = Rendering(lambda name: f"/static/{name}", "1.0").render("policies/replay.html", values)
    page = lived_in.page("admin")
    page.goto("/policies/new?start=blank&server=github")
    page.evaluate(
        """(part) => {
            Object.defineProperty(document, "hidden", { get: () => true });
            document.querySelector("main").insertAdjacentHTML("beforeend", part);
            const replay = document.getElementById("replay");
            document.getSelection().selectAllChildren(replay);
            htmx.process(replay);
        }""",
        part,
    )
    replay = page.locator("#replay")
    expect(replay).to_contain_text("It waits until another replay has ended.")
    expect(replay).to_contain_text("This replay is not kept any more")
