"""Requests that no page of ours makes: each gets an answer that says what is wrong, and none is a defect.

Sent as an admin, for whom most is left to go wrong; what others may see is told by the roles.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
import pytest

from bench.surface import every_page
from coatcheck.console.web.page import AnyPage
from houses import House
from visitor import Sheet, Visitor, read_sheet

PAGES: Final = every_page()
SEEN: Final = [page for page in PAGES if page.method == "GET" and not page.saves]
DONE: Final = [page for page in PAGES if page.method == "POST" and page.path not in {"/logout", "/login"}]
NOBODY: Final = "00000000-0000-7000-8000-000000000000"
ODD: Final = ("-1", "9" * 30, "9" * 5_000, "\x00", "a\nb\x7f", "\U0010ffff\u202e", "a" * 7_000, "eyJhIjoxfQ")
TIMES: Final = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "99999999999d")
NAMES: Final = (
    "9" * 30,
    NOBODY,
    "caf\u00e9",
    "a'b\"<c>{{1}}",
    "\u202e",
    "a" * 300,
    "..x",
    "a\tb\x7f",
    "\U0010ffff",
)
FORM: Final = "application/x-www-form-urlencoded"
DEFECT: Final = re.compile(r"the console failed with .*|Traceback .*")


@pytest.fixture(scope="module")
def refs(house: House) -> tuple[str, ...]:
    """Return what names one thing of each kind."""
    house.office.hall.call("echo", {"text": "hello"})
    kinds = (("/grants", "id"), ("/records", "id"), ("/servers", "name"), ("/operators", "name"))
    return tuple(house.ask("GET", path)["items"][0][name] for path, name in kinds)


def _name(page: AnyPage) -> str:
    return f"{page.method} {page.path}"


def _paths(page: AnyPage, names: tuple[str, ...]) -> Iterator[str]:
    """Yield the path of a page; where it names an object, with each of these names."""
    for name in names if "{" in page.path else ("",):
        yield re.sub(r"\{[^}]*\}", quote(name, safe=""), page.path)


def _told_well(house: House, sheet: Sheet, what: str) -> None:
    said = house.office.hall.gateway.said()
    assert not DEFECT.search(said), (what, said[-3_000:])
    assert sheet.status < 500 or sheet.status in {502, 503}, (what, sheet.status, sheet.text[:500])
    assert sheet.status < 400 or sheet.title or '"error_description"' in sheet.html, (what, sheet.html[:500])


@pytest.mark.parametrize("page", SEEN, ids=_name)
def test_odd_names_and_queries_are_answered(house: House, refs: tuple[str, ...], page: AnyPage) -> None:
    visitor = house.as_role("admin")
    asked = [one.name for one in msgspec.structs.fields(page.query)]
    for path in _paths(page, (*refs, *NAMES)):
        _told_well(house, visitor.get(path, follow=False), path)
    path = next(_paths(page, refs))
    for value in (*ODD, *TIMES) if asked else ():
        alone = asked if value in {ODD[1], ODD[3], TIMES[0]} else ()
        for together in (asked, *([one] for one in alone)):
            target = f"{path}?{urlencode(dict.fromkeys(together, value))}"
            _told_well(house, visitor.get(target, follow=False), target[:200])


@pytest.mark.parametrize("page", DONE, ids=_name)
def test_odd_forms_are_answered(house: House, refs: tuple[str, ...], page: AnyPage) -> None:
    """Each field with what is odd, beside others that are no better, so that nothing of the house is changed."""
    visitor = house.as_role("admin")
    csrf = _csrf(visitor)
    names = [one.name for one in msgspec.structs.fields(page.form)]
    path = next(_paths(page, (NOBODY,)))
    for value in (*ODD, TIMES[0], ""):
        body = urlencode({**dict.fromkeys(names, value), "csrf": csrf})
        _told_well(house, _post(visitor, path, body.encode()), f"{path} {value[:20]!r}")
    for path in _paths(page, refs):
        for body in (
            f"csrf={csrf}&no-such-field=1",
            f"csrf={csrf}&csrf={csrf}&x=%FF",
            f"csrf={csrf}" + "&a=1" * 5_001,
        ):
            _told_well(house, _post(visitor, path, body.encode()), f"{path} {body[-20:]}")


def _csrf(visitor: Visitor) -> str:
    visitor.get("/grants")
    return visitor.csrf


def _post(visitor: Visitor, path: str, body: bytes, media: str = FORM) -> Sheet:
    given = {"Origin": visitor.origin, "Sec-Fetch-Site": "same-origin", "Content-Type": media}
    return visitor._once("POST", path, body, given)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /servers", 200), ("GET /servers/%2F", 400), ("GET /servers/a%2Fb", 400), ("GET /servers/%00", 400), ("GET /servers/../grants", 400), ("GET //servers", 400), ("GET /servers/", 404),
        ("GET /servers/%ff", 404), ("GET /grants?q=%ff", 400), ("GET /grants?q=" + "&" * 5_000, 413), ("GET /grants?q=" + "a" * 8_200, 414), ("GET /people/one?name=%00", 404),
        ("OPTIONS /grants", 405), ("PUT /grants", 405), ("PATCH /servers", 405), ("DELETE /grants", 405), ("TRACE /grants", 405), ("POST /grants", 405), ("HEAD /grants", 200),
    ],
)  # fmt: skip
def test_odd_lines_are_answered(house: House, line: str, status: int) -> None:
    sheet = _raw(house.as_role("admin"), line)
    assert sheet.status == status
    if not line.startswith("HEAD"):
        _told_well(house, sheet, line[:80])


@pytest.mark.parametrize(
    "header",
    ["Range: bytes=0-10", "If-None-Match: *", "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT", "Accept: application/json", "Accept-Encoding: br", "X-Poll: 1", "User-Agent: " + "x" * 8_000,
     "Cookie: coatcheck-local-{port}-said=//////", "Cookie: coatcheck-local-{port}-said=YQ", "Cookie: " + "a=b; " * 1_000],
)  # fmt: skip
def test_whatever_else_is_sent_along_the_whole_page_comes(house: House, header: str) -> None:
    visitor = house.as_role("admin")
    sheet = _raw(visitor, "GET /grants", header.replace("{port}", str(visitor.port)))
    assert (sheet.status, sheet.title.partition(" ")[0]) == (200, "Grants")
    assert sheet.html.endswith("</html>\n") or sheet.html.rstrip().endswith("</html>")


def _raw(visitor: Visitor, line: str, *headers: str) -> Sheet:
    """Send a request to the letter."""
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    given = (f"Host: 127.0.0.1:{visitor.port}", f"Cookie: {cookies}", "Connection: close", *headers)
    with socket.create_connection((visitor.host, visitor.port), timeout=10) as connection:
        connection.sendall("\r\n".join([f"{line} HTTP/1.1", *given, "", ""]).encode("latin-1"))
        head, _, body = b"".join(iter(lambda: connection.recv(65_536), b"")).partition(b"\r\n\r\n")
    return read_sheet(int(head.split()[1]), line.split()[1], (), body.decode("utf-8", "replace"))
