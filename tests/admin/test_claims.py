"""Claim links: looking changes nothing, the button reveals once, and nothing of it can be made to run."""

from __future__ import annotations

import html
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from coatcheck.core.pasting import pastes
from coatcheck.core.tokens import mint
from journeys.operating import Office, Told

TOKEN = re.compile(r"cckg_[0-9A-Za-z]{61}")


def invite(office: Office, label: str, **more: Any) -> tuple[str, dict[str, Any]]:
    body = {"label": label, "subject": "gina", "servers": None, "by_claim": True, **more}
    told = office.ask("POST", "/grants", "admin", body)
    assert told.status == 201, told
    assert told.body["token"] is None
    assert told.body["claim_url"] == f"http://gw/claim/{told.body['claim_code']}"
    return str(told.body["claim_code"]), told.body["grant"]


def look(office: Office, code: str, method: str = "GET", **headers: str) -> Told:
    return office.raw(method, f"/claim/{code}", None, headers)


def test_looking_changes_nothing_and_the_button_reveals_once(office: Office) -> None:
    code, grant = invite(office, "gina-1")
    assert grant["state"] == "unclaimed"
    for _ in range(30):  # more than anyone may guess
        page = look(office, code)
        assert page.status == 200
        assert not TOKEN.search(page.raw.decode())
    assert look(office, code, "HEAD").status == 200
    page = look(office, code, "POST", Origin="null")
    assert page.status == 200
    token = TOKEN.search(page.raw.decode())
    assert token is not None
    assert office.hall.call("echo", {}, grant=token[0]).status == 200
    text = html.unescape(page.raw.decode())
    assert "claude mcp add --scope user --transport http team http://gw/mcp --header" in text
    assert office.ask("GET", "/grants/gina-1").body["state"] == "live"
    for method in ("GET", "POST"):
        again = look(office, code, method)
        assert again.status == 404
        assert not TOKEN.search(again.raw.decode())
    assert token[0] not in office.hall.gateway.said() + office.ask("GET", "/changes").raw.decode()


def test_one_of_many_at_once_gets_it(office: Office) -> None:
    code, _ = invite(office, "gina-2")
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: look(office, code, "POST"), range(8)))
    assert sorted(page.status for page in pages) == [200] + [404] * 7
    assert len({found[0] for page in pages if (found := TOKEN.search(page.raw.decode()))}) == 1


def test_the_page_can_run_and_tell_nothing(office: Office) -> None:
    code, _ = invite(office, "<script>alert(1)</script>", servers=["srv"])
    for page in (look(office, code), look(office, code, "POST"), look(office, "x")):
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert "<script" not in page.raw.decode()
    assert (
        office.ask("POST", "/grants/revoke", "admin", {"grants": ["<script>alert(1)</script>"]}).status == 200
    )


def test_a_grant_of_one_server_is_told_its_own_route(office: Office) -> None:
    code, _ = invite(office, "gina-3", servers=["srv"])
    text = html.unescape(look(office, code, "POST").raw.decode())
    for each in pastes("srv", "http://gw/mcp/srv/", indent=2):  # as `coatcheck grant issue` tells it
        assert each.text in text


def test_a_link_of_a_revoked_grant_is_dead(office: Office) -> None:
    code, _ = invite(office, "gina-4")
    assert look(office, code).status == 200
    office.ask("POST", "/grants/gina-4/revoke", "admin", {"because": "x"})
    assert (look(office, code).status, look(office, code, "POST").status) == (404, 404)


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("PUT", {}, 405), ("OPTIONS", {}, 405), ("POST", {"Host": "evil"}, 421), ("POST", {"Origin": "http://evil"}, 403), ("GET", {"Host": "evil", "Origin": "null"}, 421)],
)  # fmt: skip
def test_odd_requests_are_refused_and_use_up_nothing(
    office: Office, method: str, headers: dict[str, str], status: int
) -> None:
    label = f"odd-{method}-{len(headers)}-{status}"
    code, _ = invite(office, label)
    assert look(office, code, method, **headers).status == status
    assert look(office, code).status == 200


def test_guessing_is_slowed(office: Office) -> None:
    code, _ = invite(office, "gina-5")
    statuses = [
        look(office, mint(os.urandom, "cckb_"), method).status
        for method in ("GET", "POST")
        for _ in range(30)
    ]
    assert set(statuses) == {404, 429}
    assert look(office, code, "POST").status == 200
