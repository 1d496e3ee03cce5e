"""The gateway is away, or ended the session: pages say so, and go on by themselves."""

from __future__ import annotations

from playwright.sync_api import expect

from browser.consoles import Console
from browsers import NARROW, Watch, assert_accessible, assert_fits

AWAY = "The gateway does not answer"


def test_a_page_says_that_the_gateway_is_away_until_it_is_back(console: Console, watch: Watch) -> None:
    console.ask("POST", "/grants", {"label": "ada-laptop", "subject": "ada", "servers": None})
    page = console.page("admin", size=NARROW)
    page.goto("/grants")  # it has no live part: nothing is asked until something is pressed
    revoke = page.get_by_role("link", name="Revoke")
    revoke.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    notice = page.get_by_role("alert").filter(has_text=AWAY)
    expect(notice).to_have_count(0)
    with watch.expecting("ERR_CONNECTION_REFUSED", "htmx:(sendError|afterRequest)"):
        console.gateway.stop()
        revoke.click()
        expect(notice).to_be_visible()
        expect(notice).to_be_in_viewport()
        revoke.click()
        expect(notice).to_have_count(1)
        assert_fits(page)
        assert_accessible(page)
        console.gateway.start()
        expect(notice).to_have_count(0)
    revoke.click()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_a_page_that_asks_by_itself_says_it_unasked_and_goes_on(console: Console, watch: Watch) -> None:
    page = console.page("admin")
    page.goto("/log")
    notice = page.get_by_role("alert").filter(has_text=AWAY)
    with watch.expecting("status of 502", "Code 502 from"):
        page.route("**/log*", lambda route: route.fulfill(status=502, body="bad gateway"))
        expect(notice).to_be_visible()  # what stands before the gateway answers in its place
        page.unroute_all()
        expect(notice).to_have_count(0)


def test_a_live_part_stays_and_leads_back_when_the_session_has_ended(console: Console) -> None:
    page = console.page("admin")
    page.goto("/start")
    waiting = page.get_by_text("Nothing was called yet.")
    expect(waiting).to_be_visible()
    page.context.clear_cookies()
    notice = page.get_by_role("alert").filter(has_text="You are signed out")
    expect(notice).to_be_visible()
    expect(waiting).to_be_visible()  # the page of signing in has no such part: it would be gone
    expect(notice.get_by_role("link")).to_have_attribute("href", "/login?back=%2Fstart")


def test_what_is_pressed_and_refused_says_so(console: Console, watch: Watch) -> None:
    console.ask("POST", "/grants", {"label": "ada-laptop", "subject": "ada", "servers": None})
    page = console.page("admin")
    page.goto("/grants")
    with watch.expecting("status of 500", "Code 500 from"):
        page.route("**/grants/revoke*", lambda route: route.fulfill(status=500, body="no"))
        page.get_by_role("link", name="Revoke").click()
        expect(page.get_by_role("alert")).to_contain_text("the gateway answered 500")
