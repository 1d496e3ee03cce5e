"""What operators make, change and end over the API of a running gateway; and what they cannot."""

from __future__ import annotations

import http.client
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from coatcheck.admin.resources.gateway import Status
from coatcheck.cli.reaching.reach import at
from coatcheck.core.tokens import is_well_formed, mint
from journeys.operating import Office, Told
from journeys.wire import UnixConnection

CANARY = "canary-9d31f7"


def issue(office: Office, label: str, subject: str = "bob", **more: Any) -> Told:
    told = office.ask(
        "POST", "/grants", "admin", {"label": label, "subject": subject, "servers": None, **more}
    )
    assert told.status == 201, told
    return told


def works(office: Office, token: str) -> bool:
    status = office.hall.call("echo", {}, grant=token).status
    assert status in {200, 401}
    return status == 200


# --- names in paths ----------------------------------------------------------------------------------------


def by_socket(office: Office, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    connection = UnixConnection(office.hall.gateway.directory / "coatcheck.sock")
    connection.request(method, f"/api/v1{path}", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    return answer.status, told


def test_a_path_is_taken_as_it_was_sent(office: Office) -> None:
    token = issue(office, "pathly").body["token"]
    assert by_socket(office, "GET", "/grants/pathl%79")[0] == 200
    for path in ("/grants/pathly%2frevoke", "/subjects/%ff/disable"):
        status, told = by_socket(office, "POST", path, b'{"because": "no"}')
        assert (status, told["code"]) == (400, "bad_request")
        assert office.ask("POST", path, "admin", {"because": "no"}).status == 400
    assert works(office, token)
    assert by_socket(office, "GET", "/subjects/" + quote("\ufffd"))[0] == 404


# --- grants ------------------------------------------------------------------------------------------------


def test_a_grant_lives_and_dies(office: Office) -> None:
    told = issue(office, "life", servers=["srv"], tools=["srv__e*"], note="a note")
    token, grant = told.body["token"], told.body["grant"]
    assert is_well_formed(token)
    assert token.startswith("cckg_")
    assert (grant["state"], grant["servers"], grant["tools"], grant["source"], grant["version"]) == ("live", ["srv"], ["srv__e*"], "store", 1)  # fmt: skip
    assert works(office, token)
    shown = office.ask("GET", "/grants/life", "viewer")
    assert (shown.status, shown.headers["etag"]) == (200, '"1"')
    assert token not in shown.raw.decode()
    ended = office.ask("POST", "/grants/life/revoke", "policy_manager", {"because": "left"})
    assert (ended.status, ended.body["left"], [one["state"] for one in ended.body["grants"]]) == (
        200,
        0,
        ["revoked"],
    )
    assert not works(office, token)
    assert office.ask("GET", f"/grants/{grant['id']}", "viewer").body["because"] == "left"


def test_rotating_changes_the_token_and_nothing_else(office: Office) -> None:
    first = issue(office, "turning").body
    again = office.ask("POST", "/grants/turning/rotate", "admin", {})
    assert (again.status, again.body["grant"]["id"]) == (200, first["grant"]["id"])
    assert not works(office, first["token"])
    assert works(office, again.body["token"])
    stale = office.ask("POST", "/grants/turning/rotate", "admin", {}, {"If-Match": '"1"'})
    assert (stale.status, stale.code) == (412, "stale")
    assert office.ask("POST", "/grants/turning/rotate", "admin", {"overlap_seconds": 1e9}).status == 422


def test_an_edit_needs_the_version_it_is_an_edit_of(office: Office) -> None:
    first = issue(office, "edited")
    without = office.ask("PATCH", "/grants/edited", "admin", {"note": "x"})
    assert (without.status, without.code) == (428, "unconditional")
    start = threading.Barrier(2)

    def edit(note: str) -> Told:
        start.wait()
        return office.ask("PATCH", "/grants/edited", "admin", {"note": note}, first.tag)

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(edit, ["one", "two"]))
    assert sorted(told.status for told in both) == [200, 412]
    (won,) = [told for told in both if told.status == 200]
    shown = office.ask("GET", "/grants/edited", "admin")
    assert (shown.body["note"], shown.headers["etag"]) == (won.body["note"], '"2"')
    assert (
        office.ask("PATCH", "/grants/edited", "admin", {"expires_at": None}, shown.tag).body["expires_at"]
        is None
    )


def test_a_repeated_write_is_done_once(office: Office) -> None:
    body = {"label": "once", "subject": "bob", "servers": None}
    key = {"Idempotency-Key": "k-1"}
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: office.ask("POST", "/grants", "admin", body, key), range(8)))
    assert {one.status for one in told} == {201}
    assert len({one.body["token"] for one in told}) == 1
    other = office.ask("POST", "/grants", "admin", {**body, "label": "other"}, key)
    assert (other.status, other.code) == (422, "key_reused")
    again = office.ask("POST", "/grants", "admin", body)
    assert (again.status, again.code) == (409, "taken")


