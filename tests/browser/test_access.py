"""Access in a browser: what keeps somebody out, and a server that is taken from several grants at once."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from browser.clients import issue
from browser.consoles import LivedIn
from browsers import NARROW, assert_accessible, assert_fits
from coatcheck.console.web.rendering import link

PAGES = {
    "out of scope": link("/access/one", subject="hugo.moreau", server="git"),
    "disabled": link("/access/one", subject="noah.petrov", server="github"),
    "withdraw": link("/access/withdraw", subject="elif.aydin", server="github"),
    "nothing to withdraw": link("/access/withdraw", subject="hugo.moreau", server="git"),
    "narrow": "/access/narrow?grant=ada-laptop",
}


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_every_page_is_accessible_and_fits(lived_in: LivedIn, path: str) -> None:
    page = lived_in.page("admin")
    page.goto(path)
    assert_accessible(page)
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    assert_fits(page)


def test_a_cell_that_says_none_leads_to_what_keeps_somebody_out(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    page.goto("/access?q=hugo.moreau&server=git")
    page.get_by_role("link", name="hugo.moreau at git:").click()
    expect(page.locator("main")).to_contain_text("No live grant of hugo.moreau reaches git")


def test_a_cell_that_nobody_used_leads_to_taking_it_away(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    page.goto("/access")
    cell = page.locator("#matrix a.reach-unused").first
    expect(cell).to_have_attribute("href", re.compile(r"^/access/narrow\?"))  # it is there when it is counted
    cell.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Narrow")


def test_a_server_is_taken_from_several_grants_by_keyboard(lived_in: LivedIn) -> None:
    for number in (1, 2, 3):
        told = issue(lived_in, "many.example", f"many-{number}", servers=["git", "github"])
        lived_in.world.tokens[f"many-{number}"] = str(told["token"])
    assert lived_in.world.call("many-2", "github", "search_code", {"query": "x"}) == 200
    page = lived_in.page("admin")
    page.goto(link("/access/withdraw", subject="many.example", server="git"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Take git from many.example")
    ticks = page.get_by_role("checkbox")
    expect(ticks).to_have_count(3)
    for number in range(3):
        expect(ticks.nth(number)).to_be_checked()
    ticks.nth(1).focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Take git from the ticked ones").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("2 grants do not reach git any more")
    reached = {number: lived_in.ask("GET", f"/grants/many-{number}")["servers"] for number in (1, 2, 3)}
    assert reached == {1: ["github"], 2: ["git", "github"], 3: ["github"]}


BEAT = """(id) => new Promise((told) => {
  const begun = (event) => event.defaultPrevented && told(false);
  addEventListener("htmx:beforeRequest", begun, { once: true });
  addEventListener("htmx:afterSettle", () => told(true), { once: true });
  htmx.trigger(document.getElementById(id), "beat");
})"""
"""Has a part ask as it does by itself, and tells whether it did; what it was answered is there by then."""


def counting_on(page: Page, path: str, id: str, inside: str = "") -> Callable[[], bool]:
    """Open a page whose part is as it is while its calls are counted, but that it asks when it is told to.

    Returns what tells it to, and whether it asked.
    """

    def answered(route: Route) -> None:
        told = route.fetch()
        live = f'<div id="{id}" class="live" data-live hx-get="{path}" hx-select="#{id}" hx-swap="outerHTML" hx-trigger="beat">'
        text = told.text().replace(f'<div id="{id}" class="stack">', live + inside)
        route.fulfill(response=told, body=text)

    page.goto(path)
    expect(page.locator(f"#{id}.stack")).to_be_visible()  # it is counted by now
    page.route(lambda address: path.partition("?")[0] in address, answered)
    page.goto(path)
    return lambda: bool(page.evaluate(BEAT, id))


def test_a_tick_that_was_taken_away_does_not_come_back_while_calls_are_counted(lived_in: LivedIn) -> None:
    for number in (1, 2):
        issue(lived_in, "held.example", f"held-{number}", servers=["git", "github"])
    page = lived_in.page("admin")
    asks = counting_on(page, link("/access/withdraw", subject="held.example", server="git"), "withdrawing")
    tick = page.get_by_role("checkbox").first
    expect(tick).to_be_checked()
    assert asks()
    tick.uncheck()
    page.get_by_role("heading", level=1).click()
    expect(tick).not_to_be_focused()
    assert not asks()
    expect(tick).not_to_be_checked()
    tick.check()
    page.get_by_role("heading", level=1).click()
    assert asks()


TYPED_MEANWHILE = """(id) => new Promise((told) => {
  const type = () => (document.querySelector(`#${id} [aria-label=Text]`).value = "some");
  addEventListener("htmx:beforeOnLoad", type, { once: true });
  addEventListener("htmx:afterRequest", () => told(), { once: true });
  htmx.trigger(document.getElementById(id), "beat");
})"""
"""Has a part ask as it does by itself, and types in it before the answer is there."""


def test_what_is_typed_while_a_part_asks_is_not_lost(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    asks = counting_on(page, PAGES["withdraw"], "withdrawing", FIELDS)
    page.evaluate(TYPED_MEANWHILE, "withdrawing")
    text = page.get_by_label("Text", exact=True)
    expect(text).to_have_value("some")
    text.fill("")
    page.locator("#first").click()
    assert asks(), "it goes on once the field is as it was"


FIELDS = """<p id="first">Fields</p><input type="hidden" value="x"><input type="checkbox" aria-label="Tick">
<input aria-label="Text"><textarea aria-label="Texts">
one</textarea>
<select aria-label="Plain"><option>one</option><option>two</option></select>
<select aria-label="Chosen"><option>one</option><option selected>two</option></select>
<select aria-label="Many" multiple><option>one</option><option selected>two</option></select>"""
CHANGES = [
    ("Text", "some", ""),
    ("Texts", "two", "one"),
    ("Plain", "two", "one"),
    ("Chosen", "one", "two"),
    ("Many", "one", "two"),
]


def test_a_part_waits_for_whatever_was_changed_in_it_and_for_nothing_else(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    asks = counting_on(page, PAGES["withdraw"], "withdrawing", FIELDS)
    assert asks(), "fields that nobody changed"
    for label, other, former in CHANGES:
        field = page.get_by_label(label, exact=True)
        put = field.fill if label.startswith("Text") else field.select_option
        put(other)
        page.locator("#first").click()  # nothing has the focus then
        assert not asks(), label
        put(former)
        page.locator("#first").click()
        assert asks(), label
    page.evaluate("() => Object.defineProperty(document, 'hidden', { get: () => true })")
    assert not asks(), "a tab that nobody sees"
