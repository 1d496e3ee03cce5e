"""The pages of servers in a browser: one is added by keyboard and called at once; changed tools wait to be seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser.consoles import Console, LivedIn
from browser.injection import PAYLOADS, fitting, nothing_ran
from browsers import NARROW, Watch, assert_accessible, assert_fits
from journeys.peer import Peer, peer_serving, text

GOOD = "good-token-123456789"
HINT = {"annotations": {"readOnlyHint": True}}
SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}}


def tool(name: str = "get_order", **members: Any) -> dict[str, Any]:
    return {"name": name, "description": "Return an order.", "inputSchema": SCHEMA, **HINT, **members}


@pytest.fixture
def peer() -> Iterator[Peer]:
    """Run a server that takes one token, with a tool that reads."""
    tools = {"get_order": lambda exchange: text(json.dumps(exchange.arguments))}
    with peer_serving(tools=tools, extra=[tool()], good={f"Bearer {GOOD}"}) as peer:
        yield peer


def granted(console: Console) -> str:
    """Issue a grant for every server, and return its token."""
    body = {"label": "ada-laptop", "subject": "ada", "servers": None}
    return str(console.ask("POST", "/grants", body)["token"])


def called(console: Console, token: str, server: str = "shop") -> bool:
    """Call the tool as a client does, and tell whether it answered."""
    answer = console.gateway.call(token, f"{server}__get_order", {"id": "7"})
    assert answer.status in {200, 400, 404}, answer
    return "result" in answer.json()


# --- adding, calling, disabling ---------------------------------------------------------------------------


def test_a_server_is_added_by_keyboard_called_disabled_and_removed(
    console: Console, watch: Watch, peer: Peer
) -> None:
    token = granted(console)
    page = console.page("admin")
    page.goto("/servers")
    expect(page.get_by_text("No servers yet")).to_be_visible()
    page.get_by_role("link", name="Add a server").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("shop")
    page.keyboard.press("Tab")
    page.keyboard.type(peer.url)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="A token")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_role("textbox", name="Token", exact=True)).to_be_focused()
    page.keyboard.type("planted-wrong")
    with watch.expecting("status of 502"):
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("shop refused the credential")
    assert console.ask("GET", "/servers")["items"] == []
    assert_accessible(page)
    expect(page.get_by_label("URL")).to_have_value(peer.url)
    page.get_by_role("textbox", name="Token", exact=True).fill(GOOD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("It answers")).to_be_visible()
    expect(page.get_by_text("shop-authorization")).to_be_visible()
    assert GOOD not in page.content()
    assert_accessible(page)
    assert console.ask("GET", "/servers")["items"] == []
    page.get_by_role("button", name="Add shop").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("shop was added. Callers may use 1 of its")
    assert called(console, token)

    page.get_by_role("link", name="Settings").last.click()
    page.get_by_label("Why").first.fill("too loud")
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("status")).to_contain_text("shop is disabled.")
    assert not called(console, token)
    page.get_by_role("button", name="Enable").click()
    expect(page.get_by_role("status")).to_contain_text("shop is in use again.")
    assert called(console, token)
    page.get_by_role("link", name="Settings").last.click()
    page.get_by_label("Type its name, shop").fill("shop")
    page.get_by_role("button", name="Remove shop").click()
    expect(page.get_by_role("status")).to_contain_text("shop was removed.")
    assert not called(console, token)


def test_a_configuration_is_pasted_and_added_without_script(console: Console, peer: Peer) -> None:
    token = granted(console)
    page = console.page("policy_manager", script=False, size=NARROW)
    page.goto("/servers/new/paste")
    servers = {
        "shop": {"url": peer.url, "headers": {"Authorization": f"Bearer {GOOD}"}},
        "kid": {"command": "python3", "args": ["-m", "kid"]},
        "gone": {"url": "http://127.0.0.1:9/mcp"},
    }
    page.get_by_label("Configuration").fill(json.dumps({"mcpServers": servers}))
    page.get_by_role("button", name="Read it").click()
    assert GOOD not in page.content()
    assert_fits(page)
    expect(page.get_by_role("checkbox", name="kid", exact=True)).to_be_disabled()
    expect(page.get_by_text("You cannot add it")).to_be_visible()
    page.get_by_role("button", name="Try what is chosen").click()
    expect(page.get_by_text("It answers")).to_be_visible()
    expect(page.get_by_text("It does not answer")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Add gone")).not_to_be_checked()
    assert_fits(page)
    page.get_by_role("button", name="Add what is chosen").click()
    expect(page.get_by_role("status")).to_contain_text("shop was added.")
    assert called(console, token)


# --- tools that changed -----------------------------------------------------------------------------------


def test_a_changed_tool_is_hidden_until_what_was_seen_is_accepted(
    console: Console, watch: Watch, peer: Peer
) -> None:
    token = granted(console)
    headers = {"Authorization": f"Bearer {GOOD}"}
    console.ask("POST", "/servers", {"name": "shop", "url": peer.url, "headers": headers})
    assert called(console, token)
    wider = {"type": "object", "properties": {"id": {"type": "string"}, "send_to": {"type": "string"}}}
    peer.extra = [tool(inputSchema=wider)]
    page = console.page("admin")
    page.goto("/servers/shop")
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_role("status")).to_contain_text("shop answered in")
    assert not called(console, token)
    page.get_by_role("link", name="See before and after").click()
    expect(page.locator("ins")).to_contain_text(["{", "string", "}"])
    expect(page.get_by_text("hidden from everybody")).to_be_visible()
    assert_accessible(page)
    peer.extra = [tool(inputSchema=wider, description="Return an order, and more.")]
    other = console.page("admin")
    other.goto("/servers/shop")
    other.get_by_role("button", name="Test connection").click()
    expect(other.get_by_role("status")).to_contain_text("shop answered in")
    asked = page.get_by_role("dialog", name="Accept get_order?")
    with watch.expecting("status of 409"):
        page.get_by_role("button", name="Accept").click()
        expect(asked).to_contain_text("takes more")
        asked.get_by_role("button", name="Accept").click()
        expect(page.get_by_role("alert")).to_contain_text("changed 'get_order' again")
    expect(page.locator("ins").first).to_contain_text("Return an order, and more.")
    assert not called(console, token)
    page.get_by_role("button", name="Accept").click()
    assert_accessible(page)
    asked.get_by_role("button", name="Cancel").click()
    assert not called(console, token)
    page.get_by_role("button", name="Accept").click()
    asked.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("status")).to_contain_text("1 tool of shop accepted.")
    assert called(console, token)


def test_all_changed_tools_of_a_server_are_accepted_by_a_dialogue_that_says_what_it_widens(
    console: Console, peer: Peer
) -> None:
    headers = {"Authorization": f"Bearer {GOOD}"}
    console.ask("POST", "/servers", {"name": "shop", "url": peer.url, "headers": headers})
    wider = {"type": "object", "properties": {"id": {"type": "string"}, "send_to": {"type": "string"}}}
    peer.extra = [tool(inputSchema=wider), tool("list_orders")]
    page = console.page("policy_manager")
    page.goto("/servers/shop")
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_role("status")).to_contain_text("shop answered in")
    page.goto("/servers/review")
    policy = page.get_by_role("link", name="Hide it by a policy")
    expect(policy).to_have_count(2)
    expect(policy.first).to_have_attribute("href", "/policies/new?server=shop")
    page.get_by_role("button", name="Accept all 2").click()
    asked = page.get_by_role("dialog", name="Accept 2 tools of shop?")
    expect(asked).to_contain_text("get_order: its input takes more")
    assert_accessible(page)
    asked.get_by_role("button", name="Accept all 2").click()
    expect(page.get_by_role("status")).to_contain_text("2 tools of shop accepted.")
    assert console.ask("GET", "/tools/changes")["items"] == []


# --- the list ---------------------------------------------------------------------------------------------


def test_the_list_is_searched_as_one_types(lived_in: LivedIn) -> None:
    page = lived_in.page("viewer")
    page.goto("/servers")
    expect(page.locator("tbody tr")).not_to_have_count(1)
    page.get_by_label("Search servers").press_sequentially("gith")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.wait_for_url("**q=gith**")
    page.get_by_role("link", name="github", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("github")


def test_everybody_can_use_the_pages(lived_in: LivedIn) -> None:
    page = lived_in.page("admin")
    paths = ["", "/new", "/new/command", "/new/paste", "/review"]
    parts = ["", "/tools", "/credentials", "/grants", "/calls", "/settings", "/review"]
    for path in [*paths, *(f"/github{part}" for part in parts), "/warehouse/output", "/grafana"]:
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(f"/servers{path}")
        assert_accessible(page)
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        assert_fits(page)


# --- what somebody wrote is text --------------------------------------------------------------------------


def shown(page: Page, path: str) -> None:
    page.goto(path)
    nothing_ran(page)


def test_what_servers_and_people_write_is_text(console: Console, watch: Watch) -> None:
    named = [tool(f"t{number}", title=one, description=one) for number, one in enumerate(PAYLOADS)]
    odd = [tool(one) for one in fitting(100)]
    with peer_serving(extra=[*named, *odd]) as peer:
        made = {"name": "shop", "url": peer.url, "note": fitting(500)[0], "headers": {"X-A": PAYLOADS[20]}}
        console.ask("POST", "/servers", {**made, "plain": ["X-A"]})
        page = console.page("admin")
        shown(page, "/servers")
        for part in ("", "/tools", "/settings"):
            shown(page, f"/servers/shop{part}")
        peer.extra = [{**one, "description": one.get("description", "") + PAYLOADS[3]} for one in peer.extra]
        page.goto("/servers/shop")
        page.get_by_role("button", name="Test connection").click()
        expect(page.get_by_role("status")).to_contain_text("shop answered in")
        for path in ("/servers/shop/review", "/servers/review", "/servers/shop/tools?after=&nature=read"):
            shown(page, path)
        page.goto("/servers/new/paste")
        servers = {f"s{number}": {"url": "http://127.0.0.1:9/", "headers": {"X-A": one}, "type": one} for number, one in enumerate(PAYLOADS)}  # fmt: skip
        fit = {f"f{number}": {"command": one, "args": [one], "env": {"A": one}} for number, one in enumerate(PAYLOADS)}  # fmt: skip
        page.get_by_label("Configuration").fill(json.dumps({"mcpServers": {**servers, **fit}}))
        page.get_by_role("button", name="Read it").click()
        page.wait_for_url("**/choose")
        nothing_ran(page)
        assert_accessible(page)
    with peer_serving(good={"Bearer x"}, refusal=PAYLOADS[3]) as peer:
        page.goto("/servers/new")
        page.get_by_label("Name").fill("bad")
        page.get_by_label("URL").fill(peer.url)
        with watch.expecting("status of 502"):
            page.get_by_role("button", name="Try it").click()
            expect(page.get_by_role("alert")).to_be_visible()
        nothing_ran(page)
