"""Grants in a browser, with a real client calling beside: issued, claimed, revoked; and a developer's own page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from browser.clients import Beside
from browser.consoles import Console, LivedIn
from browser.injection import fitting, nothing_ran
from browsers import NARROW, WIDE, Watch, assert_accessible, assert_fits
from journeys.peer import peer_serving

TOKEN = re.compile(r"cckg_[0-9A-Za-z]{61}")


@pytest.fixture
def served(console: Console) -> Iterator[Console]:
    """Give a gateway with one server that answers."""
    with peer_serving() as peer:
        body = {"name": "srv", "url": f"http://127.0.0.1:{peer.port}/mcp", "default": "allow-all"}
        assert console.ask("POST", "/servers", body)["error"] == ""
        yield console


def token_on(page: Page) -> str:
    """Return the token that a page shows."""
    found = set(TOKEN.findall(page.content()))
    assert len(found) == 1, found
    return str(found.pop())


def test_a_grant_is_issued_by_keyboard_used_and_revoked_while_a_client_calls(
    served: Console, watch: Watch
) -> None:
    page = served.page("admin")
    page.goto("/grants")
    expect(page.get_by_text("No grants yet")).to_be_visible()
    page.get_by_role("link", name="Issue a grant").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox", name="Owner")).to_be_focused()
    page.keyboard.type("ada@example.com")
    page.get_by_role("radio", name="The token itself").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Issued: ada")).to_be_visible()
    token = token_on(page)
    assert "claude mcp add" in page.content()
    vs_code = page.get_by_text("VS Code", exact=True)
    vs_code.click()
    link = page.get_by_role("link", name="Open in VS Code").get_attribute("href") or ""
    assert (link.startswith("vscode:mcp/install?"), token in link) == (True, False)
    assert_accessible(page)
    client = Beside(served.gateway.url, token).start()

    page.get_by_role("link", name="Go to the grant").click()
    expect(page.get_by_role("cell", name="echo").first).to_be_visible()
    assert TOKEN.search(page.content()) is None
    assert_accessible(page)
    client.more()
    page.get_by_role("textbox", name="Why").fill("lost")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("ada is revoked")
    assert client.ended.wait(30), "the client still gets answers"
    assert set(client.refused_with) == {401}
    assert served.gateway.ask("tools/list", token, {}).status == 401
    page.goto("/grants?state=revoked")
    expect(page.get_by_role("link", name="ada", exact=True)).to_be_visible()


def test_several_are_chosen_and_revoked_with_what_ends(served: Console, watch: Watch) -> None:
    tokens = [
        served.ask("POST", "/grants", {"label": f"bot-{number}", "subject": "bot", "servers": None})["token"]
        for number in range(3)
    ]
    served.ask("POST", "/grants", {"label": "other", "subject": "ada", "servers": ["srv"]})
    page = served.page("admin")
    page.goto("/grants")
    page.get_by_role("searchbox", name="Search grants").fill("bot")
    expect(page.get_by_role("link", name="other")).to_have_count(0)
    expect(page).to_have_url(re.compile("q=bot"))
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Revoke the chosen ones").click()
    expect(page.get_by_role("heading", name="Revoke 3 grants")).to_be_visible()
    assert_accessible(page)
    assert [served.gateway.ask("tools/list", token, {}).status for token in tokens] == [200] * 3
    page.get_by_role("button", name="Revoke all 3").click()
    expect(page.get_by_role("status").first).to_contain_text("bot-0, bot-1, bot-2: revoked")
    assert [served.gateway.ask("tools/list", token, {}).status for token in tokens] == [401] * 3


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_one_is_revoked_from_its_row_with_what_ends(served: Console, watch: Watch, script: bool) -> None:
    label = f"row-{script}"
    token = served.ask("POST", "/grants", {"label": label, "subject": "rory", "servers": None})["token"]
    assert served.gateway.ask("tools/list", token, {}).status == 200
    page = served.page("admin", script=script)
    page.goto("/grants?q=row-")
    page.get_by_role("link", name=f"Revoke {label}").click()
    where = page.get_by_role("dialog") if script else page.locator("main")
    expect(where.get_by_text("Calls under way")).to_be_visible()
    if script:
        assert_accessible(page)
        page.keyboard.press("Escape")
        expect(where).to_be_hidden()
        page.get_by_role("link", name=f"Revoke {label}").click()
    where.get_by_role("textbox", name="Why").fill("lost")
    where.get_by_role("button", name=f"Revoke {label}").click()
    expect(page.get_by_role("status").first).to_contain_text(f"{label}: revoked")
    expect(page).to_have_url(re.compile(r"/grants\?q=row-"))
    assert served.gateway.ask("tools/list", token, {}).status == 401


def test_owners_are_suggested_as_one_types(served: Console, watch: Watch) -> None:
    served.ask("POST", "/subjects", {"name": "quinn@example.com"})
    served.ask("POST", "/grants", {"label": "of-quinn", "subject": "quinn@example.com", "servers": None})
    page = served.page("admin")
    for path in ("/grants/new", "/grants?owner=nobody"):
        page.goto(path)
        page.get_by_role("combobox", name="Owner").fill("")
        page.get_by_role("combobox", name="Owner").press_sequentially("quin")
        offered = page.locator("#owners option")
        expect(offered).to_have_count(1)
        assert offered.get_attribute("value") == "quinn@example.com"
    expect(page).to_have_url(re.compile("owner=quin$"))


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_claim_link_leads_to_a_token_that_works_and_to_the_own_page(
    served: Console, watch: Watch, script: bool
) -> None:
    admin = served.page("admin", script=script)
    admin.goto("/grants/new")
    admin.get_by_role("combobox", name="Owner").fill("dev@example.com")
    admin.get_by_role("radio", name="Chosen servers").check()
    admin.get_by_role("checkbox", name="srv").check()
    admin.get_by_role("button", name="Issue the grant").click()
    expect(admin.get_by_role("heading", name="Issued: dev")).to_be_visible()
    link = re.search(r"/claim/cckb_[0-9A-Za-z]+", admin.content())
    assert link, admin.content()
    assert TOKEN.search(admin.content()) is None

    page = served.visitor(script=script, size=NARROW)
    page.goto(link[0])
    expect(page.get_by_role("heading", name="A grant waits for you")).to_be_visible()
    expect(page.get_by_text("dev@example.com")).to_be_visible()
    if script:
        assert_accessible(page)
    assert_fits(page)
    page.get_by_role("button", name="Show my token").click()
    expect(page.get_by_role("heading", name="Your grant: dev")).to_be_visible()
    token = token_on(page)
    if script:
        assert_accessible(page)
    assert_fits(page)
    assert served.gateway.call(token, "srv__echo", {"text": "x"}).status == 200
    served.gateway.call(token, "srv__no_such_tool", {})

    page.get_by_role("link", name="Go to your own page").click()
    expect(page.get_by_role("heading", name="Your grants and calls")).to_be_visible()
    expect(page.get_by_role("cell", name="echo").first).to_be_visible()
    if script:
        assert_accessible(page)
    assert_fits(page)
    page.get_by_role("link", name="Refused and failed").click()
    expect(page).to_have_url(re.compile("refused=yes"))
    expect(page.get_by_role("cell", name="ok", exact=True)).to_have_count(0)
    assert TOKEN.search(page.content()) is None
    with watch.expecting("status of 404"):
        again = served.visitor(script=script)
        assert again.goto(link[0]).status == 404  # type: ignore[union-attr]


def test_a_developer_sees_the_own_only(served: Console, watch: Watch) -> None:
    tokens = {
        name: served.ask(
            "POST",
            "/grants",
            {"label": f"{name}-laptop", "subject": name, "servers": None, "note": "a remark"},
        )["token"]
        for name in ("mine", "theirs")
    }
    served.ask("POST", "/grants", {"label": "mine-robot", "subject": "mine", "servers": ["srv"]})
    for name, token in tokens.items():
        served.gateway.call(token, "srv__echo", {"text": name})
    page = served.visitor()
    page.goto("/login/grant")
    page.locator("[name=token]").fill(tokens["mine"])
    page.locator("[name=token]").press("Enter")
    expect(page).to_have_url(re.compile("/mine$"))
    for text in ("mine-laptop", "mine-robot"):
        expect(page.get_by_text(text).first).to_be_visible()
    content = page.content()
    assert ("theirs" in content, "a remark" in content) == (False, False)
    with watch.expecting("status of 403"):
        for path in ("/grants", "/log", "/"):
            page.goto(path)
            assert "theirs" not in page.content()
    served.ask("POST", "/grants/mine-laptop/revoke", {"because": "x"})
    page.goto("/mine")
    expect(page).not_to_have_url(re.compile("/mine$"))


def test_a_grant_is_changed_and_rotated(served: Console, watch: Watch) -> None:
    old = served.ask("POST", "/grants", {"label": "ci", "subject": "ci", "servers": None})
    page = served.page("admin")
    page.goto(f"/grants/{old['grant']['id']}/change")
    assert_accessible(page)
    page.get_by_role("textbox", name="Label").fill("ci-runner")
    page.get_by_role("radio", name="Never").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="ci-runner")).to_be_visible()
    page.get_by_role("link", name="Rotate the token").click()
    assert_accessible(page)
    page.get_by_role("radio", name="At once").check()
    page.get_by_role("button", name="Make a new token").click()
    expect(page.get_by_role("heading", name="A new token for ci-runner")).to_be_visible()
    new = token_on(page)
    assert served.gateway.ask("tools/list", old["token"], {}).status == 401
    assert served.gateway.ask("tools/list", new, {}).status == 200


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_pages_of_a_company_are_accessible_and_fit(lived_in: LivedIn, size: tuple[int, int]) -> None:
    grants = {one["label"]: one["id"] for one in lived_in.ask("GET", "/grants")["items"]}
    page = lived_in.page("admin", size=size)
    paths = [
        "/grants",
        "/grants/new",
        f"/grants/{grants['carla-laptop']}",
        f"/grants/{grants['noah-laptop']}",
        f"/grants/{grants['carla-laptop']}/touched",
        f"/grants/revoke?grant={grants['carla-laptop']}&grant={grants['noah-laptop']}",
    ]
    for path in paths:
        page.goto(path)
        assert_fits(page)
        if size is WIDE and "revoke" not in path:  # that was looked at before
            assert_accessible(page)
    page.goto(f"/grants/{grants['noah-laptop']}")
    expect(page.get_by_text("is still presented")).to_be_visible()


def test_nothing_that_somebody_wrote_runs(served: Console, watch: Watch) -> None:
    payloads = [text for text in fitting(100) if not text.startswith(("-", "+", "=", "@", " "))]
    subjects = [text for text in fitting(256) if text == text.strip() and not text.startswith("-")]
    made = 0
    tokens: list[str] = []
    for number, text in enumerate(payloads):
        body = {"label": text, "subject": subjects[number % len(subjects)], "servers": None, "note": text}
        try:
            issued = served.ask("POST", "/grants", body)
        except AssertionError:
            continue  # not visible, or not in its normal form: refused
        made += 1
        tokens.append(issued["token"])
        if made == 1:
            first = issued["grant"]["id"]
    assert made >= 20
    served.gateway.call(tokens[0], payloads[0], {})
    page = served.page("admin")
    for path in ("/grants", f"/grants/{first}", f"/grants/{first}/change", f"/grants/revoke?grant={first}", f"/grants/{first}/touched"):  # fmt: skip
        page.goto(path)
        nothing_ran(page)
    own = served.visitor()
    own.goto("/login/grant")
    own.locator("[name=token]").fill(tokens[0])
    own.locator("[name=token]").press("Enter")
    expect(own).to_have_url(re.compile("/mine$"))
    nothing_ran(own)
    claim = {"label": "claim <img src=x>", "subject": payloads[0], "servers": None, "by_claim": True}
    own = served.visitor()
    own.goto(f"/claim/{served.ask('POST', '/grants', claim)['claim_code']}")
    nothing_ran(own)
    own.get_by_role("button", name="Show my token").click()
    expect(own.get_by_role("heading", name="Your grant")).to_be_visible()
    nothing_ran(own)
