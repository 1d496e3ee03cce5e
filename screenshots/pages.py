"""Which pages are in the pictures: a name for the files, where the page is, and who looks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from playwright.sync_api import Page

from screenshots.world import World

Path = str | Callable[[World], str]
"""A path, or what finds it in the world: an id is another at every making."""


@dataclass(frozen=True)
class Picture:
    """One page of the pictures.

    `role` "": somebody who did not sign in. `then` is what is done on the page before it is taken. `only` keeps
    to some of the four takings: `light`, `light-narrow`, `dark`, `dark-narrow`. `part` is a selector: the picture
    is of that part alone.
    """

    name: str
    path: Path
    role: str = "admin"
    then: Callable[[Page], Any] | None = None
    only: frozenset[str] = frozenset()
    part: str = ""


def _claim(world: World) -> str:
    """Issue a grant that waits for its owner, and return the path of its link; the same one every time."""
    label = "ines-tablet"
    if label not in world.tokens:
        body = {"label": label, "subject": "ines.costa", "servers": ["github", "linear"], "by_claim": True}
        world.tokens[label] = world.ask("POST", "/grants", body)["claim_code"]
    return f"/claim/{world.tokens[label]}"


def _welcome(world: World) -> str:
    """Invite an operator, and return the path of the link."""
    invited = world.ask("POST", "/operators", {"name": "sam.adeyemi", "role": "auditor"})
    return f"/welcome/{invited['code']}"


def _replay(page: Page) -> None:
    """Replay what was called by a draft that denies it, and show what would have changed."""
    page.locator("[name=default]").select_option("deny-all")
    page.get_by_role("button", name="Replay").click()
    page.locator("#replay .stats").wait_for()


def _paste(page: Page) -> None:
    """Paste a client's configuration, and have it read."""
    servers = {
        "payments": {
            "url": "https://mcp.payments.example/",
            "headers": {"Authorization": "Bearer pay-7Qm2Zx91Lk"},
        },
        "wiki": {"url": "https://wiki.example/mcp", "headers": {"X-Team": "core"}},
        "postgres": {"command": "uvx", "args": ["mcp-postgres"], "env": {"DATABASE_PASSWORD": "${PASSWORD}"}},
    }
    page.locator("[name=text]").fill(json.dumps({"mcpServers": servers}))
    page.get_by_role("button", name="Read it").click()
    page.wait_for_url("**/choose")


def _offboard(page: Page) -> None:
    """Show what would end with somebody."""
    page.get_by_role("button", name="Offboard").click()
    page.get_by_role("dialog").wait_for()


def _narrow(world: World) -> str:
    """Return where a grant of everything is narrowed to what it used."""
    return f"/access/narrow?grant={world.ask('GET', '/grants/ada-laptop')['id']}"


def _refused(page: Page) -> None:
    """Paste a secret that the server does not take, and wait until it has said so; of former takings none is left."""
    again = page.get_by_role("button", name="Paste another")
    if again.count():
        again.first.click()
    page.locator("[name=secret]").fill("lin_api_not-a-good-one")
    page.get_by_role("button", name="Stage and verify").click()
    page.get_by_role("heading", name="refused version").wait_for()


def _grant(label: str) -> Callable[[World], str]:
    """Return what finds the page of a grant."""

    def path(world: World) -> str:
        grants = world.ask("GET", "/grants?limit=500")["items"]
        return "/grants/" + next(str(one["id"]) for one in grants if one["label"] == label)

    return path


def _link(world: World) -> str:
    """Issue a grant for somebody who has others, and return the path of its link; of the last one, no more."""
    label = "ada-phone"
    if label in world.tokens:
        world.ask("POST", f"/grants/{label}/revoke", {"because": "a new telephone"})
    body = {"label": label, "subject": "ada.keller", "servers": ["slack", "linear"], "by_claim": True}
    world.tokens[label] = world.ask("POST", "/grants", body)["claim_code"]
    return f"/claim/{world.tokens[label]}"


def _as_developer(page: Page) -> None:
    """Fetch the token, and go to the own page."""
    page.get_by_role("button", name="Show my token").click()
    page.get_by_role("link", name="Go to your own page").click()
    page.get_by_role("heading", name="Your grants and calls").wait_for()


def _issue(page: Page) -> None:
    """Issue a grant, and see its token."""
    page.get_by_role("combobox", name="Owner").fill("ines.costa")
    page.get_by_role("radio", name="The token itself").check()
    page.get_by_role("button", name="Issue the grant").click()
    page.get_by_role("heading", name="Issued: ines").wait_for()