def test_many_are_issued_or_none(office: Office) -> None:
    def grants(*labels: str) -> dict[str, Any]:
        return {"grants": [{"label": label, "subject": "carol", "servers": ["srv"]} for label in labels]}

    good = office.ask("POST", "/grants/batch", "admin", grants("many-1", "many-2"))
    assert (good.status, len({one["token"] for one in good.body["items"]})) == (201, 2)
    bad = office.ask("POST", "/grants/batch", "admin", grants("many-3", "many-1"))
    assert (bad.status, bad.code) == (409, "taken")
    labels = [one["label"] for one in office.ask("GET", "/grants?label=many-*", "viewer").body["items"]]
    assert labels == ["many-1", "many-2"]
    assert office.ask("POST", "/grants/revoke", "admin", {"grants": ["many-1", "none"]}).status == 404
    assert works(office, good.body["items"][0]["token"])
    assert office.ask("POST", "/grants/revoke", "admin", {"grants": labels}).body["left"] == 0
    assert not works(office, good.body["items"][1]["token"])


def test_a_grant_may_be_labelled_as_a_route_is_called(office: Office) -> None:
    issue(office, "batch")
    shown = office.ask("GET", "/grants/batch", "viewer")
    assert (shown.status, shown.body["label"]) == (200, "batch")
    assert office.ask("PATCH", "/grants/batch", "admin", {"note": "x"}, shown.tag).body["note"] == "x"
    assert office.ask("POST", "/grants/batch", "admin", {}).code == "unfit"
    assert office.ask("POST", "/grants/batch/revoke", "admin").status == 200
    assert office.ask("DELETE", "/grants/batch", "admin").status == 405


def test_lists_come_in_pages(office: Office) -> None:
    for number in range(5):
        issue(office, f"page-{number}", "paul")
    seen: list[str] = []
    cursor, pages = "", 0
    while True:
        page = office.ask("GET", f"/grants?subject=paul&limit=2{cursor}", "viewer").body
        seen += [one["label"] for one in page["items"]]
        pages += 1
        if page["next"] is None:
            break
        cursor = f"&after={page['next']}"
    assert (seen, pages) == ([f"page-{number}" for number in range(5)], 3)
    for bad in ("x", page_cursor(office) + "A", "%00", ""):
        told = office.ask("GET", f"/grants?after={bad}", "viewer")
        assert (told.status, told.code) == (400, "bad_cursor") if bad != "%00" else told.status == 400
    assert office.ask("GET", f"/subjects?after={page_cursor(office)}", "viewer").code == "bad_cursor"


def page_cursor(office: Office) -> str:
    return str(office.ask("GET", "/grants?subject=paul&limit=1", "viewer").body["next"])


