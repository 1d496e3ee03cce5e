"""Gives the tests of the console a real browser, gateways to look at, and operators who signed in.

A test of a page looks like this; nothing of it is asynchronous, and what waits, waits by itself:

    def test_a_grant_is_revoked_in_one_click(console: Console, watch: Watch) -> None:
        token = console.ask("POST", "/grants", {"label": "ada-laptop", "subject": "ada", "servers": None})["token"]
        assert console.gateway.ask("tools/list", token, {}).status == 200
        page = console.page("admin")  # signed in as an operator of this role; `visitor()` is not
        page.goto("/grants?label=ada-laptop")
        page.get_by_role("button", name="Revoke").click()
        expect(page.get_by_role("status")).to_contain_text("ada-laptop")
        assert console.gateway.ask("tools/list", token, {}).status == 401
        with watch.expecting("status of 404"):  # else the error in the browser's console fails the test
            page.goto("/grants/nobody")

- `console` is a fresh gateway of the test's own; `lived_in` is the company of `screenshots/world.py`, one for the whole run:
  look at it, and change only what you added to it. Both have `ask`, `page`, `visitor` and `origin`; the one has a `gateway`
  (`tests/gateway.py`) to call tools and run commands with, the other a `world`, with `call` and the `tokens` of its grants.
- `console.page("viewer", script=False, dark=True, size=NARROW)`: without script, in the dark, on a telephone.
- `watch` fails the test at its end for errors in the browser's console, uncaught errors, reports of the policy, requests
  that failed and requests to other machines, unless they were expected.
- `assert_accessible(page)` and `assert_fits(page)` (`browsers`): WCAG 2.2 AA in light and dark; no scrolling sideways.
- `PAYLOADS`, `fitting(limit)` and `nothing_ran(page)` (`browser.injection`): put each payload into every field that is
  displayed, and look at every page that displays it.
- A call that has to be under way meanwhile is made in a thread or a child (`bench.crowd.Crowd`): the page has this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from browser.consoles import Asking, Console, LivedIn
from browsers import WAIT_MS, Dormant, Watch
from gateway import Gateway
from houses import PROVEN_SECONDS
from screenshots.chromium import NoBrowser
from screenshots.chromium import browser as running_browser
from screenshots.signing_in import SignedIn
from screenshots.world import World, world_in

expect.set_options(timeout=WAIT_MS)  # a busy machine is slow, not wrong


@pytest.fixture(scope="session")
def the_browser() -> Iterator[tuple[Browser, Dormant]]:
    """Run one browser for all tests; its loop is out of the way until a test uses it."""
    try:
        running = running_browser()
        browser = running.__enter__()
    except NoBrowser as error:
        pytest.skip(str(error))
    dormant = Dormant()
    try:
        yield browser, dormant
    finally:
        dormant.wake()
        running.__exit__(None, None, None)


@pytest.fixture
def browser(the_browser: tuple[Browser, Dormant]) -> Iterator[Browser]:
    """Give the browser; every context that the test made is closed at its end."""
    browser, dormant = the_browser
    dormant.wake()
    try:
        yield browser
        for context in browser.contexts:
            context.close()
    finally:
        dormant.sleep()


@pytest.fixture
def watch(browser: Browser) -> Iterator[Watch]:
    """Watch the pages of the test, and fail it for what went wrong on them."""
    watch = Watch()
    yield watch
    watch.leave()
    watch.check()


@pytest.fixture
def console(browser: Browser, watch: Watch, tmp_path: Path) -> Iterator[Console]:
    """Run a gateway of the test's own, with no servers, no grants and nobody signed in."""
    gateway = Gateway(tmp_path / "console", {"mcpServers": {}}, how="up")
    gateway.start()
    try:
        signed_in = SignedIn(gateway.origin, Asking(gateway.directory), lasting=PROVEN_SECONDS)
        yield Console(browser, watch, signed_in, gateway)
    finally:
        watch.leave()
        gateway.stop()


@pytest.fixture(scope="session")
def the_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, SignedIn]]:
    """Run the company once; who signed in there stays signed in."""
    with world_in(tmp_path_factory.mktemp("world")) as world:
        yield world, SignedIn(world.origin, world.ask, lasting=PROVEN_SECONDS)


@pytest.fixture
def lived_in(the_world: tuple[World, SignedIn], browser: Browser, watch: Watch) -> LivedIn:
    """Give the company, which other tests look at, too."""
    world, signed_in = the_world
    return LivedIn(browser, watch, signed_in, world)
