"""Watches pages in a real browser: nothing goes wrong on them unseen, and everybody can use them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page

from real.installed import axe

LOCAL: Final = frozenset({"127.0.0.1", "localhost", None})
WAIT_MS: Final = 30_000
SETTLE_MS: Final = 100
MOST_LOOKS: Final = 30
WIDE: Final = (1280, 800)
NARROW: Final = (360, 740)
TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa")
BEYOND: Final = ("page-has-heading-one",)
"""What the guidelines leave open, and we do not: readers of a screen go to the first heading."""

_REPORT: Final = """
addEventListener("securitypolicyviolation", (event) => {
  const about = [event.effectiveDirective, event.blockedURI, event.sourceFile, event.lineNumber, event.sample];
  globalThis.policyReport(about.join(" "));
});
"""
"""Runs before anything of a page, by the browser's own door: a policy of the page has no say in it."""


@dataclass
class Watch:
    """What went wrong on the pages of one test: each line says on which page, what kind, and what.

    Kinds: `console` (errors and warnings), `script` (uncaught), `policy` (Content-Security-Policy), `failed`
    (requests without an answer) and `elsewhere` (requests to other machines).
    """

    mishaps: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)
    patience: float = WAIT_MS / 1_000
    """Seconds that something may take to go wrong that is expected."""

    @contextmanager
    def expecting(self, *patterns: str) -> Iterator[None]:
        """Let things go wrong that match, in this block alone; each pattern has to be seen.

        A page that answers 403 is such a thing: `with watch.expecting("status of 403"): ...`
        """
        before = len(self.mishaps)
        yield
        self.settle()
        for pattern in patterns:
            assert self.sees(pattern, before), f"{pattern} was expected of {self.mishaps[before:]}"
        since, self.mishaps[before:] = self.mishaps[before:], []
        self.mishaps += [one for one in since if not any(re.search(pattern, one) for pattern in patterns)]

    def sees(self, pattern: str, since: int = 0) -> bool:
        """Tell whether something goes wrong that matches, as soon as it does: browsers tell of it in their time.

        What there were of before does not count, if `since` says how many.
        """
        until = time.monotonic() + self.patience
        while not any(re.search(pattern, one) for one in self.mishaps[since:]):
            if time.monotonic() > until:
                return False
            self.settle()
            time.sleep(0.001)  # where no page is left to wait on
        return True

    def settle(self) -> None:
        """Wait a little for what the browser has yet to tell of its pages."""
        pages = [page for context in self.contexts for page in context.pages]
        for page in pages[-1:]:
            page.wait_for_timeout(SETTLE_MS)

    def leave(self) -> None:
        """Close all pages: those that ask again by themselves must not ask a gateway that is gone."""
        self.settle()
        for context in list(self.contexts):
            context.close()

    def check(self) -> None:
        """Fail if anything went wrong."""
        assert not self.mishaps, "\n".join(["on the pages:", *self.mishaps])

    def over(self, context: BrowserContext) -> None:
        """Watch all pages of a context."""
        self.contexts.append(context)
        context.on("close", lambda closed: self.contexts.remove(closed))  # noqa: PLW0108 - it marks what it is given
        context.expose_binding(
            "policyReport", lambda source, about: self._note(source["page"], "policy", about)
        )
        context.add_init_script(_REPORT)
        context.on("console", self._console)
        context.on("weberror", lambda error: self._note(error.page, "script", str(error.error)))
        context.on("requestfailed", self._failed)
        context.on("request", self._request)

    def _note(self, page: Page | None, kind: str, what: str) -> None:
        place = urlsplit(page.url).path if page else "?"
        self.mishaps.append(f"{place} {kind}: {what}")

    def _console(self, message: Any) -> None:
        where = message.location.get("url", "")
        # The browser looks for an icon by itself where a page names none, and tells at any time later.
        if message.type in {"error", "warning"} and not where.endswith("/favicon.ico"):
            self._note(message.page, "console", f"{message.text} ({where})")

    def _failed(self, request: Any) -> None:
        # What a page still asked for when it was left, and a file that was saved instead of shown.
        if request.failure != "net::ERR_ABORTED":
            self.mishaps.append(f"{request.url} failed: {request.failure}")

    def _request(self, request: Any) -> None:
        if urlsplit(request.url).hostname not in LOCAL:
            self.mishaps.append(f"{request.url} elsewhere: {request.resource_type}")


def open_page(
    browser: Browser,
    watch: Watch,
    origin: str | None = None,
    *,
    script: bool = True,
    dark: bool = False,
    size: tuple[int, int] = WIDE,
    **more: Any,
) -> Page:
    """Open a page in a context of its own: own cookies, own storage. The zone is not UTC, so that it shows."""
    context = browser.new_context(
        base_url=origin,
        java_script_enabled=script,
        color_scheme="dark" if dark else "light",
        viewport={"width": size[0], "height": size[1]},
        locale="en-GB",
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
        **more,
    )
    context.set_default_timeout(WAIT_MS)
    watch.over(context)
    return context.new_page()


@dataclass(frozen=True)
class Violation:
    """One rule of accessibility that a page breaks, and where."""

    rule: str
    help: str
    where: tuple[str, ...]


def violations(page: Page) -> list[Violation]:
    """Return what axe-core finds on the page as it is shown now.

    It is evaluated by the browser's debugging protocol, not as a script of the page: the page's policy neither
    hinders it nor has to allow anything for it.
    """
    if not page.evaluate("() => typeof globalThis.axe === 'object'"):
        page.evaluate(axe().read_text(encoding="utf-8"))
    options = {
        "runOnly": {"type": "tag", "values": list(TAGS)},
        "rules": {rule: {"enabled": True} for rule in BEYOND},
        "resultTypes": ["violations"],
    }
    found = page.evaluate("(options) => globalThis.axe.run(document, options)", options)
    assert found["passes"], "axe looked at nothing"
    return [
        Violation(one["id"], one["help"], tuple(f"{node['target']} {node['html']}" for node in one["nodes"]))
        for one in found["violations"]
    ]


def assert_accessible(page: Page) -> None:
    """Fail if the page breaks WCAG 2.2 A or AA, in light or in dark; it is in light afterwards."""
    schemes: tuple[Literal["dark", "light"], ...] = ("dark", "light")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        found = violations(page)
        lines = [f"{one.rule}: {one.help}\n    " + "\n    ".join(one.where) for one in found]
        assert not found, "\n".join([f"{urlsplit(page.url).path} in {scheme}:", *lines])


def assert_fits(page: Page) -> None:
    """Fail if the page is wider than the window: then it scrolls sideways.

    Plots are drawn anew for another width, in a moment.
    """
    wide, window = 1, 0
    for _ in range(MOST_LOOKS):
        wide, window = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
        if wide <= window:
            break
        page.wait_for_timeout(SETTLE_MS)
    assert wide <= window, f"{urlsplit(page.url).path} is {wide} wide in a window of {window}"


class Dormant:
    """Takes the browser's event loop out of the way between tests that use it.

    Playwright's calls that wait leave their loop marked as running in this thread, so that no other loop could
    run there: neither a test that is a coroutine, nor `asyncio.run`.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.sleep()

    def sleep(self) -> None:
        """Let other loops run."""
        asyncio._set_running_loop(None)

    def wake(self) -> None:
        """Go on with the browser's."""
        asyncio._set_running_loop(self._loop)
