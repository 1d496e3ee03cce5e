"""Whoever is shown a link or a form may follow it: every page of every role is walked, and nothing answers 403.

What is called as a page of ours is, such as `new`, is led to all the same, and what has gone has no link.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import pytest

from bench.surface import every_page
from coatcheck.console.web.page import AnyPage
from coatcheck.model.operator import OperatorRole
from coatcheck.operations.permissions import Permission, may
from houses import House
from visitor import Sheet, Visitor

PAGES = every_page()
MOST_ALIKE: Final = 7
"""How many pages of one path are walked; what they link to differs by what is shown, hardly by how much."""
NOT_WALKED: Final = frozenset({"/settings/backup"})
"""What is a file of everything, and links to nothing."""

NOT_LED_TO: Final = frozenset(
    {
        "/start",  # a gateway that has nothing is led there by `/`
        "/grants/owners",  # asked by script
        "/policies/new",  # readers of policies may look at it, and are offered nothing to begin
        "/servers/review",  # nothing waits in this house
        "/servers/{ref}/review",
        "/servers/{ref}/output",  # of children, to admins
        "/access/withdraw",  # nobody has a right by several grants that was not used for long
        "/credentials/{ref}/former",  # nothing was rotated
        "/servers/new/draft/{draft}",  # forms lead to them
        "/servers/new/draft/{draft}/choose",
        "/policies/new/replay",
        "/policies/{name}/edit/replay",
        *NOT_WALKED,
    }
)
_FORM: Final = "a form of"
ODD: Final = frozenset({"new", "suggest", "explain", "review"})
"""What things of this house are called, and pages of ours as well."""
LIMITED: Final = {"echo": {"outcome": "allow", "limits": [{"calls": 100, "per": "hour", "each": "all"}]}}
_ANCHOR: Final = re.compile(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', re.DOTALL)


@pytest.fixture(scope="module", autouse=True)
def lived_in(house: House) -> None:
    """Let there be something on each page: calls of each kind, what ended and what waits."""
    hall, ask = house.office.hall, house.ask
    ask("POST", "/subjects", {"name": "ben@example.com", "kind": "person", "roles": ["dev"]})
    ask(
        "POST",
        "/servers",
        {"name": "gone", "url": "http://127.0.0.1:9/mcp", "headers": {"X-Key": "s3cret-key-1"}},
    )
    ask("POST", "/servers", {"name": "off", "command": "false"})
    ask("POST", "/servers/off/disable", {"because": "a test"})
    ask("POST", "/credentials", {"name": "mail", "owner": "ben@example.com", "material": "s3cret-value"})
    ask(
        "POST", "/credentials", {"name": "calendar", "owner": "the platform team", "material": "s3cret-value"}
    )
    ask("POST", "/credentials", {"name": "forgotten", "owner": "", "material": "s3cret-value"})
    ask("DELETE", "/credentials/forgotten")
    ask("POST", "/credentials/mail/stage", {"material": "s3cret-value-3"})
    _put(house, "least", {"echo": {"outcome": "deny"}})
    _put(house, "least", {"echo": {"outcome": "allow"}})
    grants = {}
    for label, more in (
        ("good", {}),
        ("narrow", {"servers": ["srv"]}),
        ("over", {}),
        ("claim", {"by_claim": True}),
    ):
        grants[label] = ask(
            "POST", "/grants", {"label": label, "subject": "ben@example.com", "servers": None, **more}
        )
    ask("POST", "/policies/least/use", {"kind": "grant", "of": grants["narrow"]["grant"]["id"]})
    for label, tool in (("good", "echo"), ("good", "denied"), ("narrow", "echo"), ("over", "echo")):
        hall.call(tool, {"text": "x"}, grant=grants[label]["token"])
    hall.ask("tools/call", {"name": "gone__none"}, grant=grants["good"]["token"])
    ask("POST", "/grants/over/revoke", {"because": "a test"})
    ask("POST", "/subjects", {"name": "eve", "kind": "person", "roles": []})
    ask("POST", "/grants", {"label": "eve-laptop", "subject": "eve", "servers": None})
    ask("POST", "/subjects/eve/offboard", {"because": "left"})
    assert hall.ask("tools/list", grant=grants["over"]["token"]).status == 401
    assert hall.ask("tools/list", grant="cckg_" + "0" * 40).status == 401
    _name_oddly(house)
    _take_away(house)


def _name_oddly(house: House) -> None:
    """Let there be things that are called as pages are, each seen wherever its name is."""
    ask, url = house.ask, house.office.hall.peer.url
    for name in ("new", "suggest", "explain"):
        _put(house, name, LIMITED)
    ask("POST", "/credentials", {"name": "new", "owner": "ben@example.com", "material": "s3cret-value-4"})
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    ask("POST", "/credentials/new/stage", {"material": "s3cret-value-6", "expires_at": soon})
    ask("POST", "/credentials/new/activate", {"unverified": True, "because": "it ends soon"})
    ask("POST", "/servers", {"name": "new", "url": url, **_keyed("new")})
    ask("POST", "/servers", {"name": "review", "url": "http://127.0.0.1:9/mcp"})
    ask("POST", "/policies/explain/use", {"kind": "server", "of": "new"})
    ask("POST", "/policies/new/use", {"kind": "server", "of": "review"})
    terms = {"subject": "ben@example.com", "servers": ["new", "review"]}
    grant = ask("POST", "/grants", {"label": "an-odd", **terms})
    ask("POST", "/policies/suggest/use", {"kind": "grant", "of": grant["grant"]["id"]})
    ask("POST", "/subjects", {"name": "new", "kind": "automation", "roles": []})
    for _ in range(3):
        _call(house, "new", grant["token"])


def _take_away(house: House) -> None:
    """Let there be calls of a server, with a credential and by a policy, that are there no more."""
    ask = house.ask
    ask("POST", "/credentials", {"name": "former", "owner": "", "material": "s3cret-value-5"})
    ask("POST", "/servers", {"name": "former", "url": house.office.hall.peer.url, **_keyed("former")})
    _put(house, "former", LIMITED)
    ask("POST", "/policies/former/use", {"kind": "server", "of": "former"})
    terms = {"subject": "ben@example.com", "servers": ["former", "srv"]}
    token = ask("POST", "/grants", {"label": "bereft", **terms})["token"]
    for _ in range(2):
        _call(house, "former", token)
    ask("POST", "/policies/former/unuse", {"kind": "server", "of": "former"})
    ask("DELETE", "/servers/former")
    ask("DELETE", "/credentials/former")
    told = house.office.ask("DELETE", "/policies/former", "admin", None, {"If-Match": '"1"'})
    assert told.status in {200, 204}, told.body


def _keyed(credential: str) -> Mapping[str, Any]:
    return {"headers": {"X-Key": f"${{credential:{credential}}}"}, "plain": ["X-Key"]}


def _call(house: House, server: str, token: str) -> None:
    got = house.office.hall.ask(
        "tools/call", {"name": f"{server}__echo", "arguments": {"text": "x"}}, grant=token
    )
    assert '"isError":true' not in got.text.replace(" ", ""), got.text
    assert "error" not in got.text, got.text


def _put(house: House, name: str, tools: Mapping[str, Any]) -> None:
    document = {"coatcheck": 1, "name": name, "default": "read-only", "tools": tools}
    known = house.ask("GET", "/policies", name=name)["items"]
    match = {"If-Match": f'"{known[0]["version"]}"'} if known else {}
    told = house.office.ask(
        "PUT", f"/policies/{name}", "admin", {"document": document, "because": "a test"}, match
    )
    assert told.status in {200, 201}, told.body


def page_of(method: str, path: str) -> AnyPage | None:
    """Return the page that answers a path."""
    fitting = [
        page
        for page in PAGES
        if page.method == method and re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", page.path), path)
    ]
    return min(fitting, key=lambda page: page.path.count("{"), default=None)


class Walk:
    """All that one visitor reaches by links, and what is wrong with it."""

    def __init__(self, visitor: Visitor, role: OperatorRole | None) -> None:
        self.visitor = visitor
        self.role = role
        self.walked: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.named: set[tuple[str, str]] = set()
        """By which page something of an odd name is led to, and in which room that is."""
        self._known: set[str] = set()
        self._next: list[tuple[str, str]] = []

    def begin(self, path: str) -> None:
        """Walk all pages that can be reached from one."""
        self._note("the address", path)
        while self._next:
            whence, href = self._next.pop(0)
            self._visit(whence, href)

    def _visit(self, whence: str, href: str) -> None:
        page = page_of("GET", urlsplit(href).path)
        if page is None:
            self.wrong.append(f"{whence} leads to {href}, which is no page")
            return
        if page.path in NOT_WALKED or self.walked[page.path] >= MOST_ALIKE:
            self._judge(whence, href, page)
            return
        self.walked[page.path] += 1
        sheet = self.visitor.get(href, follow=False)
        if sheet.status == 303:
            self._note(whence, sheet.header("location"))
        elif sheet.status == 422 and whence.startswith(_FORM):
            pass  # nothing was typed into it
        elif sheet.status != 200:
            self.wrong.append(f"{whence} leads to {href}: {sheet.status} {sheet.text[-300:]}")
        elif sheet.header("content-type").startswith("text/html"):
            self._look(page.path, sheet)

    def _look(self, path: str, sheet: Sheet) -> None:
        for href in sheet.links:
            if not href.startswith("#"):
                self._note(path, href)
        self.look_at_names(path, sheet)
        for sends in re.findall(r'formaction="([^"]*)"', sheet.html):
            action = urlsplit(sends).path
            page = page_of("POST", action)
            self._judge(path, action, page) if page else self.wrong.append(f"{path} sends to {action}")
        for form in (one for one in sheet.forms if one.method != "dialog"):
            action = urlsplit(form.action or sheet.path).path
            page = page_of(form.method.upper(), action)
            if page is None:
                self.wrong.append(f"{path} has a form for {form.method} {action}, which is no page")
            else:
                self._judge(path, f"{form.method} {action}", page)
                if form.method == "get":
                    self._note(f"{_FORM} {path}", f"{action}?{urlencode(form.fields, doseq=True)}")

    def look_at_names(self, whence: str, sheet: Sheet) -> None:
        """Note where a page leads to what is called as a page of ours is, and whether that is right."""
        for href, inside in _ANCHOR.findall(sheet.html):
            name = html.unescape(re.sub(r"<[^>]*>", "", inside)).strip().partition(":")[0]
            page = page_of("GET", urlsplit(href).path)
            if name in ODD and page is not None and "?" not in href:
                self.named.add((whence, href.split("/")[1]))
                if "{" not in page.path:
                    self.wrong.append(f"{whence} leads to {href} for what is called {name}")

    def _judge(self, whence: str, what: str, page: AnyPage) -> None:
        if isinstance(page.who, Permission) and not (self.role and may(self.role, page.who)):
            self.wrong.append(f"{whence} offers {what}, which takes {page.who.value}")

    def _note(self, whence: str, href: str) -> None:
        href = href.partition("#")[0]
        place = urlsplit(href)
        if href and not place.scheme and not place.netloc and href not in self._known:
            self._known.add(href)
            self._next.append((whence, href))


@pytest.mark.parametrize("role", list(OperatorRole), ids=str)
def test_no_role_is_shown_a_way_that_is_closed_and_every_page_is_led_to(
    house: House, role: OperatorRole
) -> None:
    walk = Walk(house.as_role(role.value), role)
    walk.begin("/")
    assert not walk.wrong, "\n".join(sorted(set(walk.wrong)))
    open_to_it = {
        page.path
        for page in PAGES
        if page.method == "GET" and isinstance(page.who, Permission) and may(role, page.who)
    }
    assert open_to_it - set(walk.walked) - NOT_LED_TO == set()


def test_what_is_called_as_a_page_is_and_what_has_gone_are_told_on_every_page_that_tells_of_them(
    house: House,
) -> None:
    """Where the walk, above, looks at them: a page that told of none would be right by saying nothing."""
    walk = Walk(house.as_role("admin"), OperatorRole.ADMIN)
    walk.begin("/")
    for kind in ("credential", "policy", "server"):  # what is done to them is soon on an older page
        walk.look_at_names("/log/changes", walk.visitor.get(f"/log/changes?kind={kind}"))
    assert not walk.wrong, "\n".join(sorted(set(walk.wrong)))
    assert walk.named >= {
        ("/", "servers"), ("/", "credentials"), ("/servers", "servers"), ("/credentials", "credentials"),
        ("/credentials", "servers"), ("/policies", "policies"), ("/log", "servers"), ("/access", "servers"),
        ("/log/calls/{id}", "servers"), ("/log/calls/{id}", "credentials"), ("/log/calls/{id}", "policies"),
        ("/grants", "policies"), ("/grants/{ref}", "servers"), ("/grants/{ref}", "policies"),
        ("/servers/{ref}/tools", "policies"), ("/servers/{ref}/credentials", "credentials"),
        ("/log/changes", "servers"), ("/log/changes", "credentials"), ("/log/changes", "policies"),
    }, walk.named  # fmt: skip


def test_what_has_gone_is_told_without_a_link(house: House) -> None:
    admin = house.as_role("admin")
    first = re.findall(r'href="(/log/calls/[0-9]+)"', admin.get("/log?server=former").html)[0]
    call = admin.get(first)
    assert all(words in call.text for words in ("former / echo", "former version 1", "former:"))
    gone = [href for page in (call, admin.get("/"), admin.get("/log")) for href in page.links]
    assert [href for href in gone if "/former" in href] == ["/policies/former/history"] * 2
    assert "former" in admin.get("/").text


def test_a_developer_is_shown_no_way_that_is_closed(house: House) -> None:
    token = house.ask("POST", "/grants", {"label": "own", "subject": "ben@example.com", "servers": None})[
        "token"
    ]
    visitor = house.stranger()
    visitor.get("/login/grant")
    visitor.send("/login/grant", token=token, follow=False)
    walk = Walk(visitor, None)
    walk.begin("/mine")
    assert not walk.wrong, "\n".join(sorted(set(walk.wrong)))
    assert walk.walked["/mine"] >= 2


def test_a_way_that_is_closed_is_found(house: House) -> None:
    """The walk itself: the pages of an admin offer a viewer what it may not."""
    walk = Walk(house.as_role("admin"), OperatorRole.VIEWER)
    walk.begin("/settings/operators")
    assert any("operators.write" in one for one in walk.wrong), walk.wrong
    closed = Walk(house.as_role("viewer"), OperatorRole.VIEWER)
    closed.begin("/log")
    assert "403" in closed.wrong[0]
