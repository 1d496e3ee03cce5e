"""People and access in a browser: somebody is seen off while their client calls, and what is unused is narrowed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from browser.clients import Beside, issue
from browser.consoles import Console, LivedIn
from browser.injection import PAYLOADS, nothing_ran
from browsers import NARROW, Watch, assert_accessible, assert_fits
from coatcheck.console.web.rendering import link
from journeys.peer import peer_serving

PAGES = {
    "list": "/people",
    "automations": "/people?kind=automation",
    "new": "/people/new",
    "one": "/people/one?name=elif.aydin",
    "gone": "/people/one?name=noah.petrov",
    "change": "/people/change?name=release-bot",
    "offboard": "/people/offboard?name=elif.aydin",
    "disable": "/people/disable?name=elif.aydin",
    "report": "/people/report?name=noah.petrov",
    "access": "/access",
    "by grant": "/access?by=grant",
    "one server": "/access/one?subject=elif.aydin&server=github",
    "who": "/access/tool?server=github&tool=push_files",
    "none": "/people?q=nobody-is-called-so",
}


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_every_page_is_accessible_and_fits(lived_in: LivedIn, path: str) -> None:
    page = lived_in.page("admin")
    page.goto(path)
    assert_accessible(page)
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    page.reload()  # a chart takes a moment to follow
    assert_fits(page)


def test_offboarding_in_the_page_ends_a_client_that_calls(console: Console, watch: Watch) -> None:
    with peer_serving() as peer:
        declared = peer.declared()
        console.ask("POST", "/servers", {"name": "srv", "url": declared["url"], "default": "allow-all"})
        console.ask("POST", "/credentials", {"name": "mail", "owner": "ada@x", "material": "value-of-mail-1"})
        token = str(issue(console, "ada@x", "ada-laptop")["token"])
        client = Beside(console.gateway.url, token).start()
        page = console.page("admin")
        page.goto("/people")
        page.get_by_role("link", name="ada@x").click()
        page.get_by_role("button", name="Offboard").focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("1 grant revoked, for ever: ada-laptop")
        dialog.get_by_label("Why").fill("left the company")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Offboarding report")).to_be_visible()
        assert client.ended.wait(30), "the client still calls"
        assert set(client.refused_with) == {401}
        expect(page.locator("main")).to_contain_text("because: left the company")
        expect(page.get_by_role("row", name="ada-laptop")).to_contain_text("revoked")
        expect(page.get_by_role("row", name="mail")).to_contain_text("Rotate it, and give it another owner")
        with page.expect_download() as sheet:
            page.get_by_role("link", name="CSV").click()
        text = sheet.value.path().read_text()
        assert "ended,grant,ada-laptop,revoked" in text
        assert "to do,credential,mail,rotate" in text


def test_without_script_somebody_is_added_and_seen_off(console: Console) -> None:
    page = console.page("admin", script=False)
    page.goto("/people/new")
    page.get_by_label("Name").fill("o'hara / 🦊")
    page.get_by_label("An automation").check()
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("o'hara / 🦊")
    page.get_by_role("link", name="Look at what would end").click()
    page.get_by_role("button", name="Offboard").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Offboarding report")
    page.goto("/people?state=disabled")
    expect(page.get_by_role("link", name="o'hara / 🦊")).to_be_visible()


def test_what_is_unused_leads_to_a_narrower_grant(lived_in: LivedIn) -> None:
    told = issue(lived_in, "narrow.example", "narrow-laptop")
    lived_in.world.tokens["narrow-laptop"] = str(told["token"])
    assert lived_in.world.call("narrow-laptop", "github", "search_code", {"query": "x"}) == 200
    page = lived_in.page("admin")
    page.goto("/access")
    page.get_by_label("Search people").fill("keiko.tanaka")
    expect(page.locator("#results tbody tr")).to_have_count(1)
    expect(page.locator("#results .matrix .reach-unused").first).to_be_visible()
    page.get_by_label("Highlight").select_option("no")
    expect(page.locator("#results .matrix .reach-unused")).to_have_count(0)
    page.get_by_label("Highlight").select_option("")
    page.get_by_label("Search people").fill("narrow.example")
    cell = page.get_by_role("link", name="narrow.example at github")
    expect(cell).to_be_visible()
    expect(page.locator("#results .matrix .reach-unused")).to_have_count(0)  # it was issued just now
    cell.click()
    expect(page.locator("main")).to_contain_text("that they did not use in 30 days")
    page.get_by_role("link", name="Narrow the grant").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Narrow narrow-laptop")
    page.goto("/access/narrow?grant=narrow-laptop")
    changed = page.locator("#results")
    expect(changed).to_contain_text("every server, those that are added later among them")
    expect(page.get_by_label("github")).to_be_checked()
    page.get_by_label("git", exact=True).check()
    expect(changed.locator("ins").filter(has_text="git")).to_have_count(2)
    page.get_by_label("git", exact=True).uncheck()
    expect(changed.locator("ins")).to_have_count(1)
    page.get_by_label("And only the tools that were used there").check()
    expect(changed).to_contain_text("github__search_code")
    changed.get_by_role("button", name="Narrow narrow-laptop").click()
    expect(page.get_by_role("status")).to_contain_text("narrow-laptop reaches 1 server now")
    grant = lived_in.ask("GET", "/grants/narrow-laptop")
    assert (grant["servers"], grant["tools"]) == (["github"], ["github__search_code"])
    assert lived_in.world.call("narrow-laptop", "github", "search_code", {"query": "x"}) == 200


def test_a_policy_is_drafted_of_what_was_used(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    page.goto("/access/one?subject=elif.aydin&server=github")
    page.get_by_role("link", name="Draft a policy").first.click()
    expect(page.get_by_role("button", name="Open in the editor")).to_be_visible()


def test_nothing_that_anybody_is_called_runs(console: Console) -> None:
    with peer_serving() as peer:
        console.ask(
            "POST", "/servers", {"name": "srv", "url": peer.declared()["url"], "default": "allow-all"}
        )
        page = console.page("admin")
        for payload in PAYLOADS:
            name = " ".join(payload.replace("\u2028", " ").replace("\u202e", "").split()).lstrip("-")
            console.ask("POST", "/subjects", {"name": name, "note": name[:300], "roles": [name[:256]]})
            page.goto(link("/people/one", name=name))
            expect(page.get_by_role("heading", level=1)).to_have_text(name)
            nothing_ran(page)
        for path in (
            "/people",
            link("/people/change", name=name),
            link("/people/offboard", name=name),
            link("/people/report", name=name),
            "/access",
            link("/access/one", subject=name, server="srv"),
            "/access/tool?server=srv&tool=echo&every=yes",
        ):
            page.goto(path)
            nothing_ran(page)
