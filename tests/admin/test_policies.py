"""Policies over the API of a running gateway: put with conditions, told with all that is wrong, in force at once."""

from __future__ import annotations

import json
from typing import Any

from journeys.operating import Office


def caps(name: str = "caps", most: str = "5000.10") -> bytes:
    """Return a body as it is written, so that the number stays so."""
    document = (
        f'{{"coatcheck": 1, "name": "{name}", "default": "allow-all", "tools": '
        f'{{"create_*": {{"deny_if": [{{"path": "/amount", "op": "gt", "value": {most}}}]}}}}}}'
    )
    return b'{"document": %s, "because": "as agreed"}' % document.encode()


def put(office: Office, name: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    return office.ask("PUT", f"/policies/{name}", "policy_manager", body, headers)


def test_a_policy_is_put_changed_and_removed_by_its_tag(office: Office) -> None:
    made = put(office, "caps", caps())
    assert (made.status, made.body["policy"]["version"]) == (200, 1), made
    assert b"5000.1" in made.raw
    assert put(office, "caps", caps()).code == "taken"
    assert put(office, "caps", caps(most="1"), {"If-Match": '"7"'}).code == "stale"
    changed = put(office, "caps", caps(most="1e2"), made.tag)
    assert (changed.status, changed.headers["etag"]) == (200, '"2"')
    got = office.ask("GET", "/policies/caps", "viewer")
    assert got.body == changed.body
    versions = office.ask("GET", "/policies/caps/versions", "auditor").body
    assert [(one["number"], one["by"]) for one in versions["items"]] == [
        (2, "the-policy-manager"),
        (1, "the-policy-manager"),
    ]
    old = office.ask("GET", "/policies/caps/version?number=1", "viewer")
    assert b"5000.1" in old.raw
    diff = office.ask("GET", "/policies/caps/diff", "viewer").body
    assert (diff["before"], diff["after"]) == (1, 2)
    assert diff["differences"] == [
        {"where": "/tools/create_*/deny_if/0/value", "before": 5000.1, "after": 100}
    ]
    back = office.ask("POST", "/policies/caps/revert", "admin", {"number": 1}, changed.tag)
    assert back.body["policy"]["version"] == 3
    for who in ("viewer", "auditor"):
        assert office.ask("DELETE", "/policies/caps", who).code == "role_lacks"
    assert office.ask("DELETE", "/policies/caps", "policy_manager", None, back.tag).status == 200
    assert office.ask("GET", "/policies/caps").code == "not_found"
    log = office.ask("GET", "/changes?kind=policy").body["items"]
    assert [one["action"] for one in log] == ["policy.add", "policy.change", "policy.revert", "policy.remove"]


def test_all_that_is_wrong_is_told_with_pointers(office: Office) -> None:
    document = {"coatcheck": 1, "name": "x", "defualt": "allow-all", "tools": {"a": {"outcome": "maybe"}}}
    told = put(office, "x", {"document": document})
    assert (told.status, told.code) == (422, "bad_policy")
    where = [one["where"] for one in told.body["problems"]]
    assert {"/defualt", "/tools/a/outcome"} <= set(where)
    assert all(one["message"] for one in told.body["problems"])
    assert "\n" not in told.body["detail"]
    assert put(office, "x", b'{"document": {"name": "x", "name": "y"}}').code == "ambiguous_json"
    assert put(office, "x", {"document": [1]}).code == "bad_policy"
    assert put(office, "x", {}).code == "unfit"
    assert put(office, "y", caps("x")).body["problems"][0]["where"] == "/name"


def test_a_use_is_in_force_for_the_next_request(office: Office) -> None:
    assert (
        put(office, "hidden", {"document": {"coatcheck": 1, "name": "hidden", "default": "deny-all"}}).status
        == 200
    )
    before = office.hall.call("echo", {})
    body = {"kind": "everything", "because": "closing"}
    used = office.ask("POST", "/policies/hidden/use", "policy_manager", body)
    assert (used.status, used.body["shown"], used.body["instead_of"]) == (200, "", "")
    during = office.hall.call("echo", {})
    listed = office.ask("GET", "/policies?name=hid*", "viewer").body["items"]
    assert [use["kind"] for use in listed[0]["uses"]] == ["everything"]
    refused = office.ask("DELETE", "/policies/hidden")
    assert (refused.code, "used on everything" in refused.body["detail"]) == ("unfit", True)
    assert office.ask("POST", "/policies/hidden/unuse", "admin", {"kind": "everything"}).status == 200
    after = office.hall.call("echo", {})
    assert before.status == after.status == 200
    assert json.loads(before.body) != json.loads(during.body)
    assert "error" in json.loads(during.body)
    assert office.ask("POST", "/policies/hidden/unuse", "admin", {"kind": "everything"}).code == "not_found"


def test_a_grant_is_issued_with_its_policy_or_not_at_all(office: Office) -> None:
    body = {"label": "kept-small", "subject": "dora", "servers": None, "policy": "no-such"}
    assert office.ask("POST", "/grants", "policy_manager", body).code == "not_found"
    assert office.ask("GET", "/grants/kept-small").status == 404
    made = office.ask("POST", "/grants", "policy_manager", {**body, "policy": "deny-all"})
    assert made.status == 201
    told = json.loads(office.hall.call("echo", {}, grant=made.body["token"]).body)
    assert "error" in told, "its very first call is judged by it"
    many = {"grants": [{**body, "label": "a-1", "policy": "deny-all"}, {**body, "label": "a-2"}]}
    assert office.ask("POST", "/grants/batch", "admin", many).code == "not_found"
    assert office.ask("GET", "/grants/a-1").status == 404
    uses = office.ask("GET", "/policies/deny-all").body["policy"]["uses"]
    assert [use["shown"] for use in uses] == ["kept-small"]


def test_use_takes_names_of_roles_grants_and_servers_only(office: Office) -> None:
    for body in ({"kind": "grant", "of": "nobody"}, {"kind": "server", "of": "nowhere"}):
        assert office.ask("POST", "/policies/read-only/use", "admin", body).code == "not_found"
    assert office.ask("POST", "/policies/nothing/use", "admin", {"kind": "everything"}).code == "not_found"
    assert (
        office.ask("POST", "/policies/read-only/use", "admin", {"kind": "planet", "of": "x"}).code == "unfit"
    )
    assert (
        office.ask("POST", "/policies/read-only/use", "viewer", {"kind": "everything"}).code == "role_lacks"
    )


def test_who_is_not_let_in_is_not_explained_as_allowed(office: Office) -> None:
    new = {"label": "over", "subject": "frida", "servers": None}
    assert office.ask("POST", "/grants", "admin", new).status == 201
    server = office.ask("GET", "/tools").body["items"][0]["server"]

    def asked(**who: str) -> Any:
        return office.ask("POST", "/access/explain", "viewer", {"server": server, "tool": "echo", **who})

    assert asked(grant="over").status == 200
    assert office.ask("POST", "/subjects/frida/disable", "admin", {}).status == 200
    for who in ({"grant": "over"}, {"subject": "frida"}):
        refused = asked(**who)
        assert (refused.code, "not let in" in str(refused.body)) == ("unfit", True)


def test_what_a_call_would_get_is_explained(office: Office) -> None:
    large = {"path": "/amount", "op": "gt", "value": 10, "message": "Ask finance."}
    document = {
        "coatcheck": 1,
        "name": "small",
        "default": "allow-all",
        "tools": {"ec*": {"deny_if": [large]}},
    }
    assert put(office, "small", {"document": document}).status == 200
    label = "explained"
    new = {"label": label, "subject": "erin", "servers": None}
    assert office.ask("POST", "/grants", "admin", new).status == 201
    server = office.ask("GET", "/tools").body["items"][0]["server"]
    use = {"kind": "grant", "of": label, "server": server}
    assert office.ask("POST", "/policies/small/use", "admin", use).status == 200

    def explained(**more: Any) -> Any:
        body = {"server": server, "tool": "echo", **more}
        told = office.ask("POST", "/access/explain", "viewer", body)
        assert told.status == 200, told
        (item,) = told.body["items"]
        return item

    good = explained(grant=label, arguments={"amount": 10})
    assert (good["outcome"], good["rule"]) == ("allowed", "small:/default")
    bad = explained(subject="erin", arguments={"amount": 11})
    assert (bad["outcome"], bad["rule"], bad["message"]) == (
        "denied",
        "small:/tools/ec*/deny_if/0",
        "Ask finance.",
    )
    file, policy = bad["layers"]
    assert (file["outcome"], file["steps"]) == ("allowed", [])
    assert policy["called"] == f"the policy small on the grant {label} on {server}"
    first = policy["steps"][0]
    assert (first["rule"], first["denies"]) == ("small:/tools/ec*/deny_if/0", True)
    assert explained(subject="nobody-yet")["outcome"] == "allowed"
    resource = explained(subject="erin", tool="", resource="note://x", at="2026-11-18T12:00:00+01:00")
    assert (resource["outcome"], resource["why"], resource["layers"][1]["limits"]) == ("allowed", "", [])
    for body, code in (
        ({"server": server, "tool": "nothing", "subject": "x"}, "not_found"),
        ({"server": "nowhere", "tool": "echo", "subject": "x"}, "not_found"),
        ({"server": server, "tool": "echo", "grant": "nobody"}, "not_found"),
        ({"server": server, "tool": "echo"}, "unfit"),
        ({"server": server, "subject": "x"}, "unfit"),
        ({"server": server, "subject": "x", "tool": "echo", "prompt": "echo"}, "unfit"),
        ({"server": server, "subject": "x", "prompt": "nothing"}, "not_found"),
        ({"server": server, "subject": "x", "tool": "echo", "address": "here"}, "unfit"),
        ({"server": server, "subject": "x", "tool": "echo", "at": "2026-11-18T12:00:00"}, "unfit"),
        ({"server": server, "tool": "echo", "subject": "x", "arguments": [1]}, "unfit"),
    ):
        assert office.ask("POST", "/access/explain", "viewer", body).code == code, body
    assert office.ask("POST", "/policies/small/unuse", "admin", use).status == 200
