"""Signs operators in, in a browser, by the links of their invitations: once for a role, kept as cookies."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from playwright.sync_api import BrowserContext, Page

PASSWORD: Final = "four hooks and a ticket"
"""Of every operator in tests and pictures; of gateways that live for minutes, on this machine alone."""
NAMES: Final = {
    "admin": "maren.holt",
    "policy_manager": "priya.raman",
    "auditor": "tom.okafor",
    "viewer": "lena.fischer",
}


class Ask(Protocol):
    """Asks the API by the socket, and gives the JSON of a good answer."""

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request."""


@dataclass
class SignedIn:
    """The cookies of an operator of each role, as far as one has signed in.

    Who is to prove who they are again does so after `lasting` seconds, as another browser of theirs.
    """

    origin: str
    ask: Ask
    states: dict[str, Any] = field(default_factory=dict)
    lasting: float = math.inf
    proven: dict[str, float] = field(default_factory=dict)
    """When the operator of each role signed in the last time."""

    def enter(self, context: BrowserContext, role: str) -> None:
        """Make the pages of a context those of an operator of this role."""
        began, name = time.monotonic(), NAMES.get(role, f"the-{role}")
        if role not in self.states or began - self.proven[role] > self.lasting:
            browser = context.browser
            assert browser is not None
            aside = browser.new_context()  # what is on the way is no page of whoever asked
            if role in self.states:
                self.by_password(aside.new_page(), name)
            else:
                self.by_link(aside.new_page(), name, role)
            self.states[role], self.proven[role] = aside.cookies(), began
            aside.close()
        context.add_cookies(self.states[role])

    def by_link(self, page: Page, name: str, role: str) -> None:
        """Invite somebody and sign in by the link, as they would."""
        invited = self.ask("POST", "/operators", {"name": name, "role": role})
        page.goto(f"{self.origin}/welcome/{invited['code']}")
        page.locator("[name=password]").fill(PASSWORD)
        page.locator("[name=again]").fill(PASSWORD)
        page.locator("[name=again]").press("Enter")
        page.wait_for_url(lambda url: "/welcome/" not in url, wait_until="commit")

    def by_password(self, page: Page, name: str) -> None:
        """Sign somebody in who was here before."""
        page.goto(f"{self.origin}/login")
        page.locator("[name=name]").fill(name)
        page.locator("[name=password]").fill(PASSWORD)
        page.locator("[name=password]").press("Enter")
        page.wait_for_url(lambda url: "/login" not in url, wait_until="commit")
