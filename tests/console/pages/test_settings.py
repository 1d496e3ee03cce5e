"""The settings over real HTTP, without script: operators, tokens, sessions, the password, the set-up."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from bench.surface import every_page
from coatcheck.console.pages.settings.operators import PERMISSION_WORDS, ROLE_WORDS
from coatcheck.model.operator import OperatorRole
from coatcheck.operations.permissions import ROLES, Permission
from coatcheck.operations.signing_in.sessions import RECENT
from houses import PASSWORD, House, prove
from journeys.operating import office_at
from screenshots import clock
from screenshots.clock import Hands
from visitor import Sheet, Visitor

TOKEN = re.compile(r"ccka_[0-9A-Za-z]+")
CODE = re.compile(r"/welcome/(cckb_[0-9A-Za-z]+)")
ANOTHER = "another phrase for tests only"


def invited(admin: Visitor, name: str, role: str = "viewer", **fields: Any) -> Sheet:
    admin.get("/settings/invite")
    return admin.send("/settings/invite", name=name, role=role, **fields)


def asks(house: House, token: str) -> int:
    return house.office.ask("GET", "/whoami", token).status


def test_an_operator_is_invited_by_a_link_that_is_shown_once(house: House, admin: Visitor) -> None:
    page = invited(admin, "newcomer", "auditor", days="30")
    (code,) = set(CODE.findall(page.html))
    assert f"http://127.0.0.1:{house.port}/welcome/{code}" in page.text
    assert code not in admin.get("/settings/operators").html + admin.get("/settings/operators/newcomer").html
    visitor = house.welcome(code)
    assert visitor.get("/log").status == 200, "an auditor reads the record"
    told = admin.get("/settings/operators/newcomer")
    assert ("auditor" in told.text, 'title="Visitor/1.0"' in told.html) == (True, True)


def test_a_link_or_a_token_is_made_once_however_often_its_answer_is_reloaded(
    house: House, admin: Visitor
) -> None:
    admin.get("/settings/invite")
    fields = {**admin.page.form("/settings/invite").fields, "name": "reloaded", "role": "viewer"}
    (code,) = set(CODE.findall(admin.post("/settings/invite", fields).html))
    again = admin.post("/settings/invite", fields)
    assert (again.status, CODE.search(again.html), "/settings/operators" in again.links) == (409, None, True)
    assert house.welcome(code).get("/grants").status == 200, "the link that was shown is good still"
    for path in ("/settings/operators/reloaded/token", "/settings/me/token"):
        admin.get(path)
        fields = {**admin.page.form(path).fields, "what": "make"}
        (token,) = set(TOKEN.findall(admin.post(path, fields).html))
        assert admin.post(path, fields).status == 409
        assert asks(house, token) == 200, "it was not replaced"
    admin.get("/settings/me/token")
    admin.post("/settings/me/token", {"csrf": admin.csrf, "what": "void"})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "Not A Name!"}, "lower case letters"),
        ({"name": "the-viewer", "role": "admin"}, "with the role viewer"),
        ({"name": "late", "days": "0"}, "1 to 3,660 days"),
        ({"name": "late", "days": "soon"}, "whole number"),
    ],
)
def test_what_cannot_be_invited_is_told_beside_what_was_typed(
    admin: Visitor, fields: dict[str, str], words: str
) -> None:
    page = invited(admin, **fields)
    assert page.status in {409, 422}
    assert words in page.text
    assert page.form("/settings/invite").fields["name"] == [fields["name"]]


def test_a_role_is_changed_at_once_and_by_a_new_link(house: House, admin: Visitor) -> None:
    (code,) = set(CODE.findall(invited(admin, "climber", days="20").html))
    visitor = house.welcome(code)
    assert visitor.get("/log", follow=False).status == 403
    admin.get("/settings/operators/climber/role")
    page = admin.send("/settings/operators/climber/role", role="auditor")
    (again,) = set(CODE.findall(page.html))
    assert visitor.get("/settings/me", follow=False).status == 303, "who they were is signed out"
    assert house.welcome(again).get("/log").status == 200
    changes = house.ask("GET", "/changes?kind=operator&object=climber")["items"]
    assert "operator.end" not in {one["action"] for one in changes}
    until = house.ask("GET", "/operators/climber")["expires_at"]
    admin.get("/settings/operators/climber/end")
    admin.send("/settings/operators/climber/end")
    admin.get("/settings/operators/climber/role")
    page = admin.send("/settings/operators/climber/role", role="viewer")
    assert "climber is invited" in page.text, "and one who has ended is back by it"
    assert until is not None
    assert house.ask("GET", "/operators/climber")["expires_at"] == until, "for no longer than before"


def test_nobody_changes_their_own_role(house: House, admin: Visitor) -> None:
    (code,) = set(CODE.findall(invited(admin, "boss", "admin").html))
    boss = house.welcome(code)
    path = "/settings/operators/boss/role"
    page = boss.get(path)
    assert "changed by another admin" in page.text
    assert page.form(path).fields["role"] == ["admin"]
    told = boss.send(path, role="viewer")
    assert (told.status, "their own role" in told.text) == (422, True)
    assert boss.get("/settings/operators/boss").status == 200, "and is signed in as before"
    admin.get(path)
    assert "boss is invited" in admin.send(path, role="viewer").text
    assert boss.get("/settings/operators/boss", follow=False).status == 303


def test_an_operator_is_ended_with_all_that_lets_it_in(house: House, admin: Visitor) -> None:
    (code,) = set(CODE.findall(invited(admin, "leaver", "admin").html))
    visitor = house.welcome(code)
    visitor.get("/settings/me/token")
    (token,) = set(TOKEN.findall(visitor.send("/settings/me/token", what="make").html))
    assert asks(house, token) == 200
    page = admin.get("/settings/operators/leaver/end")
    assert "1 browser is signed out" in page.text
    assert "The API token is void" in page.text
    assert "leaver has ended" in admin.send("/settings/operators/leaver/end").text
    assert asks(house, token) == 401
    assert visitor.get("/settings/me", follow=False).status == 303
    assert admin.get("/settings/operators/nobody").status == 404


def test_tokens_are_made_replaced_and_voided(house: House, admin: Visitor) -> None:
    invited(admin, "exporter", "auditor")
    path = "/settings/operators/exporter/token"
    admin.get(path)
    (first,) = set(TOKEN.findall(admin.send(path, what="make").html))
    assert asks(house, first) == 200
    page = admin.get(path)
    assert first not in page.html
    (second,) = set(TOKEN.findall(admin.post(path, {"csrf": admin.csrf, "what": "make"}).html))
    assert (asks(house, first), asks(house, second)) == (401, 200)
    admin.get(path)
    assert "is void" in admin.post(path, {"csrf": admin.csrf, "what": "void"}).text
    assert asks(house, second) == 401
    admin.get(path)
    assert admin.post(path, {"csrf": admin.csrf, "what": "void"}).status == 422, "there is none any more"
    changes = house.ask("GET", "/changes", object="exporter")["items"]
    actions = [one["action"] for one in changes]
    assert actions == ["operator.add", "operator.token", "operator.token", "operator.void_token"]
    assert changes[-1]["before"]["token"]
    assert changes[-1]["after"]["token"] is None


def test_what_needs_a_proof_asks_for_one_first(tmp_path: Path) -> None:
    hands = Hands(tmp_path / "clock")
    with office_at(tmp_path / "data", program=("-P", clock.__file__, str(hands.file))) as office:
        admin = House(office).enter("admin")
        needing = [page for page in every_page() if page.proven]
        asked = {
            page.path: re.sub(r"\{name\}", "the-viewer", page.path)
            for page in needing
            if page.method == "GET"
        }
        assert len(asked) == len(needing) / 2 > 5, "what is sent is asked for first"
        for path in asked.values():
            assert admin.get(path, follow=False).status == 200, f"{path}: it came in just now"
        hands.set(datetime.now(UTC) + RECENT + timedelta(minutes=1))
        for path in asked.values():
            told = admin.get(path, follow=False)
            assert (told.status, told.header("location")) == (303, f"/confirm?{urlencode({'back': path})}")
            sent = admin.post(path, {"csrf": csrf_of(admin), "name": "late", "role": "viewer"}, follow=False)
            assert (sent.status, sent.header("location").partition("?")[0]) == (303, "/confirm"), path
        assert "late" not in {one["name"] for one in office.locally("GET", "/operators")["items"]}
        assert admin.get("/settings/operators", follow=False).status == 200, "most needs none"
        prove(admin)
        for path in asked.values():
            assert admin.get(path, follow=False).status == 200, path


def csrf_of(visitor: Visitor) -> str:
    visitor.get("/confirm")
    return visitor.csrf


def test_own_browsers_are_listed_and_ended(house: House) -> None:
    one = house.enter("viewer")
    other = house.stranger()
    other.get("/login")
    other.send("/login", name=one.name, password=PASSWORD)
    page = one.get("/settings/sessions")
    assert page.text.count("Sign out") >= 2
    assert "Of everybody else" not in page.text, "that is for admins"
    assert "1 other browser is signed out" in one.send("/settings/sessions/others/end").text
    assert other.get("/settings/me", follow=False).status == 303
    assert one.get("/settings/me").status == 200


def test_what_a_browser_calls_itself_is_text(house: House, admin: Visitor) -> None:
    name = house.enter("viewer").name
    stranger = house.stranger()
    stranger.get("/login")
    fields = {"csrf": stranger.csrf, "name": name, "password": PASSWORD}
    agent = {"User-Agent": '"><script>globalThis.ran=1</script>'}
    assert stranger.post("/login", fields, agent, follow=False).status == 303
    for path in ("/settings/sessions", f"/settings/operators/{name}", "/log/changes"):
        page = admin.get(path)
        assert "globalThis.ran" in page.html
        assert "<script>globalThis" not in page.html


def test_only_admins_end_the_browsers_of_others(house: House, admin: Visitor) -> None:
    viewer = house.enter("viewer")
    page = viewer.get("/settings/sessions")
    (own,) = (
        form.action for form in page.forms if re.fullmatch(r"/settings/sessions/[^/]+/end", form.action)
    )
    intruder = house.enter("policy_manager")
    intruder.get("/settings/sessions")
    csrf = intruder.csrf
    assert intruder.post(own, {"csrf": csrf}).status == 404, "it is not theirs"
    all_of = own.replace("/sessions/", "/sessions/all/")
    assert intruder.post(all_of, {"csrf": csrf}).status == 403
    assert viewer.get("/settings/me").status == 200
    admin.get("/settings/sessions")
    assert "is signed out at that browser" in admin.send(all_of).text
    assert viewer.get("/settings/me", follow=False).status == 303


def test_ending_the_browser_in_use_is_a_sign_out(house: House) -> None:
    viewer = house.enter("viewer")
    page = viewer.get("/settings/sessions")
    (own,) = (
        form.action for form in page.forms if re.fullmatch(r"/settings/sessions/[^/]+/end", form.action)
    )
    gone = viewer.send(own)
    assert gone.path == "/login"
    assert "signed out" in gone.text
    assert viewer.get("/settings/me", follow=False).status == 303


def test_a_password_is_changed_by_who_knows_the_one_of_before(house: House) -> None:
    viewer = house.enter("viewer")
    viewer.get("/settings/me")
    differ = viewer.send("/settings/me/password", former=PASSWORD, password=ANOTHER, again=ANOTHER + "!")
    assert (differ.status, "differ" in differ.text) == (422, True)
    wrong = viewer.send("/settings/me/password", former=ANOTHER, password=ANOTHER, again=ANOTHER)
    assert wrong.status == 401
    assert ANOTHER not in wrong.html
    done = viewer.send("/settings/me/password", former=PASSWORD, password=ANOTHER, again=ANOTHER)
    assert "Your password is set" in done.text
    fresh = house.stranger()
    fresh.get("/login")
    assert fresh.send("/login", name=viewer.name, password=PASSWORD).status == 401
    assert fresh.send("/login", name=viewer.name, password=ANOTHER, follow=False).status == 303


def test_a_developer_is_led_to_the_own_page(house: House) -> None:
    token = house.ask("POST", "/grants", {"label": "of-eve", "subject": "eve", "servers": None})["token"]
    developer = house.stranger()
    developer.get("/login/grant")
    developer.send("/login/grant", token=token)
    assert developer.get("/settings/me").path == "/mine"
    csrf = developer.csrf
    own = {"csrf": csrf, "password": ANOTHER, "again": ANOTHER}
    assert developer.post("/settings/me/password", own, follow=False).status != 303
    assert developer.get("/settings/sessions", follow=False).status == 403


def test_each_role_has_words_and_each_permission_a_line(admin: Visitor) -> None:
    assert ROLE_WORDS.keys() == set(OperatorRole)
    assert PERMISSION_WORDS.keys() == set(Permission)
    page = admin.get("/settings/roles")
    of_all = frozenset.intersection(*ROLES.values())
    apart = sum(len(held - of_all) for held in ROLES.values())
    assert page.html.count('<span class="unseen">yes</span>') == apart
    assert all(page.html.count(f">{one.value}</small>") == 1 for one in Permission), "each has one line"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/settings/sinks", "No sinks"),
        ("/settings/keys", "coatcheck.key, in the data directory"),
        ("/settings/sign-on", "/login/openid/callback"),
        ("/settings/configuration", "call_timeout"),
        ("/settings/about", "SQLite, in the data directory"),
        ("/settings/tokens", "the-viewer"),
    ],
)
def test_the_set_up_is_shown(admin: Visitor, path: str, words: str) -> None:
    page = admin.get(path)
    assert (page.status, words in page.text) == (200, True), page.text


def test_the_first_tab_is_one_that_may_be_seen(house: House) -> None:
    assert house.as_role("admin").get("/settings").path == "/settings/operators"
    viewer = house.as_role("viewer").get("/settings")
    assert (viewer.status, viewer.path) == (200, "/settings/me")
    assert "/settings/configuration" not in viewer.links


def test_a_backup_is_sent_as_a_file(admin: Visitor) -> None:
    sheet = admin.get("/settings/backup")
    assert sheet.header("content-disposition") == 'attachment; filename="coatcheck.backup.tar.gz"'
    assert len(sheet.html) > 1_000


def test_the_key_is_rotated_and_never_shown(own_house: House) -> None:
    admin = own_house.enter("admin")
    before = own_house.ask("GET", "/key")["id"]
    admin.get("/settings/keys/rotate")
    wrong = admin.send("/settings/keys/rotate", path="/nowhere/key")
    assert wrong.status == 422
    assert wrong.form("/settings/keys/rotate").fields["path"] == ["/nowhere/key"]
    page = admin.send("/settings/keys/rotate", path="")
    after = own_house.ask("GET", "/key")["id"]
    assert before != after
    assert {before, after} <= set(re.findall(r"[0-9a-f]{8,}", page.text))
    assert admin.get("/settings/keys").status == 200, "who is signed in stays so"


def test_a_sink_is_shown_and_tested(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "coatcheck.toml").write_text('[[sinks]]\nname = "archive"\nkind = "file"\n', encoding="utf-8")
    (data / "coatcheck.toml").chmod(0o600)
    with office_at(data) as office:
        admin = House(office).enter("admin")
        assert "archive" in admin.get("/settings/sinks").text
        assert "archive took a test entry" in admin.send("/settings/sinks/archive/test").text
        assert admin.get("/log/verify").status == 200