@pytest.mark.parametrize(
    ("path", "method", "extra"),
    [("/grants", "POST", {"label": "m", "subject": "m", "servers": None, "state": "live"}), ("/grants", "POST", {"label": "m", "subject": "m", "servers": None, "id": "x"}),
     ("/grants", "POST", {"label": "m", "subject": "m", "servers": None, "issued_by": "x"}), ("/grants", "POST", {"label": "m", "subject": "m", "servers": None, "token": "x"}),
     ("/grants/edited2", "PATCH", {"subject": "mallory"}), ("/grants/edited2", "PATCH", {"version": 9}), ("/grants/edited2", "PATCH", {"revoked_at": None}),
     ("/subjects", "POST", {"name": "m", "disabled": False}), ("/subjects/bob", "PATCH", {"role": "owner"}), ("/subjects/bob", "PATCH", {"name": "alice"}),
     ("/operators", "POST", {"name": "m", "role": "admin", "token_hmac": "0"}), ("/operators", "POST", {"name": "m", "role": "owner"}),
     ("/servers", "POST", {"name": "m", "url": "http://127.0.0.1:1/", "source": "file"}), ("/servers", "POST", {"name": "m", "url": "http://127.0.0.1:1/", "id": "x"}),
     ("/login", "POST", {"code": "x", "role": "admin"}), ("/calls", "POST", {"server": "srv", "tool": "echo", "as": "alice"})],
)  # fmt: skip
def test_no_member_is_set_that_is_not_for_setting(
    office: Office, path: str, method: str, extra: dict[str, Any]
) -> None:
    if path == "/grants/edited2" and office.ask("GET", path).status == 404:
        issue(office, "edited2")
    told = office.ask(method, path, "admin", extra, {"If-Match": '"1"'})
    assert (told.status, told.code) == (422, "unfit")
    assert told.body["field"] in extra
    assert office.ask("GET", "/subjects/m", "admin").status == 404


@pytest.mark.parametrize(
    "odd",
    [
        "' OR '1'='1",
        "x'; DROP TABLE grants;--",
        '"',
        "%",
        "_",
        "a\\",
        "\u202eabc",
        "x\ny",
        "",
        " ",
        "..",
        "x" * 5000,
    ],
)
def test_odd_words_are_words(office: Office, odd: str) -> None:
    count = len(office.ask("GET", "/grants?limit=1000").body["items"])
    for path in (f"/grants?subject={quote(odd)}", f"/grants?label={quote(odd)}", f"/changes?actor={quote(odd)}", f"/records?subject={quote(odd)}"):  # fmt: skip
        told = office.ask("GET", path)
        assert told.status in {200, 400}, told
        if told.status == 200 and odd != "%":
            assert told.body["items"] == [], path
    assert office.ask("POST", "/grants/revoke", "admin", {"grants": [odd]}).status in {404, 422}
    assert len(office.ask("GET", "/grants?limit=1000").body["items"]) == count


# --- subjects ----------------------------------------------------------------------------------------------


def test_a_disabled_subject_is_refused_however_it_comes(office: Office) -> None:
    made = office.ask(
        "POST", "/subjects", "policy_manager", {"name": "dora", "kind": "automation", "roles": ["ops"]}
    )
    assert (made.status, made.body["kind"], made.body["roles"], made.headers["etag"]) == (201, "automation", ["ops"], '"1"')  # fmt: skip
    token = issue(office, "dora-1", "dora").body["token"]
    assert works(office, token)
    assert office.ask("POST", "/subjects/dora/disable", "admin", {"because": "paused"}).body["left"] == 0
    assert not works(office, token)
    assert office.ask("POST", "/subjects/dora/enable", "admin").body["disabled"] is False
    assert works(office, token)
    office.ask("POST", "/subjects/dora/offboard", "admin", {"because": "left"})
    assert not works(office, token)
    office.ask("POST", "/subjects/dora/enable", "admin")
    assert not works(office, token)
    twice = office.ask("POST", "/subjects", "admin", {"name": "dora"})
    assert (twice.status, twice.code) == (409, "taken")


