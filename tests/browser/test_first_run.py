"""The first minute: from the link that `coatcheck up` prints to a call of a real client on the record."""

from __future__ import annotations

import asyncio
import re
import shlex
import threading
import time

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from playwright.sync_api import expect

from browser.consoles import Console
from browsers import NARROW, WIDE, Watch, assert_accessible, assert_fits
from houses import PASSWORD


def _link(console: Console) -> str:
    """Return the path of the link that the gateway printed."""
    limit = time.monotonic() + 20
    while True:  # it is printed as soon as calls can be answered
        found = re.search(r"coatcheck: open http://\S+(/welcome/\S+)\n", console.gateway.said())
        if found:
            return found[1]
        assert time.monotonic() < limit, console.gateway.said()
        time.sleep(0.05)


def _call(url: str, token: str) -> str:
    """Call the sample server as a real client does, in a thread of its own: the browser has this one."""
    told: list[str] = []

    async def ask() -> None:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http,
            Client(streamable_http_client(url, http_client=http), mode="auto") as client,
        ):
            answer = await client.call_tool("cloakroom__list_coats", {})
            told.append(str(getattr(answer.content[0], "text", "")))

    running = threading.Thread(target=lambda: asyncio.run(ask()))
    running.start()
    running.join(30)
    assert told, "the client got no answer"
    return told[0]


def _run_curl(console: Console, line: str, token: str) -> None:
    """Send what the command sends."""
    words = shlex.split(line.replace("\\\n", ""))
    assert words[:3] == ["curl", "-s", console.gateway.url]
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    assert headers["Authorization"] == f"Bearer {token}"
    answer = console.gateway.request("POST", "/mcp", headers, words[words.index("-d") + 1].encode())
    assert (answer.status, "cloakroom__list_coats" in answer.body.decode()) == (200, True)


def test_from_the_link_to_a_call_on_the_record(console: Console, watch: Watch) -> None:
    page = console.visitor()
    page.goto(_link(console))
    expect(page.get_by_role("heading", name="Welcome to Coatcheck")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("The same once more").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/start$"))

    page.get_by_role("button", name="Add the sample server").click()
    expect(page.get_by_role("status")).to_contain_text("answers with 4 tools")
    page.get_by_label("For whom").fill("ada@example.com")
    page.get_by_label("Label").fill("ada-laptop")
    page.get_by_role("button", name="Issue the grant").click()
    expect(page.get_by_text("The grant ada-laptop is ready")).to_be_visible()
    token = re.search(r"cckg_[0-9A-Za-z]{61}", page.content())
    assert token, "the token is shown"
    expect(page.get_by_text("Waiting for the first call")).to_be_visible()

    _run_curl(console, page.get_by_text("curl -s").text_content() or "", token[0])
    expect(page.get_by_text("Those that write are hidden until you allow them")).to_be_visible()
    under_way = page.get_by_role("listitem").filter(has_text="Make a call (under way)")
    expect(under_way).to_be_visible()
    assert page.get_by_role("link", name="See it in the log").count() == 0

    assert "umbrella" in _call(console.gateway.url, token[0])
    expect(page.get_by_role("cell", name="list_coats")).to_be_visible()  # by itself: nothing was reloaded
    expect(page.get_by_role("cell", name="ada@example.com")).to_be_visible()
    onwards = page.get_by_role("link", name="See it in the log")
    expect(onwards).to_be_visible()
    expect(under_way).to_have_count(0)
    onwards.focus()
    with page.expect_response(lambda answer: answer.url.endswith("/start")):
        pass
    expect(onwards).to_be_focused()  # it came anew

    with watch.expecting("status of 409"):
        page.reload()  # the form of the grant is sent once more
    expect(page.get_by_role("heading", name="This was done already")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="(done)")).to_have_count(
        0
    )  # steps say nothing beside it
    page.goto("/start")
    assert token[0] not in page.content(), "the token is shown once"


def test_the_steps_work_without_script_and_look_well_everywhere(console: Console) -> None:
    for size, dark in ((WIDE, False), (NARROW, True)):
        page = console.page("admin", script=False, size=size, dark=dark)
        page.goto("/start")
        assert_fits(page)
    page.get_by_role("button", name="Add the sample server").click()
    expect(page.get_by_role("status")).to_contain_text("answers with 4 tools")
    page.get_by_role("button", name="Make a call from here").click()
    expect(page.get_by_role("status")).to_contain_text("on the record")
    expect(page.get_by_role("cell", name="list_coats")).to_be_visible()
    for path in ("/start", "/"):
        page = console.page("admin")
        page.goto(path)
        assert_accessible(page)


def test_a_viewer_is_offered_nothing_that_it_may_not_do(console: Console, watch: Watch) -> None:
    page = console.page("viewer")
    page.goto("/start")
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()
    admin = console.page("admin")
    admin.goto("/start")
    admin.get_by_role("button", name="Add the sample server").click()
    admin.get_by_role("button", name="Make a call from here").click()
    expect(admin.get_by_role("cell", name="list_coats")).to_be_visible()
    expect(page.get_by_text("The first call was made")).to_be_visible()
    assert "list_coats" not in page.content(), "a viewer does not read the record"
    assert page.get_by_role("main").get_by_role("button").count() == 0
    with watch.expecting("status of 403"):
        page.goto("/servers/new")
