"""Signing in at the console over real HTTP: links, passwords, grants; sessions end when they should."""

from __future__ import annotations

import http.client
from urllib.parse import urlencode

import pytest

from houses import PASSWORD, House
from visitor import Visitor


def _invite(house: House, name: str, role: str = "viewer") -> str:
    return str(house.ask("POST", "/operators", {"name": name, "role": role})["code"])


def _signed_in(visitor: Visitor) -> bool:
    return visitor.get("/", follow=False).status == 200


def _password(house: House, name: str, password: str) -> Visitor:
    visitor = house.stranger()
    visitor.get("/login")
    visitor.send("/login", name=name, password=password, follow=False)
    return visitor


def test_a_link_sets_the_password_once_and_signs_in(house: House) -> None:
    code = _invite(house, "link")
    visitor = house.stranger()
    assert "link" in visitor.get(f"/welcome/{code}").text
    assert visitor.get(f"/welcome/{code}").status == 200, "looking uses nothing up"
    visitor.send(f"/welcome/{code}", password=PASSWORD, again=PASSWORD, follow=False)
    assert _signed_in(visitor)
    late = house.stranger().get(f"/welcome/{code}")
    assert (late.status, "leads nowhere" in late.text) == (404, True)
    assert _signed_in(_password(house, "link", PASSWORD))


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("short", "short", "12 characters"),
        (PASSWORD, PASSWORD + "x", "differ"),
        ("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa", "a few characters again and again"),
    ],
)
def test_an_unfit_password_is_told_and_the_link_stays_good(
    house: House, password: str, again: str, said: str
) -> None:
    name = f"unfit-{len(password)}-{len(again)}"
    code = _invite(house, name)
    visitor = house.stranger()
    visitor.get(f"/welcome/{code}")
    refused = visitor.send(f"/welcome/{code}", password=password, again=again)
    assert (refused.status, said in refused.text) == (422, True), refused.text
    assert visitor.send(f"/welcome/{code}", password=PASSWORD, again=PASSWORD, follow=False).status == 303


def test_wrong_name_and_wrong_password_are_told_alike(house: House) -> None:
    house.welcome(_invite(house, "alike"))
    told = []
    for name, password in (("alike", "not this phrase"), ("nobody-at-all", PASSWORD)):
        guest = house.stranger()
        guest.get("/login")
        refused = guest.send("/login", name=name, password=password)
        assert refused.status == 401
        told.append(refused.text)
    assert told[0] == told[1].replace("nobody-at-all", "alike")


def test_who_is_braked_is_told_for_how_long(house: House) -> None:
    for _ in range(6):
        guest = house.stranger()
        guest.get("/login")
        told = guest.send("/login", name="nobody-to-brake", password=PASSWORD)
    assert (told.status, told.header("retry-after")) == (429, "30")


def test_signing_out_ends_the_session_at_the_gateway_too(house: House) -> None:
    visitor = house.enter()
    kept = dict(visitor.cookies)
    assert _signed_in(visitor)
    visitor.get("/")
    visitor.send("/logout")
    visitor.cookies.update(kept)
    assert not _signed_in(visitor)


def test_ending_an_operator_ends_its_sessions_at_once(house: House) -> None:
    visitor = house.enter("viewer")
    assert _signed_in(visitor)
    house.ask("DELETE", f"/operators/{visitor.name}")
    assert not _signed_in(visitor)