def test_objects_of_the_file_are_read_only_but_for_their_end(office: Office) -> None:
    told = office.ask("GET", "/subjects/alice")
    assert (told.body["source"], told.headers["etag"]) == ("file", '"0"')
    (grant,) = office.ask("GET", "/grants?source=file").body["items"]
    path = f"/grants/{grant['id']}"
    tag = office.ask("GET", path).tag
    assert office.ask("PATCH", path, "admin", {"note": "x"}, tag).code == "unfit"
    assert office.ask("POST", f"{path}/rotate", "admin").code == "unfit"
    assert works(office, office.hall.grant)
    assert (
        office.ask("POST", f"{path}/revoke", "admin", {"because": "lost"}).body["grants"][0]["state"]
        == "revoked"
    )
    assert not works(office, office.hall.grant)
    assert office.ask("POST", f"{path}/restore", "admin").body["state"] == "live"
    assert works(office, office.hall.grant)
    assert office.ask("DELETE", "/servers/srv", "admin").code == "unfit"
    assert (
        office.ask(
            "PATCH", "/servers/srv", "admin", {"note": "x"}, office.ask("GET", "/servers/srv").tag
        ).code
        == "unfit"
    )
    assert office.ask("PATCH", "/subjects/alice", "admin", {"note": "ours"}, told.tag).body["version"] == 1


# --- servers -----------------------------------------------------------------------------------------------


def test_values_of_servers_go_in_and_do_not_come_out(office: Office) -> None:
    url = f"{office.hall.peer.url}?key={CANARY}-url"
    body = {"name": "second", "url": url, "headers": {"X-Key": f"{CANARY}-key", "X-Shown": "plain-words"}, "plain": ["X-Shown"]}  # fmt: skip
    made = office.ask("POST", "/servers", "policy_manager", body)
    assert (made.status, made.body["error"]) == (201, ""), made
    assert "echo" in [tool["name"] for tool in made.body["tools"]]
    changed = office.ask(
        "PATCH", "/servers/second", "admin", {"headers": {"X-Other": f"{CANARY}-other"}}, made.tag
    )
    assert changed.status == 200, changed
    server = changed.body["server"]
    assert (server["plain"], sorted(server["sealed"])) == ({"X-Shown": "plain-words"}, ["X-Key", "X-Other"])
    told = [made, changed, *(office.ask("GET", path) for path in ("/servers", "/servers/second", "/changes", "/records", "/tools"))]  # fmt: skip
    for one in told:
        assert CANARY not in one.raw.decode()
    assert CANARY not in office.hall.gateway.said()
    assert office.ask("POST", "/servers", "admin", body).code == "taken"
    assert office.ask("POST", "/servers/second/disable", "admin", {"because": "x"}).status == 200
    assert office.ask("GET", "/servers/second").body["state"] == "disabled"
    assert office.ask("POST", "/servers/second/enable", "admin").body["disabled"] is False
    assert office.ask("DELETE", "/servers/second?because=moved", "admin").status == 200
    assert office.ask("GET", "/servers/second").status == 404


def test_whoever_changes_a_server_does_not_learn_its_secrets(office: Office) -> None:
    body = {"name": "kept", "url": office.hall.peer.url, "headers": {"X-Key": f"{CANARY}-kept"}}
    made = office.ask("POST", "/servers", "admin", body)
    assert made.status == 201
    elsewhere = "http://127.0.0.1:9/mcp"
    for patch in ({"url": elsewhere}, {"url": elsewhere, "plain": ["X-Key"]}, {"plain": ["X-Key"]}):
        told = office.ask("PATCH", "/servers/kept", "policy_manager", patch, made.tag)
        assert (told.status, told.code) == (422, "unfit")
        assert "X-Key" in told.raw.decode()
        assert CANARY not in told.raw.decode()
    moved = {"url": elsewhere, "headers": {"X-Key": None}}
    told = office.ask("PATCH", "/servers/kept", "policy_manager", moved, made.tag)
    assert (told.status, told.body["server"]["sealed"]) == (200, [])
    assert office.ask("DELETE", "/servers/kept", "policy_manager").status == 200


