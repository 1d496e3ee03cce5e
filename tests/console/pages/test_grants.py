"""The pages about grants over real HTTP: what they issue works at once, and what they revoke is over at once."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from houses import House
from visitor import Sheet, Visitor, counted

TOKEN = re.compile(r"cckg_[0-9A-Za-z]{61}")
LINK = re.compile(r"http://gw(/claim/cckb_[0-9A-Za-z]+)")


def issue(visitor: Visitor, **fields: Any) -> Sheet:
    visitor.get("/grants/new")
    return visitor.send("/grants/new", **{"how": "token", **fields}, follow=False)


def token_in(sheet: Sheet) -> str:
    assert sheet.status == 200, sheet.text
    found = set(TOKEN.findall(sheet.html))
    assert len(found) == 1, found
    return str(found.pop())


def status(house: House, token: str) -> int:
    return house.office.hall.call("echo", {}, grant=token).status


def grant(house: House, ref: str) -> dict[str, Any]:
    told: dict[str, Any] = house.ask("GET", f"/grants/{ref}")
    return told


def listed(sheet: Sheet) -> list[str]:
    return re.findall(r'class="name" href="/grants/[^"]*">([^<]*)<', sheet.html)


def test_a_revoked_grant_that_still_knocks_is_told(own_house: House) -> None:
    """At a gateway that nobody looked at: who knocks is counted anew twice a minute only."""
    house, admin = own_house, own_house.as_role("admin")
    token = token_in(issue(admin, owner="ivy", label="ivy-laptop"))
    house.ask("POST", "/grants/ivy-laptop/revoke", {"because": "x"})
    assert status(house, token) == 401
    assert "still presented" in admin.get("/grants/ivy-laptop").text


def test_what_is_issued_works_and_is_shown_once(house: House, admin: Visitor) -> None:
    page = issue(admin, owner="bob@example.com", note="for tests")
    token = token_in(page)
    assert "claude mcp add" in page.text
    assert status(house, token) == 200
    told = grant(house, "bob")
    assert (told["label"], told["subject"], told["servers"], told["note"]) == ("bob", "bob@example.com", None, "for tests")  # fmt: skip
    ends = datetime.fromisoformat(told["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < ends < timedelta(days=91)
    assert TOKEN.search(admin.get("/grants/bob").html) is None
    assert grant(house, grant(house, "bob")["id"])["label"] == "bob"
    issue(admin, owner="bob@elsewhere.example")
    assert grant(house, "bob-2")["subject"] == "bob@elsewhere.example"


def _ids(house: House) -> set[str]:
    return {one["id"] for one in house.ask("GET", "/grants", limit=200)["items"]}


@pytest.mark.parametrize(
    ("path", "typed"),
    [
        ("/grants/new", {"how": "token", "owner": "twice"}),
        ("/grants/new/many", {"how": "token", "owners": "twice-a\ntwice-b"}),
    ],
)
def test_a_form_sent_again_by_a_reload_makes_nothing_again(
    house: House, admin: Visitor, path: str, typed: dict[str, str]
) -> None:
    admin.get(path)
    fields = {**admin.page.form(path).fields, **typed}
    assert TOKEN.search(admin.post(path, fields).html)
    before = _ids(house)
    again = admin.post(path, fields)
    assert (again.status, "This was done already" in again.text, TOKEN.search(again.html)) == (
        409,
        True,
        None,
    )
    assert "/grants" in again.links
    assert _ids(house) == before
    fields = {**admin.get(path).form(path).fields, **typed}
    assert TOKEN.search(admin.post(path, fields).html), "a form of its own is taken"
    assert _ids(house) > before


def test_a_rotation_sent_again_by_a_reload_leaves_the_token_that_was_shown(
    house: House, admin: Visitor
) -> None:
    first = token_in(issue(admin, owner="rita", label="rita-reloads"))
    path = f"/grants/{grant(house, 'rita-reloads')['id']}/rotate"
    fields = {**admin.get(path).form(path).fields, "overlap": "0"}
    second = token_in(admin.post(path, fields))
    assert admin.post(path, fields).status == 409
    assert (status(house, first), status(house, second)) == (401, 200)


def test_a_form_that_failed_or_has_no_key_is_taken_again(house: House, admin: Visitor) -> None:
    admin.get("/grants/new")
    fields = {**admin.page.form("/grants/new").fields, "how": "token"}
    assert admin.post("/grants/new", {**fields, "owner": ""}).status == 422
    assert admin.post("/grants/new", {**fields, "owner": "failed-first"}).status == 200
    keyless = {name: value for name, value in fields.items() if name != "once"}
    assert [admin.post("/grants/new", {**keyless, "owner": "keyless"}).status for _ in range(2)] == [200, 200]


def test_a_claim_link_is_what_one_gets_unless_one_says_otherwise(house: House, admin: Visitor) -> None:
    admin.get("/grants/new")
    page = admin.send("/grants/new", owner="clara", label="clara-laptop", follow=False)
    link = LINK.search(page.html)
    assert link is not None, page.text
    assert TOKEN.search(page.html) is None
    owner = house.stranger()
    assert "clara-laptop" in owner.get(link[1]).text
    assert status(house, token_in(owner.send(link[1], follow=False))) == 200


def test_all_that_a_form_says_is_in_the_grant(house: House, admin: Visitor) -> None:
    token_in(
        issue(
            admin,
            owner="dora",
            label="dora-ci",
            reach="chosen",
            servers=["srv"],
            tools="srv__echo, srv__get_*\nsrv__x",
            life="date",
            until="2030-02-28",
            policy="read-only",
        )
    )
    told = grant(house, "dora-ci")
    assert (told["servers"], told["tools"]) == (["srv"], ["srv__echo", "srv__get_*", "srv__x"])
    assert told["expires_at"].startswith("2030-02-28T23:59:59")
    page = admin.get("/grants/dora-ci")
    assert ("read-only" in page.text, "the grant dora-ci" in page.text) == (True, True)
    assert listed(admin.get("/grants?policy=read-only")) == ["dora-ci"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"owner": ""}, "name of an owner"),
        ({"owner": "x", "reach": "chosen"}, "Choose at least one server"),
        ({"owner": "x", "life": "date", "until": "soon"}, "Say the day"),
        ({"owner": "x", "life": "date", "until": "2020-01-01"}, "lies in the past"),
        ({"owner": "x", "tools": "everything"}, "names no tool"),
        ({"owner": "x", "policy": "no-such"}, "no-such"),
        ({"owner": "x", "label": "taken"}, "labelled 'taken' already"),
    ],
)
def test_what_cannot_be_is_told_and_typed_fields_stay(
    house: House, admin: Visitor, fields: dict[str, Any], said: str
) -> None:
    if fields.get("label") == "taken":
        house.ask("POST", "/grants", {"label": "taken", "subject": "x", "servers": None})
    before = len(house.ask("GET", "/grants")["items"])
    page = issue(admin, **{"note": "typed before", **fields})
    assert page.status in {404, 409, 422}
    assert said in page.text
    form = page.form("/grants/new")
    assert (form.fields["note"], form.fields["owner"]) == (["typed before"], [fields["owner"]])
    assert TOKEN.search(page.html) is None
    assert len(house.ask("GET", "/grants")["items"]) == before


def test_many_are_issued_at_once_or_none(house: House, admin: Visitor) -> None:
    path = "/grants/new/many"
    admin.get(path)
    page = admin.send(
        path, owners="owner,label\neva@x\neva@y,\nfinn ; finn-ci\n\n", how="token", follow=False
    )
    assert page.status == 200, page.text
    found = list(dict.fromkeys(TOKEN.findall(page.html)))
    assert [status(house, token) for token in found] == [200, 200, 200]
    assert [grant(house, ref)["subject"] for ref in ("eva", "eva-2", "finn-ci")] == ["eva@x", "eva@y", "finn"]
    assert "label,subject,id,token,claim_url" in page.text
    admin.get(path)
    page = admin.send(path, owners="hal", how="token", policy="read-only", follow=False)
    assert "The policy read-only is used on each of them." in page.text
    assert "/policies/read-only" in page.links
    admin.get(path)
    wrong = admin.send(path, owners="gus\nfinn,finn-ci", follow=False)
    assert (wrong.status, "Grant 2" in wrong.text) == (409, True)
    assert wrong.form(path).fields["owners"][0].strip() == "gus\nfinn,finn-ci"
    assert listed(admin.get("/grants?owner=finn")) == ["finn-ci"]
    assert listed(admin.get("/grants?owner=gus")) == []
    admin.get(path)
    assert "Line 1" in admin.send(path, owners="a,b,c", follow=False).text


def test_the_list_is_searched_and_filtered(house: House, admin: Visitor) -> None:
    for number in range(3):
        house.ask("POST", "/grants", {"label": f"find-{number}", "subject": f"Owner{number}", "servers": None if number else ["srv"], "note": "Blue team"})  # fmt: skip
    house.ask("POST", "/grants", {"label": "find-c", "subject": "c", "servers": None, "by_claim": True})
    house.ask("POST", "/grants", {"label": "find-n", "subject": "c", "servers": None, "expires_at": None})
    soon = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    house.ask("POST", "/grants", {"label": "find-s", "subject": "c", "servers": None, "expires_at": soon})
    house.ask("POST", "/grants/find-2/revoke", {"because": "x"})
    token = token_in(issue(admin, owner="used", label="find-used"))
    assert status(house, token) == 200

    def found(query: str) -> list[str]:
        return [label for label in listed(admin.get(f"/grants?{query}")) if label.startswith("find")]

    assert found("q=blue+OWNER1") == ["find-1"]
    assert found("q=find&scope=chosen") == ["find-0"]
    assert found("owner=Owner2") == ["find-2"]
    assert found("q=find&state=revoked") == ["find-2"]
    assert found("q=find&state=unclaimed") == ["find-c"]
    assert found("q=find&state=expiring") == found("q=find&expires=week") == ["find-s"]
    assert found("q=find&expires=never") == ["find-n"]
    assert found("q=find&used=day") == ["find-used"]
    assert found("q=find&used=not-30") == ["find-0", "find-1", "find-2", "find-c", "find-n", "find-s"]
    assert found("q=find&state=never-used") == ["find-0", "find-1", "find-n", "find-s"]
    assert found("q=find&state=idle") == []
    assert "find-0" in found("q=find&server=srv&state=live")
    assert "No grant is like that" in admin.get("/grants?q=nobody-at-all").text
    assert admin.get("/grants?state=odd").status == 422
    assert admin.get("/grants?server=gone").status == 404


def test_revoking_is_one_form_and_the_next_call_gets_401(house: House, admin: Visitor) -> None:
    token = token_in(issue(admin, owner="harry", label="harry-laptop"))
    assert status(house, token) == 200
    id = grant(house, "harry-laptop")["id"]
    page = admin.get(f"/grants/{id}")
    assert "What is open now ends at once" in page.text
    assert "Only the defaults of its servers" in page.text
    asked = admin.get(f"/grants/revoke?grant={id}").text
    assert "This grant The next request with it gets 401" in asked
    assert "What is revoked stays so: issue another if it was by mistake." in asked
    assert [word for word in ("These grants", "any of them", "file") if word in asked] == []
    admin.get(f"/grants/{id}")
    done = admin.send(f"/grants/{id}/revoke", because="he left")
    assert ("harry-laptop is revoked" in done.text, done.path) == (True, f"/grants/{id}")
    assert status(house, token) == 401
    told = grant(house, id)
    assert (told["state"], told["because"]) == ("revoked", "he left")
    assert f"/grants/{id}/revoke" not in [form.action for form in admin.get(f"/grants/{id}").forms]
    late = admin.post(f"/grants/{id}/revoke", {"csrf": admin.csrf})
    assert "was revoked before" in late.text


def test_several_are_revoked_after_a_look_at_what_ends(house: House, admin: Visitor) -> None:
    tokens = [token_in(issue(admin, owner="jo", label=f"jo-{number}")) for number in range(3)]
    ids = [grant(house, f"jo-{number}")["id"] for number in range(3)]
    page = admin.get(f"/grants/revoke?grant={ids[0]}&grant={ids[1]}")
    assert ("Revoke all 2" in page.text, "The next request with any of them" in page.text) == (True, True)
    assert admin.page.form("/grants/revoke").fields["grant"] == ids[:2]
    done = admin.send("/grants/revoke", because="spring cleaning")
    assert "jo-0, jo-1: revoked" in done.text
    assert [status(house, token) for token in tokens] == [401, 401, 200]
    assert "It has ended before" in admin.get(f"/grants/revoke?grant={ids[0]}").text
    assert admin.get("/grants/revoke").status == 422
    assert admin.get("/grants/revoke?grant=nobody").status == 404


def test_one_is_revoked_from_its_row_and_the_list_stays_as_it_was(house: House, admin: Visitor) -> None:
    house.ask("POST", "/grants", {"label": "row-1", "subject": "rory", "servers": None})
    sheet = admin.get("/grants?q=row-&owner=rory")
    (path,) = [one for one in sheet.links if one.startswith("/grants/revoke?")]
    page = admin.get(path)
    assert ("row-1" in page.text, "Calls under way" in page.text) == (True, True)
    ended = admin.send("/grants/revoke", because="lost")
    assert "row-1: revoked." in ended.text
    assert ended.form("/grants").fields["owner"] == ["rory"]
    assert grant(house, "row-1")["because"] == "lost"
    assert not [one for one in admin.get("/grants?q=row-").links if one.startswith("/grants/revoke?")]
    page = admin.get("/grants/revoke?grant=row-1&back=https://elsewhere.example/")
    assert "/grants" in page.links
    assert "elsewhere" not in page.html, "and whatever else is said leads nowhere"


@pytest.mark.parametrize("back", ["/grants?q=\r\nX-Odd: 1", "/grants?q=\u0142", "/grants?q=a\n"])
def test_no_way_back_fails_after_all_is_revoked(house: House, admin: Visitor, back: str) -> None:
    wanted = {"label": f"odd-{len(back)}", "subject": "rory", "servers": None}
    id = house.ask("POST", "/grants", wanted)["grant"]["id"]
    admin.get(f"/grants/revoke?grant={id}")
    fields = {"csrf": admin.csrf, "grant": id, "because": ""}
    good = admin.post("/grants/revoke", {**fields, "back": "/grants?q=odd"}, follow=False)
    assert (good.status, good.header("location")) == (303, "/grants?q=odd")
    done = admin.post("/grants/revoke", {**fields, "back": back}, follow=False)
    assert (done.status, done.header("location")) == (303, "/grants")


def test_the_list_goes_forth_and_back_and_counts_all(house: House, admin: Visitor) -> None:
    grants = [{"label": f"pg-{number:03}", "subject": "pia", "servers": None} for number in range(120)]
    house.ask("POST", "/grants/batch", {"grants": grants})
    first = admin.get("/grants?q=pg-")
    assert ("50 of 120 shown" in first.text, listed(first)[0]) == (True, "pg-000")
    assert "Previous page" not in first.text

    def to(word: str) -> Sheet:
        return admin.get(next(one for one in admin.page.links if one.startswith("/grants?") and word in one))

    assert listed(to("after="))[0] == "pg-050"
    assert "Previous page" in admin.page.text
    assert listed(to("after="))[0] == "pg-100"
    assert ("20 of 120 shown" in admin.page.text, listed(to("before="))[0]) == (True, "pg-050")
    assert listed(to("before=")) == listed(first)
    assert "Previous page" not in admin.page.text


def test_owners_are_suggested_as_one_types(house: House, admin: Visitor) -> None:
    house.ask("POST", "/subjects", {"name": "quinn@example.com"})
    assert "quinn" not in admin.get("/grants/new").html
    assert '<option value="quinn@example.com">' in admin.get("/grants/owners?owner=QUIN").html
    assert "<option" not in admin.get("/grants/owners?owner=nobody-of-this-name").html


def test_a_filter_of_what_is_not_offered_is_shown_as_it_filters(admin: Visitor) -> None:
    sheet = admin.get("/grants?policy=long-gone")
    assert '<option value="long-gone" selected>' in sheet.html
    assert "No grant is like that" in sheet.text
    assert listed(sheet) == []


def test_a_grant_is_changed_at_the_version_that_was_shown(house: House, admin: Visitor) -> None:
    token = token_in(issue(admin, owner="kim", label="kim-1"))
    id = grant(house, "kim-1")["id"]
    path = f"/grants/{id}/change"
    admin.get(path)
    form = admin.page.form(path).fields
    before = grant(house, id)["expires_at"]
    done = admin.send(path, label="kim-2", reach="chosen", servers=["srv"], tools="srv__other", note="n")
    assert "kim-2 is changed" in done.text
    told = grant(house, id)
    assert (told["label"], told["servers"], told["tools"], told["note"]) == ("kim-2", ["srv"], ["srv__other"], "n")  # fmt: skip
    assert told["expires_at"] == before
    assert "error" in house.office.hall.call("echo", {}, grant=token).json()
    stale = admin.post(path, {**{name: value[-1] for name, value in form.items()}, "label": "kim-3"})
    assert (stale.status, "changed meanwhile" in stale.text) == (409, True)
    assert stale.form(path).fields["label"] == ["kim-3"]
    assert grant(house, id)["label"] == "kim-2"


def test_a_token_is_rotated_with_an_overlap_or_at_once(house: House, admin: Visitor) -> None:
    first = token_in(issue(admin, owner="lea", label="lea-1"))
    id = grant(house, "lea-1")["id"]
    path = f"/grants/{id}/rotate"
    admin.get(path)
    second = token_in(admin.send(path, overlap="3600", follow=False))
    assert (status(house, first), status(house, second)) == (200, 200)
    assert "Former token" in admin.get(f"/grants/{id}").text
    admin.get(path)
    third = token_in(admin.send(path, overlap="0", follow=False))
    assert [status(house, token) for token in (first, second, third)] == [401, 401, 200]
    admin.get(path)
    late = admin.post(path, {"csrf": admin.csrf, "version": "1", "overlap": "0"})
    assert (late.status, status(house, third)) == (409, 200)


def test_a_grant_of_the_file_is_revoked_and_restored_and_nothing_else(house: House, admin: Visitor) -> None:
    own = house.office.hall.grant
    id = next(one["id"] for one in house.ask("GET", "/grants", source="file")["items"])
    page = admin.get(f"/grants/{id}")
    assert ("declared in the file" in page.text, f"/grants/{id}/change" in page.links) == (True, False)
    for path in ("change", "rotate"):
        assert "cannot be" in admin.get(f"/grants/{id}/{path}").text
    admin.get(f"/grants/{id}")
    admin.send(f"/grants/{id}/revoke", because="")
    assert status(house, own) == 401
    admin.get(f"/grants/{id}")
    assert "is good again" in admin.send(f"/grants/{id}/restore").text
    assert status(house, own) == 200


def test_what_a_grant_touched_is_for_those_who_may_read_the_record(house: House, admin: Visitor) -> None:
    token = token_in(issue(admin, owner="mo", label="mo-1"))
    assert status(house, token) == 200
    id = grant(house, "mo-1")["id"]
    assert "srv" in counted(admin, f"/grants/{id}/touched").text
    actions = [one["action"] for one in house.ask("GET", "/changes", limit=20)["items"]]
    assert "record.blast_radius" in actions
    viewer = house.as_role("viewer")
    assert viewer.get(f"/grants/{id}/touched").status == 403
    page = viewer.get(f"/grants/{id}")
    assert (page.status, "echo" in page.text, page.forms[-1].action) == (200, False, "/logout")
    assert viewer.get("/grants").status == 200


@pytest.mark.parametrize("path", ["/grants?q=markup", "/grants/markup", "/grants/markup/change"])
def test_what_somebody_wrote_is_text(house: House, admin: Visitor, path: str) -> None:
    evil = '<img src=x onerror="alert(1)">'
    id = next((one["id"] for one in house.ask("GET", "/grants", subject=evil)["items"]), None)
    if id is None:
        body = {"label": f"markup {evil}", "subject": evil, "servers": None, "note": f"markup {evil}"}
        id = house.ask("POST", "/grants", body)["grant"]["id"]
    page = admin.get(path.replace("/markup", f"/{id}"))
    assert page.status == 200
    assert evil not in page.html
    assert evil in page.text or evil in str(page.forms)
