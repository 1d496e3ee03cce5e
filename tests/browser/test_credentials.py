"""Secrets are rotated in the page while clients call: nobody notices, and a wrong one changes nothing."""

from __future__ import annotations

import http.client
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from bench.crowd import Crowd, ask
from bench.door import Door, a_door
from browser.consoles import Console, LivedIn
from browser.injection import fitting, nothing_ran
from browsers import NARROW, Watch, assert_accessible, assert_fits

NAME = "srv-authorization"
PATH = f"/credentials/{NAME}"


@dataclass
class Stand:
    """A gateway with one server that checks tokens, and a client's grant for it."""

    console: Console
    door: Door
    tokens: dict[str, str]
    grant: str
    pages: list[Page] = field(default_factory=list)

    def page(self, **how: Any) -> Page:
        page = self.console.page("admin", **how)
        self.pages.append(page)
        return page

    def crowd(self, tool: str = "which", **more: Any) -> Crowd:
        return Crowd(self.console.gateway.port, self.grant, f"srv__{tool}", callers=8, **more)

    def stages(self) -> dict[int, str]:
        versions = self.console.ask("GET", PATH)["versions"]
        return {one["number"]: one["stage"] for one in versions if one["stage"] != "retired"}


@pytest.fixture
def stand(console: Console, tmp_path: Any) -> Iterator[Stand]:
    with a_door(tmp_path) as door:
        tokens = {word: f"tok_{word}-{secrets.token_urlsafe(18)}" for word in ("old", "new")}
        door.set(tokens)
        headers = {"Authorization": f"Bearer {tokens['old']}"}
        body = {"name": "srv", "url": door.url, "headers": headers, "default": "allow-all"}
        assert console.ask("POST", "/servers", body)["error"] == ""
        issued = console.ask("POST", "/grants", {"label": "a", "subject": "alice", "servers": ["srv"]})
        made = Stand(console, door, tokens, issued["token"])
        yield made
        for page in made.pages:
            shown = [page.content(), page.url, str(page.context.cookies()), page.evaluate("document.title")]
            assert not any(token in one for one in shown for token in tokens.values())
        assert not any(token in console.gateway.said() for token in tokens.values())


def paste(page: Page, secret: str) -> None:
    """Go to the dialogue and paste a secret, with the keyboard alone."""
    page.goto(PATH)
    page.get_by_role("link", name="Rotate", exact=True).focus()
    page.keyboard.press("Enter")
    field = page.get_by_label("New secret")
    expect(field).to_be_focused()
    expect(field).to_have_css("-webkit-text-security", "disc")
    page.keyboard.insert_text(secret)
    page.keyboard.press("Enter")


def test_a_secret_is_rotated_under_load_and_no_call_fails(stand: Stand) -> None:
    page = stand.page()
    crowd = stand.crowd()
    with crowd.calling():
        assert set(crowd.labels()) == {"old"}
        paste(page, stand.tokens["new"])
        expect(page.get_by_role("heading", name="Version 2 is good")).to_be_visible()
        expect(page.get_by_text("an obviously wrong one was refused")).to_be_visible()
        assert set(crowd.labels()) == {"old"}
        page.get_by_role("button", name="Activate version 2").click()
        expect(page.get_by_text("Version 2 is used from the next call on.")).to_be_visible()
        crowd.until("new")
        expect(page.get_by_text("Nothing uses version 1 any more")).to_be_visible()
        page.get_by_role("button", name="Retire version 1").click()
        expect(page.get_by_text("The secret of version 1 is forgotten.")).to_be_visible()
        stand.door.set({"new": stand.tokens["new"]})
        crowd.until("new")
    assert crowd.failures == []
    assert stand.stages() == {2: "active"}