@pytest.mark.parametrize("name", ["group/ann", "..", "50%2Fann", "~ann", "jos\u00e9 \u2603"])
def test_a_subject_of_any_name_can_be_disabled(office: Office, name: str) -> None:
    body = {"label": f"of-{name}", "subject": name, "servers": None}
    token = office.ask("POST", "/grants", "admin", body).body["token"]
    assert works(office, token)
    assert office.ask("GET", at("subjects", name)).body["name"] == name
    told = office.ask("POST", at("subjects", name, "offboard"), "policy_manager", {"because": "left"})
    assert [one["label"] for one in told.body["grants"]] == [f"of-{name}"]
    assert not works(office, token)


def test_a_bad_value_is_told_without_it(office: Office) -> None:
    for headers in (
        {"X-Key": f"{CANARY}\r\nX-Evil: 1"},
        {"X-Key": [CANARY]},
        {"Authorization": f"Bearer {CANARY}\u2603"},
    ):
        told = office.ask(
            "POST", "/servers", "admin", {"name": "bad", "url": office.hall.peer.url, "headers": headers}
        )
        assert told.status == 422
        assert CANARY not in told.raw.decode()


def test_commands_are_for_admins(office: Office) -> None:
    body = {"name": "cmd", "command": "/bin/sh", "args": ["-c", f"touch {office.hall.gateway.directory}/ran"]}
    told = office.ask("POST", "/servers", "policy_manager", body)
    assert (told.status, told.code) == (403, "forbidden")
    made = office.ask("POST", "/servers", "admin", body)
    assert made.status == 201  # on loopback commands are allowed
    edited = office.ask("PATCH", "/servers/cmd", "policy_manager", {"args": ["-c", "true"]}, made.tag)
    assert (edited.status, edited.code) == (403, "forbidden")
    assert "touch" not in made.raw.decode()
    office.ask("DELETE", "/servers/cmd", "admin")


# --- operators ---------------------------------------------------------------------------------------------


def test_an_operator_comes_and_goes(office: Office) -> None:
    token = office.hire("erin", "auditor")
    who = office.ask("GET", "/whoami", token).body
    assert (who["name"], who["role"], who["origin"]) == ("erin", "auditor", "127.0.0.1")
    assert "records.read" in who["permissions"]
    assert token not in office.ask("GET", "/operators").raw.decode()
    assert office.ask("DELETE", "/operators/erin").body["state"] == "ended"
    assert (office.ask("GET", "/whoami", token).status, office.ask("GET", "/whoami").status) == (401, 200)


def test_a_code_is_good_once(office: Office) -> None:
    code = office.ask("POST", "/operators", "admin", {"name": "finn", "role": "viewer"}).body["code"]
    assert office.ask("POST", "/login", None, {"code": code}).status == 200
    again = office.ask("POST", "/login", None, {"code": code})
    assert (again.status, again.code) == (401, "bad_code")
    assert code not in again.raw.decode()


# --- logs --------------------------------------------------------------------------------------------------


def test_every_change_is_in_the_admin_log(office: Office) -> None:
    issue(office, "logged")
    office.ask("POST", "/grants/logged/revoke", "policy_manager", {"because": "why not"})
    entries = office.ask("GET", "/changes?object=logged", "auditor").body["items"]
    assert [(one["actor"], one["role"], one["action"], one["origin"], one["because"]) for one in entries] == [
        ("the-admin", "admin", "grant.issue", "127.0.0.1", ""),
        ("the-policy-manager", "policy_manager", "grant.revoke", "127.0.0.1", "why not"),
    ]
    assert entries[0]["before"] is None
    assert entries[0]["after"]["label"] == "logged"


@pytest.mark.parametrize("path", ["/changes", "/records"])
def test_logs_come_in_pages_from_the_newest_back(office: Office, path: str) -> None:
    for _ in range(3):
        office.hall.good()
    whole = office.ask("GET", f"{path}?limit=1000").body
    assert whole["next"] is None
    positions = [one["position"] for one in whole["items"]]
    assert positions == sorted(positions)
    found: list[int] = []
    cursor = ""
    while True:
        page = office.ask("GET", f"{path}?limit=3{cursor}").body
        found = [one["position"] for one in page["items"]] + found
        if page["next"] is None:
            break
        cursor = f"&before={page['next']}"
    assert found == positions


