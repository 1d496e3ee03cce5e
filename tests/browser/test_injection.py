"""Every payload in every field that anybody fills, and every page of the console looked at: nothing runs."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from bench.surface import every_page
from browser.consoles import Console
from browser.injection import PAYLOADS, nothing_ran
from browsers import Watch

SERVER = Path(__file__).parent / "children" / "hostile_words.py"
PATHS = sorted(
    {
        page.path
        for page in every_page()
        if page.method == "GET" and not page.path.startswith(("/login", "/welcome", "/claim", "/mine"))
    }
)


@dataclass
class Planted:
    """What took a payload somewhere; the rest was refused, which is as good."""

    kept: dict[str, int] = field(default_factory=dict)
    grants: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def note(self, what: str) -> None:
        self.kept[what] = self.kept.get(what, 0) + 1


def plant(console: Console) -> Planted:
    """Put every payload wherever the API takes it."""
    planted = Planted()
    for number, payload in enumerate(PAYLOADS):
        with suppress(AssertionError):
            body = {"label": payload[:100], "subject": payload[:100], "servers": None, "note": payload}
            issued = console.ask("POST", "/grants", body)
            planted.grants.append(issued["grant"]["id"])
            planted.tokens.append(issued["token"])
            planted.note("grant label and subject")
        with suppress(AssertionError):
            body = {"label": f"plain-{number}", "subject": "ada", "servers": None, "note": payload}
            issued = console.ask("POST", "/grants", body)
            planted.grants.append(issued["grant"]["id"])
            planted.tokens.append(issued["token"])
            planted.note("grant note")
        with suppress(AssertionError):
            console.ask(
                "POST", "/subjects", {"name": f"subject-{number}", "note": payload, "roles": [payload]}
            )
            planted.note("subject note and roles")
        with suppress(AssertionError):
            console.ask(
                "POST",
                "/credentials",
                {"name": f"credential-{number}", "material": "x" * 20, "note": payload, "owner": payload},
            )
            planted.note("credential note and owner")
    command = [str(SERVER), json.dumps(PAYLOADS)]
    console.ask(
        "POST", "/servers", {"name": "words", "command": sys.executable, "args": command, "note": PAYLOADS[5]}
    )
    planted.note("server with tools")
    console.ask("PUT", "/policies/payloads", {"document": policy(), "because": PAYLOADS[0]})
    planted.note("policy")
    return planted


def policy() -> dict[str, Any]:
    """Return a policy that names and says payloads, as far as one may."""
    plain = [one for one in PAYLOADS if one.isprintable() and one == one.strip() and len(one) <= 256]
    rules = {one: {"deny_if": [{"subject": one, "message": one}]} for one in plain}
    described = "\n".join(plain)[:2_000].strip()
    return {
        "coatcheck": 1,
        "name": "payloads",
        "default": "read-only",
        "description": described,
        "tools": rules,
    }


def call_about(console: Console, planted: Planted) -> None:
    """Let the record have payloads: names of clients, of tools, of arguments, reasons of revocations."""
    for number, payload in enumerate(PAYLOADS):
        token = planted.tokens[number % len(planted.tokens)]
        console.gateway.call(token, f"words__tool_{number}", {payload: payload})
        with suppress(UnicodeEncodeError, ValueError):
            console.gateway.call(token, payload[:60], {})
    for payload, id in zip(PAYLOADS, planted.grants[:12], strict=False):
        console.ask("POST", f"/grants/{id}/revoke", {"because": payload[:200]})


def draft(page: Page) -> str:
    """Paste servers that are described by payloads; return the path of what was read."""
    servers: dict[str, dict[str, Any]] = {}
    for number, payload in enumerate(PAYLOADS):
        servers[f"s{number}"] = {"url": "http://127.0.0.1:9/", "headers": {"X-A": payload}, "type": payload}
        servers[f"f{number}"] = {"command": payload, "args": [payload], "env": {"A": payload}}
    page.goto("/servers/new/paste")
    page.get_by_label("Configuration").fill(json.dumps({"mcpServers": servers}))
    page.get_by_role("button", name="Read it").click()
    page.wait_for_url("**/choose")
    return urlsplit(page.url).path.removesuffix("/choose")


def paths_of(console: Console, planted: Planted, drafted: str) -> list[str]:
    """Return every page, those of single things for several of them."""
    servers, credentials, operators, records = (
        console.ask("GET", path)["items"] for path in ("/servers", "/credentials", "/operators", "/records")
    )
    some = {
        "/grants/{ref}": [f"/grants/{one}" for one in planted.grants[:3] + planted.grants[-2:]],
        "/servers/new/draft/{draft}": [drafted],
        "/servers/{ref}": [f"/servers/{servers[0][one]}" for one in ("id", "name")],
        "/credentials/{ref}": [f"/credentials/{one['name']}" for one in credentials[:2]],
        "/policies/{name}": ["/policies/payloads"],
        "/log/calls/{id}": [f"/log/calls/{one['id']}" for one in records[:4]],
        "/settings/operators/{name}": [f"/settings/operators/{one['name']}" for one in operators[:1]],
    }
    found: list[str] = []
    for path in PATHS:
        begin = next((one for one in some if path.startswith(one)), "")
        found += [one + path.removeprefix(begin).replace("{number}", "1") for one in some.get(begin, [""])]
    assert [path for path in found if "{" in path] == [], "all are looked at"
    return found


def look(page: Page, path: str, watch: Watch) -> int:
    """Open a page, whatever it answers, and see that nothing ran."""
    before = len(watch.mishaps)
    answer = page.goto(path)
    assert answer is not None
    nothing_ran(page)
    watch.settle()
    since, watch.mishaps[before:] = watch.mishaps[before:], []
    bad = [one for one in since if "status of 4" not in one]
    assert bad == [], (path, bad)
    return answer.status


@pytest.mark.timeout(600)
def test_no_text_from_anywhere_runs_on_any_page(console: Console, watch: Watch) -> None:
    planted = plant(console)
    assert planted.kept["server with tools"] == 1
    assert planted.kept.get("grant label and subject", 0) > 10, planted.kept
    assert planted.kept.get("grant note", 0) > 20, planted.kept
    call_about(console, planted)
    page = console.page("admin")
    drafted = draft(page)
    statuses = {}
    for path in paths_of(console, planted, drafted):
        with suppress_download():
            statuses[path] = look(page, path, watch)
    assert statuses[drafted] == statuses["/policies/payloads/history/1"] == 200, statuses
    assert sum(status == 200 for status in statuses.values()) > 60, statuses


def suppress_download() -> Any:
    """Let go of pages that are files to save: a browser shows none."""
    from playwright.sync_api import Error

    class Letting:
        def __enter__(self) -> None: ...

        def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
            return isinstance(error, Error) and "Download is starting" in str(error)

    return Letting()