def test_a_way_back_leads_to_the_page_that_was_asked_for_and_never_elsewhere(house: House) -> None:
    name = house.enter("viewer").name
    for back, to in (
        ("/login/grant", "/login/grant"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
    ):
        visitor = house.stranger()
        visitor.get(f"/login?back={back}")
        action = next(form.action for form in visitor.page.forms if form.action.startswith("/login"))
        gone = visitor.send(action, name=name, password=PASSWORD, follow=False)
        assert (gone.status, gone.header("location")) == (303, to)


def test_no_way_back_leads_to_a_file_that_another_site_may_have_asked_for(house: House) -> None:
    """After our own answer the browser asks for it as one of our pages does: nobody could tell them apart."""
    for back in ("/settings/backup", "/log/export/file?format=jsonl", "/settings/x/%2E%2e/%62ackup"):
        visitor = house.enter()
        answer = visitor.get("/settings/backup", {"Sec-Fetch-Site": "same-origin"}, follow=False)
        assert (answer.status, "attachment" in answer.header("content-disposition")) == (200, True)
        query = urlencode({"back": back})
        visitor.get(f"/confirm?{query}")
        action = next(form.action for form in visitor.page.forms if form.action.startswith("/confirm"))
        proven = visitor.send(action, password=PASSWORD, follow=False)
        assert (proven.status, proven.header("location")) == (303, "/")
        assert "ask for it once more" in visitor.get("/").text
        signed_in = visitor.get(f"/login?{query}", {"Sec-Fetch-Site": "cross-site"}, follow=False)
        assert (signed_in.status, signed_in.header("location")) == (303, "/")
        stranger = house.stranger()
        led = stranger.get(back, {"Sec-Fetch-Site": "cross-site"}, follow=False)
        for way in (f"/login?{query}", *([led.header("location")] if led.status == 303 else [])):
            guest = house.stranger()
            guest.get(way)
            action = next(form.action for form in guest.page.forms if form.action.startswith("/login"))
            entered = guest.send(action, name=visitor.name, password=PASSWORD, follow=False)
            assert (entered.status, entered.header("location")) == (303, "/")
            assert _signed_in(guest)


def test_a_way_back_leads_to_the_page_of_a_file_with_what_was_asked(house: House) -> None:
    visitor = house.enter()
    for back in ("/log/export?format=jsonl", "/settings/backup/more", "/settings"):
        led = visitor.get(f"/login?{urlencode({'back': back})}", follow=False)
        assert (led.status, led.header("location")) == (303, back)


def test_signing_in_anew_leaves_no_session_behind(house: House) -> None:
    visitor = house.enter("viewer")
    name, former = visitor.name, dict(visitor.cookies)
    grant = house.ask("POST", "/grants", {"label": f"{name}-laptop", "subject": name, "servers": None})
    visitor.get("/login/grant")
    assert visitor.send("/login/grant", token=grant["token"], follow=False).status == 303
    visitor.cookies = former
    assert not _signed_in(visitor)


def test_a_form_that_cannot_be_shown_again_says_why_it_failed_and_no_secret_comes_back(house: House) -> None:
    code = _invite(house, "not-again")
    visitor = house.stranger()
    visitor.get(f"/welcome/{code}")
    told = visitor.send(f"/welcome/{code}", password="short one", again="short one")
    assert told.status == 422
    assert "short one" not in told.html
    csrf = visitor.csrf
    house.welcome(code)
    late = visitor.post(f"/welcome/{code}", {"csrf": csrf, "password": PASSWORD, "again": PASSWORD})
    assert (late.status, "This code is not good: it was used" in late.text) == (404, True), late.text


def test_the_cookie_says_that_it_is_nobody_elses(house: House) -> None:
    visitor = house.stranger()
    code = _invite(house, "cookie")
    visitor.get(f"/welcome/{code}")
    told = visitor.send(f"/welcome/{code}", password=PASSWORD, again=PASSWORD, follow=False)
    line = next(value for name, value in told.headers if "session=ccks_" in value)
    assert line.startswith(f"coatcheck-local-{house.port}-session=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {mark.strip() for mark in line.split(";")}


def test_a_developer_signs_in_with_a_grant_and_sees_no_page_of_operators(house: House) -> None:
    issued = house.ask(
        "POST", "/grants", {"label": "dev-laptop", "subject": "dev@corp.example", "servers": None}
    )
    visitor = house.stranger()
    visitor.get("/login/grant")
    assert visitor.send("/login/grant", token="cckg_" + "0" * 61).status == 401
    visitor.get("/login/grant")
    assert visitor.send("/login/grant", token=issued["token"], follow=False).header("location") == "/mine"
    assert visitor.get("/", follow=False).header("location") == "/mine"
    house.ask("POST", f"/grants/{issued['grant']['id']}/revoke", {"because": "gone"})
    assert visitor.get("/mine", follow=False).header("location").startswith("/login")


def test_a_page_that_is_not_there_and_a_defect_of_a_path_are_pages_too(house: House) -> None:
    visitor = house.as_role("viewer")
    missing = visitor.get("/login/nowhere")
    assert (missing.status, "no such page" in missing.text) == (404, True)
    assert visitor.post("/welcome/x", {}, {"Content-Type": "application/json"}).status == 415


def test_what_is_not_the_consoles_stays_a_plain_404(house: House) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=10)
    for method, path in (
        ("GET", "/.well-known/oauth-protected-resource"),
        ("GET", "/nowhere"),
        ("POST", "/"),
    ):
        connection.request(method, path)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("content-type")) == (404, "application/json")
        answer.read()
    connection.close()


def test_every_answer_says_what_browsers_may_do_with_it(house: House) -> None:
    visitor = house.as_role("admin")
    pages = [
        visitor.get(path) for path in ("/login/grant", "/nowhere-of-ours", "/welcome/x", "/static/x/y.css")
    ]
    for page in (page for page in pages if "json" not in page.header("content-type")):
        policy = page.header("content-security-policy")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.header("x-content-type-options") == "nosniff"


def test_whose_form_was_not_taken_for_want_of_a_proof_is_told_to_send_it_again(house: House) -> None:
    visitor = house.enter()
    asked = visitor.get("/confirm?back=/settings/invite")
    assert (asked.status, "was not taken" in asked.text) == (200, False)
    asked = visitor.get("/confirm?back=/settings/invite&unsent=1")
    assert "Your form was not taken" in asked.text
    (form,) = [one for one in asked.forms if one.action.startswith("/confirm?")]
    wrong = visitor.send(form.action, password="not the one at all")
    assert (wrong.status, "Your form was not taken" in wrong.text) == (401, True)
    back = visitor.send(form.action, password=PASSWORD)
    assert (back.path, "send it once more" in back.text) == ("/settings/invite", True)
