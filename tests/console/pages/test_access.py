"""Access over real HTTP: the matrix, one part of it in full, who may call a tool, narrowing and the export."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from browser.injection import fitting
from coatcheck.console.web.rendering import link
from houses import House
from journeys.operating import office_at
from screenshots import clock
from screenshots.clock import Hands
from visitor import Form, Sheet, Visitor, counted


def issue(house: House, subject: str, label: str, **more: Any) -> dict[str, Any]:
    body = {"label": label, "subject": subject, "servers": None, **more}
    return dict(house.ask("POST", "/grants", body))


def warm(house: House) -> None:
    house.ask("GET", "/tools")


def narrowing(sheet: Sheet) -> Form:
    """Return the form that narrows a grant."""
    forms = (one for one in sheet.forms if one.method == "post")
    return next(one for one in forms if one.action.startswith("/access/narrow?"))


def test_the_matrix_says_who_may_do_what_and_leads_to_each_tool(house: House, admin: Visitor) -> None:
    warm(house)
    issue(house, "ann", "ann-laptop")
    issue(house, "ben", "ben-laptop", tools=["srv__echo"])
    sheet = admin.get("/access?q=ann&mark=no")
    assert "ann at srv: " in sheet.text
    assert link("/access/one", subject="ann", server="srv") in sheet.links
    narrow = admin.get("/access?q=ben&mark=no")
    assert "ben at srv: 1 of " in narrow.text
    one = admin.get("/access/one?subject=ben&server=srv")
    assert (one.status, "(scope)" in one.text) == (200, True)
    assert link("/policies/explain", server="srv", tool="echo", subject="ben") in one.links
    why = admin.get(link("/policies/explain", server="srv", tool="echo", subject="ben"))
    assert (why.status, "the grant's scope and the access rules" in why.text) == (200, True)
    allowed = admin.get("/access/one?subject=ben&server=srv&show=allowed")
    assert "1 of 1 shown" in allowed.text
    who = admin.get("/access/tool?server=srv&tool=big&q=laptop")
    assert ("ann-laptop" in who.text, "ben-laptop" in who.text) == (True, False)
    every = admin.get("/access/tool?server=srv&tool=big&q=laptop&every=yes")
    assert "ben-laptop" in every.text


def test_it_is_narrowed_and_told_by_grant(house: House, admin: Visitor) -> None:
    issue(house, "cat", "cat-1")
    issue(house, "cat", "cat-2")
    house.ask("POST", "/subjects", {"name": "cat-less"})
    assert "2 of 2 shown" in admin.get("/access?q=cat").text
    assert "1 of 1 shown" in admin.get("/access?q=cat&only=yes").text
    by_grant = admin.get("/access?q=cat&by=grant").text
    assert ("cat-1" in by_grant, "cat-2" in by_grant, "cat-less" in by_grant) == (True, True, False)
    assert "Nobody is like that" in admin.get("/access?q=no-such-person").text
    assert admin.get("/access?col=-3").status == 200
    assert "There are no more servers" in admin.get("/access?col=99").text
    assert admin.get("/access?after=x").status == 422


@pytest.fixture
def past(tmp_path: Path) -> Iterator[tuple[House, Hands]]:
    """Run a gateway whose clock can be set, for grants that have been there for long."""
    hands = Hands(tmp_path / "clock")
    with office_at(tmp_path / "data", program=("-P", clock.__file__, str(hands.file))) as office:
        yield House(office), hands


def test_what_is_not_used_is_marked_and_the_grant_narrowed_to_what_is(past: tuple[House, Hands]) -> None:
    house, hands = past
    admin = house.enter("admin")
    warm(house)
    house.ask("POST", "/servers", {"name": "idle", "command": "true"})
    told = issue(house, "dan", "dan-laptop")
    assert house.office.hall.call("echo", {}, grant=told["token"]).status == 200
    one = counted(admin, "/access/one?subject=dan&server=srv")
    assert ("did not use in 30 days" in one.text, "Draft a policy" in one.text) == (True, True)
    narrow = link("/access/narrow", grant=told["grant"]["id"], tools="yes")
    assert narrow in one.links
    assert 'name="tools" value="yes" checked' in " ".join(counted(admin, narrow).html.split())
    assert (
        "echo"
        not in admin.get("/access/one?subject=dan&server=srv&show=unused&q=echo").text.partition("Tools")[2]
    )
    eli = issue(house, "eli", "eli-laptop")["grant"]["id"]
    assert "; not used" not in counted(admin, "/access?q=eli").text, "it was issued just now"
    for number in (1, 2):
        issue(house, "zoe", f"zoe-{number}")
    hands.set(datetime.now(UTC) + timedelta(days=7, minutes=1))
    admin = house.enter("admin")
    row = counted(admin, "/access?q=dan")
    assert ("dan at idle: " in row.text, row.text.count("; not used in 30 days")) == (True, 0)
    row = counted(admin, "/access?q=eli")
    assert (
        "eli at srv: 9 of 10 tools, some of which change something; not used in 30 days: narrow it"
        in row.text
    )
    assert link("/access/narrow", grant=eli) in row.links
    assert "; not used" not in admin.get("/access?q=eli&mark=no").text
    assert link("/access/withdraw", subject="zoe", server="srv") in counted(admin, "/access?q=zoe").links
    seen = counted(house.as_role("viewer"), "/access?q=eli")
    assert (
        "; not used in 30 days" in seen.text,
        link("/access/one", subject="eli", server="srv") in seen.links,
    ) == (
        True,
        True,
    )

    page = counted(admin, link("/access/narrow", grant=told["grant"]["id"]))
    assert "every server, those that are added later among them" in page.text
    assert page.form("/access/narrow").method == "get"
    post = narrowing(page)
    assert post.fields["keep"] == ["srv"]
    fields = dict(post.fields)
    done = admin.post("/access/narrow", fields, follow=False)
    assert (done.status, done.header("location")) == (303, f"/grants/{told['grant']['id']}")
    assert house.ask("GET", f"/grants/{told['grant']['id']}")["servers"] == ["srv"]
    assert admin.post("/access/narrow", fields).status == 409

    page = counted(admin, link("/access/narrow", grant=told["grant"]["id"], tools="yes"))
    post = narrowing(page)
    assert post.fields["tool"] == ["srv__echo"]
    assert admin.post("/access/narrow", post.fields, follow=False).status == 303
    assert house.ask("GET", f"/grants/{told['grant']['id']}")["tools"] == ["srv__echo"]
    assert house.office.hall.call("echo", {}, grant=told["token"]).status == 200


def test_a_narrowing_that_was_refused_keeps_what_was_chosen(house: House, admin: Visitor) -> None:
    warm(house)
    house.ask("POST", "/servers", {"name": "side", "command": "true"})
    told = issue(house, "ida", "ida-laptop", servers=["srv", "side"])
    assert house.office.hall.call("echo", {}, grant=told["token"]).status == 200
    id = told["grant"]["id"]

    for chosen in ({"tools": "yes", "chosen": "yes", "keep": ["srv"]}, {"tools": "yes"}):
        post = narrowing(counted(admin, link("/access/narrow", grant=id, days=7, **chosen)))
        assert (post.fields["keep"], post.fields["tool"]) == (["srv"], ["srv__echo"])
        admin.get(f"/grants/{id}/change")
        assert admin.send(f"/grants/{id}/change", note=f"with {len(chosen)}", follow=False).status == 303
        again = admin.post(post.action, post.fields)
        assert (again.status, "changed" in again.text) == (409, True), again.text
        asked = next(one.fields for one in again.forms if one.method == "get")
        assert (asked["days"], asked["tools"], asked["keep"]) == (["7"], ["yes"], ["srv"])
        once_more = narrowing(again)
        assert (once_more.fields["keep"], once_more.fields["tool"]) == (["srv"], ["srv__echo"])
    assert admin.post(once_more.action, once_more.fields, follow=False).status == 303
    now = house.ask("GET", f"/grants/{id}")
    assert (now["servers"], now["tools"]) == (["srv"], ["srv__echo"])


def test_a_cell_that_says_none_tells_why(house: House, admin: Visitor) -> None:
    warm(house)
    house.ask("POST", "/servers", {"name": "far", "command": "true"})
    issue(house, "sue", "sue-laptop", servers=["far"])
    issue(house, "tim", "tim-laptop")
    house.ask("POST", "/grants/tim-laptop/revoke", {"because": "lost"})
    house.ask("POST", "/subjects", {"name": "una"})

    def why(name: str) -> str:
        where = link("/access/one", subject=name, server="srv")
        assert where in admin.get(link("/access", q=name)).links, name
        return admin.get(where).text

    assert "No live grant of sue reaches srv" in why("sue")
    assert "sue-laptop reaches far ( change )" in why("sue")
    assert (
        "( change )" not in house.as_role("viewer").get(link("/access/one", subject="sue", server="srv")).text
    )
    assert "tim reaches nothing: no live grant lets them in" in why("tim")
    assert "The last one, tim-laptop , was revoked" in why("tim")
    assert "None was ever issued to them." in why("una")
    issue(house, "una", "una-laptop")
    house.ask("POST", "/subjects/una/disable", {"because": "away"})
    assert "una is disabled" in why("una")


def test_a_server_is_taken_from_all_grants_that_did_not_use_it(house: House, admin: Visitor) -> None:
    warm(house)
    house.ask("POST", "/servers", {"name": "near", "command": "true"})
    used = issue(house, "vic", "vic-1", servers=["srv", "near"])
    idle = issue(house, "vic", "vic-2", servers=["srv", "near"])["grant"]["id"]
    only = issue(house, "vic", "vic-3", servers=["srv"])["grant"]["id"]
    every = issue(house, "vic", "vic-4")["grant"]["id"]
    where = link("/access/withdraw", subject="vic", server="srv")
    assert house.office.hall.call("echo", {}, grant=used["token"]).status == 200

    page = counted(admin, where)
    assert "It reaches nothing else: revoke it in place of this." in page.text
    assert "none that is added later" in page.text
    form = page.form("/access/withdraw")
    assert [one.partition("@")[0] for one in form.fields["grant"]] == [idle, every]
    done = admin.post("/access/withdraw", form.fields, follow=False)
    assert (done.status, done.header("location")) == (303, "/access?q=vic")
    assert house.ask("GET", f"/grants/{idle}")["servers"] == ["near"]
    assert "srv" not in house.ask("GET", f"/grants/{every}")["servers"]
    assert house.ask("GET", f"/grants/{used['grant']['id']}")["servers"] == ["near", "srv"]
    assert house.office.hall.call("echo", {}, grant=used["token"]).status == 200

    def refused(*grants: str) -> tuple[int, str]:
        admin.get(where)
        fields = {"csrf": admin.csrf, "subject": "vic", "server": "srv", "grant": list(grants)}
        answer = admin.post("/access/withdraw", fields)
        return answer.status, answer.text

    for grants, said in (
        ((), "Choose the grants"),
        ((idle,), "Choose from the grants"),
        ((f"{idle}@x",), "Choose from the grants"),
        ((f"{only}@1",), "would be left with no server"),
    ):
        status, text = refused(*grants)
        assert (status, said in text) == (422, True), (grants, text)
    assert refused(f"{used['grant']['id']}@7")[0] == 409
    assert refused("none@1")[0] == 404
    assert "No grant of theirs reaches it" in admin.get("/access/withdraw?subject=nobody&server=srv").text
    assert admin.get("/access/withdraw?subject=vic&server=no").status == 404
    assert house.as_role("viewer").get(where).status == 403


def test_a_reason_that_all_have_is_said_once(house: House, admin: Visitor) -> None:
    warm(house)
    for number in range(3):
        issue(house, "wim", f"wim-{number}", tools=["srv__echo"] if number == 2 else None)
    all_alike = admin.get("/access/tool?server=srv&tool=big&q=wim")
    assert (all_alike.text.count("All of these: "), all_alike.text.count("no rule matches")) == (1, 1)
    mixed = admin.get("/access/tool?server=srv&tool=big&q=wim&every=yes")
    assert (mixed.text.count("All of these: "), mixed.text.count("no rule matches")) == (0, 2)


def test_narrowing_never_leaves_nothing_and_says_what_to_do(house: House, admin: Visitor) -> None:
    told = issue(house, "flo", "flo-laptop", servers=["srv"])
    page = counted(admin, link("/access/narrow", grant=told["grant"]["id"]))
    assert "It was not used at all" in page.text
    fields = {"csrf": admin.csrf, "grant": told["grant"]["id"], "version": 1, "every": "yes"}
    none = admin.post("/access/narrow", fields)
    assert (none.status, "revoke it" in none.text) == (422, True)
    file = next(one for one in house.ask("GET", "/grants")["items"] if one["source"] == "file")
    assert "The servers file declares this grant" in admin.get(link("/access/narrow", grant=file["id"])).text
    assert admin.get("/access/narrow?grant=none").status == 404


def test_the_export_has_each_grant_and_tool_and_no_formula(house: House, admin: Visitor) -> None:
    warm(house)
    house.ask("POST", "/subjects", {"name": "=1+1"})
    issue(house, "=1+1", "formula")
    sheet = admin.get(link("/access/export.csv", q="=1+1", server="srv"))
    rows = list(csv.DictReader(io.StringIO(sheet.html, newline="")))
    assert sheet.header("content-type").startswith("text/csv")
    assert {row["subject"] for row in rows} == {"'=1+1"}
    assert {(row["grant"], row["server"], row["outcome"]) for row in rows} == {
        ("formula", "srv", "allowed"),
        ("formula", "srv", "hidden"),
    }
    assert {row["tool"] for row in rows} >= {"echo", "big"}
    whole = list(csv.DictReader(io.StringIO(admin.get("/access/export.csv").html, newline="")))
    assert len(whole) > len(rows)


def test_names_of_every_kind_work_in_the_matrix(house: House, admin: Visitor) -> None:
    warm(house)
    for name in ("a/b?c#d", 'o\'hara "x"', "🦊", *[one for one in fitting(256) if one.isprintable()][:12]):
        house.ask("POST", "/subjects", {"name": name})
        where = link("/access/one", subject=name, server="srv")
        assert admin.get(where).status == 200, name
        assert link("/people/one", name=name) in admin.get(link("/access", q=name)).links, name
        assert "<script>globalThis" not in admin.page.html


def test_who_may_not_change_grants_is_led_nowhere(house: House, admin: Visitor) -> None:
    warm(house)
    issue(house, "gus", "gus-laptop")
    viewer = house.as_role("viewer")
    sheet = viewer.get("/access/one?subject=gus&server=srv")
    assert sheet.status == 200
    assert not [one for one in sheet.links if one.startswith(("/access/narrow", "/policies/suggest"))]
    assert [
        one
        for one in admin.get("/access/one?subject=gus&server=srv").links
        if one.startswith("/access/narrow")
    ]


def test_what_there_is_not_is_told_kindly(admin: Visitor) -> None:
    for path in (
        "/access/one",
        "/access/one?subject=nobody&server=srv",
        "/access/one?subject=alice&server=no",
        "/access/tool",
        "/access/tool?server=srv&tool=no",
    ):
        assert admin.get(path).status == 404, path


def test_sealed_history_is_never_called_unused(own_house: House, tmp_path: Path) -> None:
    """What was called before is in a file after it, and of whom nobody looked is not known."""
    house, admin = own_house, own_house.as_role("admin")
    warm(house)
    told = issue(house, "xia", "xia-laptop", servers=["srv"])
    assert house.office.hall.call("echo", {}, grant=told["token"]).status == 200
    issue(house, "yan", "yan-laptop")
    assert "sealed files" not in counted(admin, "/access?q=yan").text
    before = datetime.now(UTC).isoformat()
    assert house.office.hall.call("echo", {}, grant=told["token"]).status == 200
    assert house.ask("POST", "/segments", {"before": before, "to": str(tmp_path)})["segment"] is not None
    for where in (
        "/access?q=xia",
        "/access/one?subject=xia&server=srv",
        link("/access/narrow", grant=told["grant"]["id"]),
        "/access/withdraw?subject=xia&server=srv",
    ):
        text = counted(admin, where).text
        assert ("Older calls are in sealed files" in text, "not used in 30 days" in text) == (True, False), (
            where
        )
        assert "before that, it may have been" in text, where
