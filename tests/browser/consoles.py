"""A gateway's console as the tests of its pages use it: pages of operators of every role, and its API beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from browsers import WIDE, Watch, open_page
from gateway import Gateway
from journeys.wire import control
from screenshots.signing_in import SignedIn
from screenshots.world import World


@dataclass
class Asking:
    """The API behind the socket of a data directory; what is no success fails the test."""

    data: Path

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        raw = None if body is None else json.dumps(body).encode()
        status, told = control(self.data / "coatcheck.sock", method, f"/api/v1{path}", raw)
        assert status in {200, 201}, told
        return told


@dataclass
class Pages:
    """Pages of one gateway. `ask` is its API, as an admin on its machine."""

    browser: Browser
    watch: Watch
    signed_in: SignedIn

    @property
    def ask(self) -> Any:
        """The API: `ask("GET", "/grants")`."""
        return self.signed_in.ask

    @property
    def origin(self) -> str:
        """Where the gateway is, without a path."""
        return self.signed_in.origin

    def page(
        self, role: str = "admin", *, script: bool = True, dark: bool = False, size: tuple[int, int] = WIDE
    ) -> Page:
        """Open a page of an operator of this role, in a context of its own; it is nowhere yet."""
        page = self.visitor(script=script, dark=dark, size=size)
        self.signed_in.enter(page.context, role)
        return page

    def visitor(self, *, script: bool = True, dark: bool = False, size: tuple[int, int] = WIDE) -> Page:
        """Open a page of somebody who did not sign in."""
        return open_page(self.browser, self.watch, self.origin, script=script, dark=dark, size=size)


@dataclass
class Console(Pages):
    """Pages of a gateway of the test's own."""

    gateway: Gateway


@dataclass
class LivedIn(Pages):
    """Pages of the company that all tests look at."""

    world: World
