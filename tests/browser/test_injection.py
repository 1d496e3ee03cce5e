"""Every payload in every field that anybody fills, and every page of the console looked at: nothing runs."""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

import pytest
from playwright.sync_api import Page

from browser.consoles import Console
from browser.injection import PAYLOADS, nothing_ran
from browsers import Watch
from coatcheck.console.surface import Entrances, pages_of
from coatcheck.operations.use_cases import UseCases

SERVER = Path(__file__).parent / "children" / "hostile_words.py"
PATHS = sorted(
    {
        page.path
        for page in pages_of(
            UseCases(**{one.name: cast("Any", None) for one in fields(UseCases)}),
            Entrances(**{one.name: cast("Any", None) for one in fields(Entrances)}),
        )
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
    return planted


def call_about(console: Console, planted: Planted) -> None:
    """Let the record have payloads: names of clients, of tools, of arguments, reasons of revocations."""
    for number, payload in enumerate(PAYLOADS):
        token = planted.tokens[number % len(planted.tokens)]
        console.gateway.call(token, f"words__tool_{number}", {payload: payload})
        with suppress(UnicodeEncodeError, ValueError):
            console.gateway.call(token, payload[:60], {})
    for payload, id in zip(PAYLOADS, planted.grants[:12], strict=False):
        console.ask("POST", f"/grants/{id}/revoke", {"because": payload[:200]})


def paths_of(console: Console, planted: Planted) -> list[str]:
    """Return every page, those of single things for several of them."""
    servers = console.ask("GET", "/servers")["items"]
    credentials = console.ask("GET", "/credentials")["items"]
    records = console.ask("GET", "/records")["items"]
    some = {
        "/grants": planted.grants[:3] + planted.grants[-2:],
        "/servers": [servers[0]["id"], servers[0]["name"]],
        "/credentials": [one["name"] for one in credentials[:2]],
        "/policies": ["nothing"],
        "/log/calls": [one["id"] for one in records[:4]],
    }
    found: list[str] = []
    for path in PATHS:
        if "{" not in path:
            found.append(path)
            continue
        names = next((names for begin, names in some.items() if path.startswith(begin + "/")), ["x"])
        found += [re.sub(r"\{[^}]*\}", name, path, count=1) for name in names]
    return [path for path in found if "{" not in path]


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


@pytest.mark.timeout(170)
def test_no_text_from_anywhere_runs_on_any_page(console: Console, watch: Watch) -> None:
    planted = plant(console)
    assert planted.kept["server with tools"] == 1
    assert planted.kept.get("grant label and subject", 0) > 10, planted.kept
    assert planted.kept.get("grant note", 0) > 20, planted.kept
    call_about(console, planted)
    page = console.page("admin")
    statuses = {}
    for path in paths_of(console, planted):
        with suppress_download():
            statuses[path] = look(page, path, watch)
    assert sum(status == 200 for status in statuses.values()) > 30, statuses


def suppress_download() -> Any:
    """Let go of pages that are files to save: a browser shows none."""
    from playwright.sync_api import Error

    class Letting:
        def __enter__(self) -> None: ...

        def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
            return isinstance(error, Error) and "Download is starting" in str(error)

    return Letting()
