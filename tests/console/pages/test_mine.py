"""A developer's own page over real HTTP: everything of the owner's own, and nothing of anybody else."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.operations.own import NO_SUCH
from houses import House
from visitor import Visitor


def issue(house: House, label: str, subject: str, **more: Any) -> str:
    body = {"label": label, "subject": subject, "servers": None, **more}
    return str(house.ask("POST", "/grants", body)["token"])


def enter(house: House, token: str) -> Visitor:
    visitor = house.stranger()
    visitor.get("/login/grant")
    assert visitor.send("/login/grant", token=token, follow=False).status == 303
    return visitor


def test_own_grants_clients_and_calls_are_shown_and_no_other(house: House) -> None:
    token = issue(house, "nora-laptop", "nora", note="for operators")
    issue(house, "nora-robot", "nora", servers=["srv"])
    other = issue(house, "olaf-laptop", "olaf")
    for grant, tool in ((token, "echo"), (token, "denied"), (other, "other-tool")):
        house.office.hall.call(tool, {}, grant=grant)
    page = enter(house, token).get("/mine")
    for text in ("nora-laptop", "nora-robot", "every server", "echo", "denied", NO_SUCH, "http://gw/mcp"):
        assert text in page.text, text
    for text in ("olaf", "other-tool", "for operators", "acl"):
        assert text not in page.text, text
    refused = enter(house, token).get("/mine?refused=yes")
    assert (NO_SUCH in refused.text, "echo" in refused.text) == (True, False)
    assert token not in page.html


def test_the_sentence_beside_a_call_is_the_one_that_the_caller_was_told(house: House) -> None:
    token = issue(house, "olga-laptop", "olga")
    document = {
        "coatcheck": 1,
        "name": "asking",
        "default": "allow-all",
        "tools": {"echo": {"deny_if": [{"path": "/n", "op": "gt", "value": 5, "message": "Ask the owner."}]}},
    }
    told = house.office.ask("PUT", "/policies/asking", "admin", {"document": document, "because": "x"})
    assert told.status == 200, told.body
    grant = house.ask("GET", "/grants/olga-laptop")["id"]
    house.ask("POST", "/policies/asking/use", {"kind": "grant", "of": grant})
    assert "Ask the owner." in house.office.hall.call("echo", {"n": 6}, grant=token).text
    page = enter(house, token).get("/mine")
    assert "Ask the owner." in page.text
    assert "denies if" not in page.text, "why the rule says so is for operators"
    position = house.office.hall.records(limit=1, subject="olga")[0]["position"]
    story = house.as_role("admin").get(f"/log/calls/{position}").text
    assert "denies if" in story
    assert "The caller was told: \u201cAsk the owner.\u201d" in story


def test_who_is_not_signed_in_or_is_an_operator_is_led_elsewhere(house: House, admin: Visitor) -> None:
    assert house.stranger().get("/mine", follow=False).header("location") == "/login?back=%2Fmine"
    assert admin.get("/mine", follow=False).header("location") == "/settings/me"


@pytest.mark.parametrize("ending", ["revoke", "disable"])
def test_the_page_is_over_with_its_grant(house: House, ending: str) -> None:
    token = issue(house, f"pia-{ending}", f"pia-{ending}")
    visitor = enter(house, token)
    assert visitor.get("/mine", follow=False).status == 200
    of = "/grants" if ending == "revoke" else "/subjects"
    house.ask("POST", f"{of}/pia-{ending}/{ending}", {"because": "x"})
    assert visitor.get("/mine", follow=False).status == 303


def test_what_is_over_is_told_apart(house: House) -> None:
    token = issue(house, "quin-1", "quin")
    issue(house, "quin-2", "quin")
    house.ask("POST", "/grants/quin-2/revoke", {"because": "a secret reason"})
    page = enter(house, token).get("/mine")
    assert ("Those that are over" in page.text, "quin-2" in page.text, "a secret reason" in page.text) == (
        True,
        True,
        False,
    )


def test_a_developer_gets_nothing_of_operators(house: House) -> None:
    visitor = enter(house, issue(house, "rosa-1", "rosa"))
    for path in ("/grants", "/servers", "/policies", "/grants/new", "/grants/rosa-1"):
        assert visitor.get(path, follow=False).status == 403, path
    visitor.get("/mine")
    assert visitor.post("/grants/rosa-1/revoke", {"csrf": visitor.csrf}).status == 403