@pytest.mark.parametrize("path", ["/changes", "/records"])
def test_followers_hear_until_their_token_ends(office: Office, path: str) -> None:
    token = office.hire(f"follower-{path[1:]}", "auditor")
    connection = http.client.HTTPConnection("127.0.0.1", office.hall.gateway.port, timeout=20)
    connection.request("GET", f"/api/v1{path}?follow=true", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Content-Type")) == (200, "application/jsonl")
    number = 0

    def happen() -> None:
        nonlocal number
        number += 1
        office.hall.good() if path == "/records" else issue(office, f"follow-{number}")

    happen()
    line = json.loads(answer.readline())
    assert line["position"] > 0
    office.ask("DELETE", f"/operators/follower-{path[1:]}")
    happen()
    rest = answer.read()
    assert rest.count(b"\n") <= 1  # its own end, which came before
    assert b"follow-2" not in rest
    connection.close()


# --- the rest ----------------------------------------------------------------------------------------------


def test_who_may_call_what(office: Office) -> None:
    issue(office, "reach", "ruth", servers=["srv"], tools=["srv__echo"])
    rows = office.ask("GET", "/access?subject=ruth", "viewer").body["items"]
    allowed = {row["tool"] for row in rows if row["allowed"]}
    assert allowed == {"echo"}
    by_tool = office.ask("GET", "/access?server=srv&tool=echo", "viewer").body["items"]
    assert ("ruth", "reach", True) in [(row["subject"], row["grant"], row["allowed"]) for row in by_tool]
    for bad in ("", "?tool=echo", "?subject=ruth&tool=echo"):
        assert office.ask("GET", f"/access{bad}", "viewer").code == "bad_filter"


def test_a_backup_is_a_file(office: Office) -> None:
    told = office.ask("GET", "/backup")
    assert (told.status, told.headers["content-type"]) == (200, "application/octet-stream")
    assert told.raw[:2] == b"\x1f\x8b"
    assert office.ask("HEAD", "/backup").raw == b""
    assert not list(office.hall.gateway.directory.glob(".backup-*"))


def test_an_operators_call_is_recorded_by_its_name(office: Office) -> None:
    called = office.ask(
        "POST", "/calls", "admin", {"server": "srv", "tool": "echo", "arguments": {"n": 2**70}}
    )
    assert json.loads(called.body["result"]["content"][0]["text"]) == {"n": 2**70}
    newest = office.ask("GET", "/records?limit=1&tool=echo").body["items"][0]
    assert (newest["subject"], newest["client_ip"]) == ("operator:the-admin", "127.0.0.1")


def test_bodies_are_bounded(office: Office) -> None:
    huge = b'{"label":"' + b"x" * (1024 * 1024) + b'"}'
    told = office.ask("POST", "/grants", "admin", huge)
    assert (told.status, told.code) == (413, "too_large")
    office.hall.good()


def test_the_socket_is_the_local_account_whatever_it_presents(office: Office) -> None:
    connection = UnixConnection(office.hall.gateway.directory / "coatcheck.sock")
    connection.request(
        "GET", "/api/v1/whoami", headers={"Authorization": f"Bearer {office.tokens['viewer']}"}
    )
    told = json.loads(connection.getresponse().read())
    connection.close()
    assert (told["name"], told["role"], told["origin"]) == ("local", "admin", "socket")


def test_unknown_tokens_are_slowed_in_the_end(office: Office) -> None:
    statuses = [office.ask("GET", "/whoami", mint(os.urandom, "ccka_")).status for _ in range(40)]
    assert set(statuses) == {401, 429}
    assert statuses[-1] == 429
    assert office.ask("POST", "/login", None, {"code": mint(os.urandom, "cckb_")}).status == 429
    assert office.ask("GET", "/whoami").status == 200


def test_the_status_has_what_its_shape_names(office: Office) -> None:
    told = office.ask("GET", "/status").body
    assert set(Status.__struct_fields__) <= set(told)
    assert (told["public_url"], told["api"]) == ("http://gw", "http://gw")
