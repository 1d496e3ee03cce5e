"""Claim links: looking changes nothing, the button reveals once and signs in, nothing of it can be made to run."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from coatcheck.core.client_pieces import pastes
from coatcheck.core.tokens import mint
from coatcheck.model.secret import Secret
from gateway import free_port
from houses import House
from journeys.operating import Office
from journeys.running import hall_at
from visitor import Sheet, Visitor

TOKEN = re.compile(r"cckg_[0-9A-Za-z]{61}")
MARKUP = "<script>alert(1)</script>"


def invite(house: House, label: str, **more: Any) -> str:
    body = {"label": label, "subject": "gina", "servers": None, "by_claim": True, **more}
    told = house.ask("POST", "/grants", body)
    assert told["token"] is None
    assert told["claim_url"] == f"http://gw/claim/{told['claim_code']}"
    return str(told["claim_code"])


def state(house: House, ref: str) -> str:
    return str(house.ask("GET", f"/grants/{ref}")["state"])


def press(visitor: Visitor, code: str) -> Sheet:
    return visitor.send(f"/claim/{code}", follow=False)


def token_in(sheet: Sheet) -> str:
    found = set(TOKEN.findall(sheet.html))
    assert len(found) == 1, found
    return str(found.pop())


def test_looking_changes_nothing_and_the_button_reveals_once(house: House) -> None:
    code = invite(house, "gina-1")
    visitor = house.stranger()
    for _ in range(30):  # more than anyone may guess
        page = visitor.get(f"/claim/{code}")
        assert page.status == 200
        assert ("gina-1" in page.text, "every server" in page.text) == (True, True)
        assert not TOKEN.search(page.html)
    assert house.office.raw("HEAD", f"/claim/{code}").status == 200
    assert state(house, "gina-1") == "unclaimed"
    page = press(visitor, code)
    assert page.status == 200, page.text
    token = token_in(page)
    assert house.office.hall.call("echo", {}, grant=token).status == 200
    for each in pastes("team", "http://gw/mcp", indent=2, token=Secret(token)):
        assert " ".join(each.text.split()) in page.text
    assert state(house, "gina-1") == "live"
    for again in (house.stranger().get(f"/claim/{code}"), visitor.get(f"/claim/{code}")):
        assert (again.status, TOKEN.search(again.html)) == (404, None)
    assert token not in house.office.hall.gateway.said() + str(house.ask("GET", "/changes"))


def test_whoever_claims_is_signed_in_at_the_own_page(house: House) -> None:
    code = invite(house, "gina-in")
    visitor = house.stranger()
    visitor.get(f"/claim/{code}")
    token = token_in(press(visitor, code))
    assert house.office.hall.call("echo", {"text": "mine"}, grant=token).status == 200
    mine = visitor.get("/mine", follow=False)
    assert (mine.status, "gina-in" in mine.text, "echo" in mine.text) == (200, True, True)
    assert TOKEN.search(mine.html) is None
    assert visitor.get("/grants", follow=False).status == 403
    visitor.get("/mine")
    assert visitor.send("/logout").path == "/login/grant"


def test_reloading_what_was_shown_says_that_the_link_was_used(house: House) -> None:
    code = invite(house, "gina-reloads")
    visitor = house.stranger()
    visitor.get(f"/claim/{code}")
    former = dict(visitor.page.form(f"/claim/{code}").fields)
    token_in(press(visitor, code))
    again = visitor.post(f"/claim/{code}", former)
    assert (again.status, again.title.partition(" ·")[0]) == (404, "This link was used")
    assert "/mine" in again.links
    fresh = invite(house, "gina-fresh")
    assert visitor.post(f"/claim/{fresh}", former).status == 403, "a good link still needs the form of now"
    assert state(house, "gina-fresh") == "unclaimed"


def test_an_operator_who_tries_a_link_stays_an_operator(house: House) -> None:
    admin = house.enter()
    code = invite(house, "gina-tried")
    admin.get(f"/claim/{code}")
    assert TOKEN.search(press(admin, code).html)
    assert admin.get("/mine", follow=False).status == 303
    assert admin.get("/login", follow=False).header("location") == "/"


def test_one_of_many_at_once_gets_it(house: House) -> None:
    code = invite(house, "gina-2")
    visitors = [house.stranger() for _ in range(8)]
    for visitor in visitors:
        visitor.get(f"/claim/{code}")
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda one: press(one, code), visitors))
    assert sorted(page.status for page in pages) == [200] + [404] * 7
    assert len({found[0] for page in pages if (found := TOKEN.search(page.html))}) == 1


def test_what_somebody_wrote_is_text_and_the_address_is_told_nobody(house: House) -> None:
    code = invite(house, MARKUP, servers=["srv"], subject="<b>gina")
    visitor = house.stranger()
    pages = [visitor.get(f"/claim/{code}"), press(visitor, code), visitor.get("/claim/x")]
    for page in pages:
        assert page.header("content-type") == "text/html; charset=utf-8"
        assert page.header("cache-control") == "no-store"
        assert page.header("referrer-policy") == "same-origin"
        assert page.header("x-robots-tag") == "noindex, nofollow, noarchive"
        assert "frame-ancestors 'none'" in page.header("content-security-policy")
        assert (MARKUP in page.html, "<b>gina" in page.html) == (False, False)
    assert MARKUP in pages[0].text
    for each in pastes("srv", "http://gw/mcp/srv/", indent=2, token=Secret(token_in(pages[1]))):
        assert " ".join(each.text.split()) in pages[1].text


def test_a_link_of_a_revoked_grant_is_dead(house: House) -> None:
    code = invite(house, "gina-4")
    visitor = house.stranger()
    assert visitor.get(f"/claim/{code}").status == 200
    house.ask("POST", "/grants/gina-4/revoke", {"because": "x"})
    assert press(visitor, code).status == 404


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("PUT", {}, 405), ("OPTIONS", {}, 405), ("POST", {"Host": "evil"}, 421), ("POST", {"Origin": "http://evil"}, 403), ("GET", {"Host": "evil", "Origin": "null"}, 403), ("POST", {}, 403), ("POST", {"Origin": "null"}, 403)],
)  # fmt: skip
def test_odd_requests_are_refused_and_use_up_nothing(
    house: House, method: str, headers: dict[str, str], status: int
) -> None:
    label = f"odd-{method}-{len(headers)}-{status}-{'null' in headers.values()}"
    code = invite(house, label)
    assert house.office.raw(method, f"/claim/{code}", None, headers).status == status
    assert state(house, label) == "unclaimed"
    assert house.stranger().get(f"/claim/{code}").status == 200


def test_guessing_is_slowed(house: House) -> None:
    code = invite(house, "gina-5")
    visitor = house.stranger()
    visitor.get(f"/claim/{code}")
    csrf = visitor.csrf
    statuses: set[int] = set()
    for _ in range(30):
        guess = f"/claim/{mint(os.urandom, 'cckb_')}"
        statuses |= {visitor.get(guess).status, visitor.post(guess, {"csrf": csrf}).status}
    assert statuses == {404, 429}
    visitor.get(f"/claim/{code}")
    assert press(visitor, code).status == 200


def test_developers_have_their_pages_where_clients_are_if_the_rest_is_elsewhere(tmp_path: Path) -> None:
    port = free_port()
    with hall_at(tmp_path / "data", arguments=["--admin", f"127.0.0.1:{port}"]) as hall:
        house = House(Office(hall))
        code = invite(house, "gina-apart")
        visitor = Visitor(hall.gateway.port)
        assert visitor.get(f"/claim/{code}").status == 200
        token = token_in(press(visitor, code))
        assert visitor.get("/").path == "/mine"
        assert "gina-apart" in visitor.page.text
        assert visitor.send("/logout").path == "/login/grant"
        assert visitor.get("/mine").path == "/login/grant"
        assert "/login" not in visitor.page.links
        assert visitor.send("/login/grant", token=token).path == "/mine"
        for path in ("/login", "/welcome/x", "/servers", "/settings", "/api/v1/status"):
            assert visitor.get(path, follow=False).status == 404, path
        assert Visitor(port).get("/login").status == 200, "the whole console is at the other address"


def test_a_link_works_before_any_operator_signed_in_and_over_plain_http(tmp_path: Path) -> None:
    """As clients do; but no session begins where anybody could listen."""
    trusting = ["--trusted-proxies", "127.0.0.1/32"]
    with hall_at(tmp_path / "data", arguments=trusting) as hall:
        house = House(Office(hall))
        code = invite(house, "gina-far")
        visitor = Visitor(hall.gateway.port)
        far = {"X-Forwarded-For": "192.0.2.7", "Host": "gw", "Origin": "http://gw"}
        assert visitor.get("/login", far).status == 403, "the rest of the console is not for them yet"
        assert visitor.get(f"/claim/{code}", far).status == 200
        page = visitor.post(f"/claim/{code}", {"csrf": visitor.csrf}, far)
        assert page.status == 200, page.text
        assert hall.call("echo", {}, grant=token_in(page)).status == 200
        assert not any(name.endswith("session") for name in visitor.cookies)