def test_the_old_version_drains_before_ones_eyes_and_one_goes_back(stand: Stand) -> None:
    page = stand.page()
    caller = threading.Thread(target=lambda: one_call(stand), daemon=True)
    paste(page, stand.tokens["new"])
    expect(page.get_by_role("heading", name="Version 2 is good")).to_be_visible()
    assert_accessible(page)
    stand.door.set(stand.tokens, held="linger")
    caller.start()
    stand.door.await_note("old", "tools/call", 0.0)
    polls: list[bool] = []
    page.on(
        "request", lambda one: polls.append("x-poll" in one.headers) if "hx-request" in one.headers else None
    )
    page.get_by_role("button", name="Activate version 2").click()
    expect(page.get_by_text("1 call, session or child still uses version 1")).to_be_visible()
    stand.door.set(stand.tokens)
    expect(page.get_by_text("Nothing uses version 1 any more")).to_be_visible()  # without a reload
    assert polls
    assert all(polls), "nobody stays signed in by them"
    caller.join(30)
    assert not caller.is_alive()
    with page.expect_response(lambda answer: "x-poll" in answer.request.headers):
        pass  # the part is renewed now, and not while one types
    expect(page.locator(".htmx-request")).to_have_count(0)
    page.get_by_label("Why").fill("a scope is missing")
    page.get_by_role("button", name="Go back to version 1").click()
    expect(page.get_by_text("Version 1 is used from the next call on.")).to_be_visible()
    assert stand.stages() == {2: "previous", 1: "active"}
    changes = stand.console.ask("GET", "/changes")["items"]
    assert ("credential.roll_back", "a scope is missing") in [
        (one["action"], one["because"]) for one in changes
    ]


def one_call(stand: Stand) -> None:
    """Make a call that takes as long as the door is held."""
    connection = http.client.HTTPConnection("127.0.0.1", stand.console.gateway.port, timeout=100)
    assert ask(connection, stand.grant, "srv__linger", {"seconds": 0.0}) == "old"
    connection.close()


def test_a_wrong_secret_is_refused_with_progress_and_nothing_changes(stand: Stand) -> None:
    page = stand.page()
    crowd = stand.crowd()
    with crowd.calling():
        stand.door.set(stand.tokens, held="lists")
        paste(page, stand.tokens["new"])
        expect(page.get_by_text("is being asked")).to_be_visible()
        stand.door.set(stand.tokens)
        expect(page.get_by_role("heading", name="Version 2 is good")).to_be_visible()
        page.get_by_role("button", name="Forget it").click()
        expect(page.get_by_text("Version 2 is forgotten. Version 1 is in use.")).to_be_visible()
        stand.door.set(stand.tokens)
        paste(page, "tok_wrong-planted-here")
        expect(page.get_by_role("heading", name="srv refused version 3")).to_be_visible()
        expect(page.get_by_text("Bad credentials")).to_be_visible()
        expect(page.get_by_text("Nothing has changed: version 1 stays in use.")).to_be_visible()
        assert_accessible(page)
        assert "tok_wrong" not in page.content()
        assert stand.stages() == {3: "staged", 1: "active"}
        crowd.until("old")
    assert (crowd.failures, set(crowd.labels())) == ([], {"old"})


def test_it_goes_without_script(stand: Stand) -> None:
    page = stand.page(script=False, size=NARROW)
    stand.pages.remove(page)  # what is evaluated needs script
    page.goto(f"{PATH}/rotate")
    page.get_by_label("New secret").fill(stand.tokens["new"])
    page.get_by_role("button", name="Stage and verify").click()
    good = page.get_by_role("heading", name="Version 2 is good")
    expect(good).to_be_visible()  # the page asks again itself
    page.get_by_role("button", name="Activate version 2").click()
    expect(page.get_by_text("Nothing uses version 1 any more")).to_be_visible()
    page.get_by_role("button", name="Go back to version 1").click()
    expect(page.get_by_text("Version 1 is used from the next call on.")).to_be_visible()
    assert stand.stages() == {2: "previous", 1: "active"}
    assert stand.tokens["new"] not in page.content()


PEM = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n"
JSON = '{{\n  "type": "service_account",\n\t"private_key": "{}\\n",\n\n  "note": " kept "\n}}\n\n'


def fingerprint(console: Console, name: str) -> str:
    """Return that of the newest version; of equal secrets, and of no others, it is the same."""
    versions = console.ask("GET", f"/credentials/{name}")["versions"]
    return str(max(versions, key=lambda one: one["number"])["print"])