def _call(world: World) -> str:
    """Return the page of the newest call that took of a limit and ended well."""
    found = [one for one in world.records() if one["charges"] and one["outcome"] == "ok"]
    return f"/log/calls/{found[-1]['position']}?verify=yes"


def _counted(page: Page) -> None:
    """Wait until it is known what was used."""
    page.locator("#matrix:not([data-live])").wait_for()


def _known(page: Page) -> None:
    """Wait until all that is asked of the record was counted."""
    page.get_by_text("being counted").first.wait_for(state="detached")


def _difference(page: Page) -> None:
    page.locator("#results details summary").first.click()


PICTURES: Final = (
    Picture("claim", _claim, role=""),
    Picture("welcome", _welcome, role=""),
    Picture("login", "/login", role=""),
    Picture("start", "/start", only=frozenset({"light", "dark-narrow"})),
    Picture("overview", "/", then=_known),
    Picture("credentials", "/credentials"),
    Picture("credential", "/credentials/github-authorization"),
    Picture(
        "credential-rotate", "/credentials/linear-authorization/rotate", only=frozenset({"light", "dark"})
    ),
    Picture(
        "credential-refused",
        "/credentials/linear-authorization/rotate",
        then=_refused,
    ),
    Picture(
        "credential-former",
        "/credentials/github-authorization/former",
        only=frozenset({"light", "light-narrow"}),
    ),
    Picture("grants", "/grants"),
    Picture("grant", _grant("carla-laptop")),
    Picture("grant-revoked", _grant("noah-laptop"), only=frozenset({"light", "dark-narrow"})),
    Picture("grant-new", "/grants/new"),
    Picture("grant-issued", "/grants/new", then=_issue, only=frozenset({"light", "dark"})),
    Picture("mine", _link, role="", then=_as_developer),
    Picture("people", "/people"),
    Picture("person", "/people/one?name=elif.aydin"),
    Picture(
        "person-offboard", "/people/one?name=elif.aydin", then=_offboard, only=frozenset({"light", "dark"})
    ),
    Picture("person-report", "/people/report?name=noah.petrov"),
    Picture("access", "/access", then=_counted),
    Picture("access-one", "/access/one?subject=elif.aydin&server=github", then=_known),
    Picture("access-tool", "/access/tool?server=github&tool=push_files", only=frozenset({"light"})),
    Picture("access-narrow", _narrow, only=frozenset({"light", "dark-narrow"})),
    Picture("policies", "/policies"),
    Picture("policy", "/policies/repository-deletion"),
    Picture("policy-new", "/policies/new", only=frozenset({"light"})),
    Picture("policy-editor", "/policies/repository-deletion/edit"),
    Picture(
        "policy-replay",
        "/policies/slack-posts/edit",
        then=_replay,
        only=frozenset({"light", "dark"}),
        part=".card:has(#replay)",
    ),
    Picture("policy-version", "/policies/slack-posts/history/2", only=frozenset({"light"})),
    Picture(
        "policy-suggested", "/policies/suggest?grant=ada-laptop&server=github", only=frozenset({"light"})
    ),
    Picture("servers", "/servers"),
    Picture("server", "/servers/github"),
    Picture("server-tools", "/servers/github/tools", only=frozenset({"light", "dark"})),
    Picture("server-new", "/servers/new", only=frozenset({"light", "light-narrow"})),
    Picture("server-paste", "/servers/new/paste", then=_paste),
    Picture("server-review", "/servers/review"),
    Picture("server-settings", "/servers/github/settings", only=frozenset({"light"})),
    Picture("log", "/log"),
    Picture("log-call", _call),
    Picture(
        "log-changes",
        "/log/changes?action=policy.change",
        then=_difference,
        only=frozenset({"light", "dark"}),
    ),
    Picture("log-refusals", "/log/refusals", only=frozenset({"light"})),
    Picture("log-verify", "/log/verify?check=yes", only=frozenset({"light", "dark"})),
    Picture("settings-operators", "/settings/operators"),
    Picture("settings-roles", "/settings/roles", only=frozenset({"light"})),
    Picture("settings-sessions", "/settings/sessions", only=frozenset({"light"})),
    Picture("settings-about", "/settings/about", only=frozenset({"light"})),
    Picture("why", "/policies/explain?grant=ada-laptop&server=github&tool=delete_branch"),
)
"""In the order in which they are taken: what one of them changes, those after it show."""
