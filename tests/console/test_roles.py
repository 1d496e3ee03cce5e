"""Every page and every form of the console against every role, and against whoever is not signed in."""

from __future__ import annotations

import re
from typing import cast

import pytest

from bench.surface import every_page
from coatcheck.console.web.page import AnyPage, Door
from coatcheck.model.operator import OperatorRole
from coatcheck.operations.permissions import Permission, may
from houses import House

PAGES = every_page()
OF_OPERATORS = [page for page in PAGES if isinstance(page.who, Permission)]
NOBODY = "00000000-0000-7000-8000-000000000000"


def _name(page: AnyPage) -> str:
    return f"{page.method} {page.path}"


def _path(page: AnyPage) -> str:
    """Return a path of this page: where it names an object, of one that there is not."""
    return re.sub(r"\{[^}]*\}", NOBODY, page.path)


def _status(house: House, role: str, page: AnyPage) -> int:
    visitor = house.as_role(role)
    if page.method == "GET":
        return visitor.get(_path(page), follow=False).status
    visitor.get("/")
    return visitor.post(_path(page), {"csrf": visitor.csrf, "no-such-field": "x"}, follow=False).status


@pytest.mark.parametrize("page", OF_OPERATORS, ids=_name)
@pytest.mark.parametrize("role", list(OperatorRole), ids=str)
def test_a_role_sees_what_it_may_and_nothing_else(house: House, role: OperatorRole, page: AnyPage) -> None:
    status = _status(house, role.value, page)
    if may(role, cast("Permission", page.who)):
        assert status in {200, 303, 404, 409, 422}, status
    else:
        assert status == 403


@pytest.mark.parametrize("page", [page for page in PAGES if page.who is not Door.OPEN], ids=_name)
def test_a_stranger_is_led_to_the_sign_in_and_no_form_of_theirs_does_anything(
    house: House, page: AnyPage
) -> None:
    visitor = house.stranger()
    visitor.get("/login")
    if page.method == "GET":
        answer = visitor.get(_path(page), follow=False)
        assert (answer.status, answer.header("location").split("?")[0]) == (303, "/login")
    else:
        assert visitor.post(_path(page), {"csrf": visitor.csrf}, follow=False).status == 401


@pytest.mark.parametrize("page", [page for page in PAGES if page.method == "POST"], ids=_name)
def test_a_form_without_its_mark_or_from_elsewhere_is_refused(house: House, page: AnyPage) -> None:
    visitor = house.as_role("admin")
    visitor.get("/")
    csrf = visitor.csrf
    wrong = visitor.post(_path(page), {"csrf": "0" * 64}, follow=False)
    assert (wrong.status, "too old" in wrong.text) == (403, True)
    for header, value in (("Origin", ""), ("Origin", "null"), ("Sec-Fetch-Site", "same-site")):
        foreign = visitor.post(_path(page), {"csrf": csrf}, {header: value}, follow=False)
        assert foreign.status == 403, (header, value, foreign.text)
    other = visitor.post(_path(page), {"csrf": csrf}, {"Origin": "http://evil.example"}, follow=False)
    assert other.status == 403


@pytest.mark.parametrize("page", [page for page in PAGES if page.saves], ids=_name)
def test_no_other_site_sets_off_that_a_file_is_made(house: House, page: AnyPage) -> None:
    visitor = house.as_role("admin")
    query = "?name=nobody" if page.path.startswith("/people/") else ""
    statuses = set()
    for way in ("same-origin", "none", None):
        here = {} if way is None else {"Sec-Fetch-Site": way}
        answer = visitor.get(_path(page) + query, here, follow=False)
        assert "Another site" not in answer.html
        statuses.add(answer.status)
    assert statuses == ({404} if query else {200})
    for way in ("cross-site", "same-site"):
        led = visitor.get(_path(page) + query, {"Sec-Fetch-Site": way}, follow=False)
        assert (led.status, "Another site led here" in led.text) == (403, True)
        assert led.header("content-disposition") == ""
        assert visitor._once("HEAD", _path(page) + query, None, {"Sec-Fetch-Site": way}).status == 403
        before = house.ask("GET", "/changes")["items"][0]["position"]
        assert visitor._once("HEAD", _path(page) + query, None, {}).status == 200
        assert house.ask("GET", "/changes")["items"][0]["position"] == before, "nothing was made"
        assert visitor.get("/log", {"Sec-Fetch-Site": way}).status == 200, "pages may be linked to"


def test_what_changes_asks_for_more_than_being_an_operator() -> None:
    for page in PAGES:
        if page.method == "POST" and page.who is Door.SIGNED_IN:
            assert page.path in {"/logout", "/confirm", "/settings/me", "/settings/me/password"}, page.path


def test_a_path_has_one_owner() -> None:
    assert len({(page.method, page.path) for page in PAGES}) == len(PAGES)