def in_lines(shape: str) -> str:
    """Return a secret of several lines, as key files have them."""
    return shape.format(
        "\n".join(secrets.token_urlsafe(48) for _ in range(24))
        if shape == PEM
        else secrets.token_urlsafe(1800)
    )


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_secrets_of_several_lines_arrive_as_they_were_pasted(console: Console, script: bool) -> None:
    page = console.page("admin", script=script)
    first, second, third = in_lines(PEM), in_lines(JSON), f"tok_{secrets.token_urlsafe(18)}"
    page.goto("/credentials/new")
    page.get_by_label("Name", exact=True).fill("robot-key")
    page.get_by_role("textbox", name="Secret", exact=False).first.fill(first)
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("status")).to_contain_text("robot-key is kept, sealed")
    assert first[30:60] not in page.content()
    for number, (pasted, kept) in enumerate([(second, second), (f" \n{third}\n", third)]):
        page.goto("/credentials/robot-key/rotate")
        page.get_by_label("New secret").fill(pasted)
        page.get_by_role("button", name="Stage and verify").click()
        expect(page.get_by_text("cannot be tried")).to_be_visible()
        console.ask("POST", "/credentials", {"name": f"same-{number}", "material": kept})
        assert fingerprint(console, "robot-key") == fingerprint(console, f"same-{number}")
        assert kept[20:50] not in page.content()
        with page.expect_navigation():
            page.get_by_role("button", name="Activate version").click()
        assert kept[20:50] not in page.content()
    console.ask("POST", "/credentials", {"name": "same-first", "material": first})
    versions = console.ask("GET", "/credentials/robot-key")["versions"]
    assert {one["number"]: one["print"] for one in versions}[1] == fingerprint(console, "same-first")


def test_a_secret_is_dots_until_one_asks_and_enter_sends_it(stand: Stand) -> None:
    page = stand.page()
    page.goto(f"{PATH}/rotate")
    field = page.get_by_label("New secret")
    field.fill(stand.tokens["new"])
    expect(field).to_have_css("-webkit-text-security", "disc")
    assert_accessible(page)
    page.get_by_role("button", name="Show what is typed").click()
    expect(field).to_have_css("-webkit-text-security", "none")
    page.get_by_role("button", name="Show what is typed").click()
    expect(field).to_have_css("-webkit-text-security", "disc")
    field.press("Shift+Enter")
    expect(field).to_have_value(f"{stand.tokens['new']}\n")
    field.press("Enter")
    expect(page.get_by_role("heading", name="Version 2 is good")).to_be_visible()


def test_what_is_typed_as_you_type_narrows_the_list(lived_in: LivedIn) -> None:
    page = lived_in.page("viewer")
    page.goto("/credentials")
    rows = page.locator("tbody tr")
    assert rows.count() > 4
    page.get_by_role("searchbox").fill("github")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile("q=github"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everybody_can_use_the_pages(lived_in: LivedIn, dark: bool) -> None:
    page = lived_in.page("admin", dark=dark)
    name = "github-authorization"
    for path in ("", "/new", f"/{name}", f"/{name}/rotate", f"/{name}/former", f"/{name}/terms", f"/{name}/end", f"/{name}/radius?version=2"):  # fmt: skip
        answer = page.goto(f"/credentials{path}")
        assert answer is not None
        assert answer.ok, path
        assert_accessible(page)
    narrow = lived_in.page("admin", dark=dark, size=NARROW)
    for path in ("", "/new", f"/{name}", f"/{name}/rotate", f"/{name}/former", f"/{name}/radius"):
        narrow.goto(f"/credentials{path}")
        assert_fits(narrow)


def test_what_people_wrote_is_text_and_never_markup(console: Console, watch: Watch) -> None:
    page = console.page("admin")
    payloads = fitting(200)
    for number, payload in enumerate(payloads):
        shown = "".join(char for char in payload if char.isprintable())
        body = {"name": f"c{number}", "note": shown, "owner": f"x{shown}"}
        console.ask("POST", "/credentials", body)
    page.goto("/credentials")
    nothing_ran(page)
    for number in range(len(payloads)):
        page.goto(f"/credentials/c{number}")
        nothing_ran(page)
