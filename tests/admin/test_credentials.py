"""Credentials over the API of a running gateway, before a server that checks what it is given."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from journeys.operating import Office, Told
from journeys.peer import Exchange, Peer, peer_serving, text

PLANTED = "planted-4c1e7"
OLD, NEW, NEXT, WRONG = (f"{PLANTED}-{word}" for word in ("old", "new", "next", "wrong"))


@pytest.fixture
def guarded() -> Iterator[Peer]:
    """Run a server that takes some secrets and refuses others."""
    with peer_serving(good={f"Bearer {one}" for one in (OLD, NEW, NEXT)}) as peer:
        yield peer


@pytest.fixture
def named(office: Office, guarded: Peer, request: pytest.FixtureRequest) -> Iterator[str]:
    """Register that server, named after the test; its credential is `NAME-authorization`."""
    name = request.node.name[:40].replace("_", "-").split("[")[0]
    made = register(office, name, guarded)
    assert (made.body["error"], made.body["credentials"]) == ("", [f"{name}-authorization"])
    yield name
    office.ask("DELETE", f"/servers/{name}", "admin")


def register(office: Office, name: str, peer: Peer, **more: Any) -> Told:
    body = {"name": name, "url": peer.url, "headers": {"Authorization": f"Bearer {OLD}"}, **more}
    made = office.ask("POST", "/servers", "policy_manager", {"default": "allow-all", **body})
    assert made.status == 201, made
    return made


def at(name: str, *steps: str) -> str:
    return "/".join((f"/credentials/{name}-authorization", *steps))


def stages(office: Office, name: str) -> list[tuple[int, str]]:
    versions = office.ask("GET", at(name), "viewer").body["versions"]
    return [(one["number"], one["stage"]) for one in versions]


def last(peer: Peer) -> str:
    """Return the secret that the last call came with."""
    return peer.forwarded[-1].headers["authorization"].removeprefix("Bearer ")


def call(office: Office, name: str, tool: str = "echo") -> Any:
    got = office.hall.ask("tools/call", {"name": f"{name}__{tool}", "arguments": {}})
    assert got.status == 200, got
    return got.result


# --- made with a server ------------------------------------------------------------------------------------


def test_the_secret_of_a_server_becomes_a_credential(office: Office, guarded: Peer, named: str) -> None:
    told = office.ask("GET", at(named), "viewer")
    one = told.body
    assert told.headers["etag"] == '"1"'
    assert (one["custody"], one["kind"], one["state"], one["interval_days"]) == ("store", "value", "ok", 90)
    assert one["used_by"] == [{"server": named, "place": "headers/Authorization"}]
    (version,) = one["versions"]
    assert (version["number"], version["stage"], version["assurance"]) == (1, "active", "never")
    assert one["oauth"] is None
    server = office.ask("GET", f"/servers/{named}", "viewer").body
    placed = {"place": "headers/Authorization", "name": f"{named}-authorization", "number": 1}
    assert (server["credentials"], server["lacking"]) == ([placed], "")
    assert server["upkeep"] == {"replace": "overlap", "probe": None}
    call(office, named)
    assert last(guarded) == OLD
    listed = office.ask("GET", f"/credentials?server={named}", "auditor").body
    assert ([item["name"] for item in listed["items"]], listed["next"]) == ([f"{named}-authorization"], None)
    (due,) = [item for item in office.ask("GET", "/credentials/plan", "viewer").body["items"] if item["credential"]["id"] == one["id"]]  # fmt: skip
    assert due["reasons"] == ["never verified"]


# --- rotation ----------------------------------------------------------------------------------------------


def test_a_rotation_is_verified_and_in_use_from_the_next_call_on(
    office: Office, guarded: Peer, named: str
) -> None:
    call(office, named)
    key = {"Idempotency-Key": f"rotate-{named}"}
    made = office.ask("POST", at(named, "rotate"), "policy_manager", {"material": NEW}, key)
    assert made.status == 200, made
    done = made.body
    assert (done["number"], done["former"], done["assurance"]) == (2, 1, "proven")
    assert (done["drained"], done["left"], done["warnings"]) == (True, 0, [])
    assert done["effect_seconds"] >= 0
    (verdict,) = done["verdicts"]
    assert (verdict["server"], verdict["ok"], verdict["control"], verdict["probe"]) == (named, True, "refused", False)  # fmt: skip
    call(office, named)
    assert last(guarded) == NEW
    assert office.ask("POST", at(named, "rotate"), "policy_manager", {"material": NEW}, key).body == done
    other = office.ask("POST", at(named, "rotate"), "policy_manager", {"material": NEXT}, key)
    assert (other.status, other.code) == (422, "key_reused")
    assert stages(office, named) == [(2, "active"), (1, "previous")]
    back = office.ask("POST", at(named, "rollback"), "policy_manager", {"because": "a mistake"})
    assert (back.status, back.body["number"], back.body["former"]) == (200, 1, 2)
    call(office, named)
    assert last(guarded) == OLD
    gone = office.ask("POST", at(named, "retire"), "policy_manager")
    assert [(one["stage"], one["kept"]) for one in gone.body["versions"]] == [("retired", False), ("active", True)]  # fmt: skip
    assert office.ask("POST", at(named, "rollback"), "policy_manager").code == "unfit"


def test_a_wrong_secret_changes_nothing_and_the_reason_is_told(
    office: Office, guarded: Peer, named: str
) -> None:
    before = office.ask("GET", at(named)).body
    told = office.ask("POST", at(named, "rotate"), "admin", {"material": WRONG})
    assert (told.status, told.code) == (409, "not_verified")
    (verdict,) = told.body["verdicts"]
    assert (verdict["server"], verdict["ok"], verdict["tools"]) == (named, False, None)
    assert "401" in verdict["sentence"]
    assert WRONG not in told.raw.decode()
    after = office.ask("GET", at(named)).body
    standing = [one for one in after["versions"] if one["stage"] != "retired"]
    assert standing == [{**before["versions"][0], "in_use": standing[0]["in_use"]}]
    call(office, named)
    assert last(guarded) == OLD


def test_what_cannot_be_made_names_its_field(office: Office) -> None:
    oauth = {"resource": "https://mcp.example.com/mcp", "grant_type": "client_credentials", "client_id": "me"}
    for body, field in (({"name": "plan"}, "name"), ({"name": "mail", "oauth": oauth}, "oauth.client_id")):
        told = office.ask("POST", "/credentials", "admin", body)
        assert (told.status, told.code, told.body["field"]) == (422, "unfit", field)
    good = {"name": "mail", "oauth": {**oauth, "client_secret": PLANTED}}
    assert office.ask("POST", "/credentials", "admin", good).status == 201
    office.ask("DELETE", "/credentials/mail", "admin")


def test_a_server_that_takes_anything_proves_nothing(office: Office, guarded: Peer, named: str) -> None:
    guarded.good.clear()
    told = office.ask("POST", at(named, "rotate"), "admin", {"material": NEW})
    assert (told.status, told.code) == (409, "unproven")
    assert "--probe" in told.body["fix"]
    assert "--accept-unproven" in told.body["fix"]
    assert [one["control"] for one in told.body["verdicts"]] == ["accepted"]
    assert stages(office, named)[-1] == (1, "active")
    body = {"material": NEW, "accept_unproven": True}
    silent = office.ask("POST", at(named, "rotate"), "admin", body)
    assert (silent.status, silent.code, silent.body["field"]) == (422, "unfit", "because")
    made = office.ask("POST", at(named, "rotate"), "admin", {**body, "because": "it takes anything"})
    assert (made.status, made.body["assurance"]) == (200, "unproven")


def test_a_probe_tells_a_good_secret_from_a_wrong_one(office: Office, guarded: Peer, named: str) -> None:
    taken, guarded.good = set(guarded.good), set()
    arguments = {"deep": {"er": [1.5, None]}, "big": 2**70}

    def whoami(exchange: Exchange) -> dict[str, Any]:
        assert exchange.arguments == arguments
        good = exchange.headers["Authorization"] in taken
        return text("me") if good else {**text("who are you?"), "isError": True}

    guarded.tools["whoami"] = whoami
    shown = office.ask("GET", f"/servers/{named}", "admin")
    upkeep = {"probe": {"tool": "whoami", "arguments": arguments}}
    odd = {"probe": {"tool": "whoami", "arguments": [1]}}
    told = office.ask("PATCH", f"/servers/{named}", "admin", {"upkeep": odd}, shown.tag)
    assert (told.status, told.code) == (422, "unfit")
    refused = office.ask("PATCH", f"/servers/{named}", "policy_manager", {"upkeep": upkeep}, shown.tag)
    assert (refused.status, refused.code) == (403, "forbidden"), "it is a call with the server's credential"
    changed = office.ask("PATCH", f"/servers/{named}", "admin", {"upkeep": upkeep}, shown.tag)
    assert changed.body["server"]["upkeep"] == {"replace": "overlap", **upkeep}
    made = office.ask("POST", at(named, "rotate"), "admin", {"material": NEW})
    assert (made.status, made.body["assurance"]) == (200, "proven"), made
    assert made.body["verdicts"][0]["probe"] is True
    probes = office.ask("GET", f"/records?server={named}", "auditor").body["items"]
    assert [(one["rule"], one["tool"], one["outcome"], one["reason"]) for one in probes] == [
        ("(probe)", "whoami", "ok", "a credential is verified"),
        ("(probe)", "whoami", "tool_error", "a wrong secret is tried"),
    ]
    assert {one["subject"] for one in probes} == {"operator:the-admin"}
    refused = office.ask("POST", at(named, "rotate"), "admin", {"material": WRONG})
    assert (refused.code, "who are you?" in refused.body["detail"]) == ("not_verified", True)
    tag = {"If-Match": changed.headers["etag"]}
    restart = office.ask("PATCH", f"/servers/{named}", "admin", {"upkeep": {"replace": "restart"}}, tag)
    assert restart.body["server"]["upkeep"] == {"replace": "restart", **upkeep}
    gone = office.ask("PATCH", f"/servers/{named}", "admin", {"upkeep": {"probe": None}}, restart.tag)
    assert gone.body["server"]["upkeep"] == {"replace": "restart", "probe": None}


def test_each_step_can_be_made_by_itself(office: Office, guarded: Peer, named: str) -> None:
    staged = office.ask("POST", at(named, "stage"), "policy_manager", {"material": NEW})
    assert [one["stage"] for one in staged.body["versions"]] == ["staged", "active"]
    twice = office.ask("POST", at(named, "stage"), "admin", {"material": NEXT})
    assert (twice.status, twice.code) == (409, "taken")
    call(office, named)
    assert last(guarded) == OLD
    verified = office.ask("POST", at(named, "verify"), "policy_manager")
    assert (verified.status, verified.body["ok"], verified.body["number"]) == (200, True, 2)
    made = office.ask("POST", at(named, "activate"), "policy_manager", {"wait": False})
    assert (made.status, made.body["number"], made.body["assurance"]) == (200, 2, "proven")
    call(office, named)
    assert last(guarded) == NEW
    assert office.ask("POST", at(named, "activate"), "admin").code == "unfit"
    office.ask("POST", at(named, "stage"), "admin", {"material": WRONG})
    refused = office.ask("POST", at(named, "verify"), "admin")
    assert (refused.status, refused.body["ok"], refused.body["assurance"]) == (200, False, "never")
    assert office.ask("POST", at(named, "activate"), "admin").code == "not_verified"
    assert office.ask("POST", at(named, "discard"), "admin").status == 200
    assert (2, "active") in stages(office, named)
    skipped = office.ask(
        "POST", at(named, "rotate"), "admin", {"material": NEXT, "verify": False, "because": "planted"}
    )
    assert (skipped.body["assurance"], skipped.body["verdicts"]) == ("skipped", [])


def test_a_rotation_can_be_answered_before_the_last_call_has_ended(
    office: Office, guarded: Peer, named: str
) -> None:
    ended: list[Any] = []
    hanging = threading.Thread(target=lambda: ended.append(call(office, named, "hang")))
    hanging.start()
    guarded.until(lambda: guarded.hanging == 1)
    made = office.ask("POST", at(named, "rotate"), "admin", {"material": NEW, "wait": False})
    assert (made.status, made.body["drained"], made.body["left"]) == (200, False, 1), made
    call(office, named)
    assert last(guarded) == NEW
    assert not ended
    guarded.release.set()
    hanging.join(20)
    assert ended[0]["content"][0]["text"] == "released"


def test_a_secret_that_the_server_ceases_to_take_is_flagged(
    office: Office, guarded: Peer, named: str
) -> None:
    call(office, named)
    patch = {"on_refusal": "roll-back"}
    tag = office.ask("GET", at(named)).tag
    assert office.ask("PATCH", at(named), "policy_manager", patch, tag).body["on_refusal"] == "roll-back"
    office.ask("POST", at(named, "rotate"), "admin", {"material": NEW})
    guarded.good = {f"Bearer {OLD}"}
    office.hall.ask("tools/call", {"name": f"{named}__echo", "arguments": {}})
    guarded.until(lambda: stages(office, named) == [(2, "previous"), (1, "active")])
    call(office, named)
    assert last(guarded) == OLD
    assert office.ask("GET", at(named)).body["state"] == "ok"
    shown = office.ask("GET", at(named)).body["versions"][0]
    assert (shown["refused_by"], shown["refused_at"] is not None) == (named, True)


def test_a_refused_secret_is_failing_until_another_is_given(
    office: Office, guarded: Peer, named: str
) -> None:
    call(office, named)
    before = gauge(office, "credentials_failing")
    guarded.good = {f"Bearer {NEW}"}
    refused = office.hall.ask("tools/call", {"name": f"{named}__echo", "arguments": {}})
    assert refused.status != 401  # that would say that the caller's grant is bad
    guarded.until(lambda: office.ask("GET", at(named)).body["state"] == "failing")
    assert gauge(office, "credentials_failing") == before + 1
    due = office.ask("GET", "/credentials/plan").body["items"]
    (mine,) = [one for one in due if one["credential"]["name"] == f"{named}-authorization"]
    assert (mine["reasons"][0], mine["since"] is not None) == ("failing", True)
    assert office.ask("POST", at(named, "rotate"), "admin", {"material": NEW}).body["assurance"] == "proven"
    assert office.ask("GET", at(named)).body["state"] == "ok"
    assert gauge(office, "credentials_failing") == before


def gauge(office: Office, name: str) -> float:
    page = office.hall.gateway.request("GET", "/metrics", {}).body.decode()
    (line,) = [one for one in page.splitlines() if one.startswith(f"coatcheck_{name} ")]
    return float(line.split()[1])


# --- by themselves -----------------------------------------------------------------------------------------


def test_a_credential_can_be_kept_before_anything_uses_it(office: Office, guarded: Peer) -> None:
    body = {"name": "by-itself", "material": OLD, "owner": "team-a", "interval_days": 30, "note": "n"}
    made = office.ask("POST", "/credentials", "policy_manager", body)
    assert (made.status, made.headers["etag"]) == (201, '"1"')
    assert made.headers["location"] == f"/api/v1/credentials/{made.body['id']}"
    assert (made.body["owner"], made.body["interval_days"], made.body["used_by"]) == ("team-a", 30, [])
    assert office.ask("POST", "/credentials", "admin", body).code == "taken"
    reserved = office.ask("POST", "/credentials", "admin", {**body, "name": "plan"})
    assert (reserved.status, reserved.body["field"]) == (422, "name")
    without = office.ask("PATCH", "/credentials/by-itself", "admin", {"note": "x"})
    assert (without.status, without.code) == (428, "unconditional")
    never = office.ask("PATCH", "/credentials/by-itself", "admin", {"interval_days": None}, made.tag)
    assert (never.body["interval_days"], never.body["due_at"], never.body["note"]) == (None, None, "n")
    assert office.ask("PATCH", "/credentials/by-itself", "admin", {"note": "x"}, made.tag).status == 412
    headers = {"Authorization": "Bearer ${credential:by-itself}"}
    server = {"name": "uses-it", "url": guarded.url, "headers": headers, "plain": ["Authorization"]}
    used = office.ask("POST", "/servers", "admin", server)
    assert (used.body["error"], used.body["server"]["plain"]) == ("", headers)
    refused = office.ask("DELETE", "/credentials/by-itself", "admin")
    assert (refused.status, refused.code) == (422, "unfit")
    assert "uses-it" in refused.body["detail"]
    office.ask("DELETE", "/servers/uses-it", "admin")
    assert office.ask("DELETE", "/credentials/by-itself", "policy_manager").code == "role_lacks"
    ended = office.ask("DELETE", "/credentials/by-itself?because=moved", "admin")
    assert (ended.status, [one["kept"] for one in ended.body["versions"]]) == (200, [False])
    assert office.ask("GET", "/credentials/by-itself").status == 404


def test_a_server_whose_credential_has_no_value_yet_says_so(office: Office, guarded: Peer) -> None:
    kept = office.ask("POST", "/credentials", "admin", {"name": "later"})
    assert (kept.status, kept.body["state"], kept.body["versions"]) == (201, "lacking", [])
    headers = {"Authorization": "Bearer ${credential:later}"}
    server = {"name": "waits", "url": guarded.url, "headers": headers, "plain": ["Authorization"]}
    server["default"] = "allow-all"
    made = office.ask("POST", "/servers", "admin", server)
    assert (made.status, made.body["tools"]) == (201, None)
    for lacking in (made.body["error"], made.body["server"]["lacking"]):
        assert "the credential later of waits has no active version" in lacking
    assert made.body["server"]["credentials"][0]["number"] is None
    rotated = office.ask("POST", "/credentials/later/rotate", "policy_manager", {"material": OLD})
    assert (rotated.status, rotated.body["former"], rotated.body["number"]) == (200, None, 1), rotated
    shown = office.ask("GET", "/servers/waits").body
    assert (shown["lacking"], shown["credentials"][0]["number"]) == ("", 1)
    call(office, "waits")
    assert last(guarded) == OLD
    office.ask("DELETE", "/servers/waits", "admin")


@pytest.mark.parametrize(
    "material", ["", " ", f"{PLANTED} \r\nX-Evil: 1", f"{PLANTED}\x00", "x" * 40_000, 7, None, [PLANTED]]
)
def test_material_that_cannot_be_is_refused_without_a_word_of_it(
    office: Office, named: str, material: Any
) -> None:
    for step in ("stage", "rotate"):
        told = office.ask("POST", at(named, step), "admin", {"material": material})
        assert (told.status, told.code) == (422, "unfit")
        assert PLANTED not in told.raw.decode()
    misnamed = office.ask("POST", at(named, "rotate"), "admin", {"material": NEW, PLANTED: 1, "secret": NEW})
    assert (misnamed.status, NEW in misnamed.raw.decode()) == (422, False)
    added = office.ask("POST", "/credentials", "admin", {"name": "unfit", "material": material})
    # Without material it can be kept; and lines are for variables, as which it may be used later.
    assert (added.status == 422) is (material is not None and "\n" not in str(material)), added
    assert PLANTED not in added.raw.decode()
    office.ask("DELETE", "/credentials/unfit", "admin")
    assert stages(office, named) == [(1, "active")]


def test_oauth_is_connected_and_not_given(office: Office, guarded: Peer) -> None:
    oauth = {"grant_type": "client_credentials", "client_id": "us", "client_secret": f"{PLANTED}-client", "issuer": guarded.url, "scopes": ["read"]}  # fmt: skip
    server = {"name": "lacks-tokens", "url": guarded.url, "oauth": oauth}
    made = office.ask("POST", "/servers", "admin", server)
    assert (made.status, made.body["credentials"]) == (201, ["lacks-tokens-oauth"])
    assert made.body["tools"] is None
    told = office.ask("GET", "/credentials/lacks-tokens-oauth", "viewer").body
    assert (told["kind"], told["oauth"]["client_id"], told["oauth"]["scopes"]) == ("oauth", "us", ["read"])
    assert told["oauth"]["resource"] == guarded.url
    given = office.ask("POST", "/credentials/lacks-tokens-oauth/rotate", "admin", {"material": NEW})
    assert (given.status, given.code) == (422, "unfit")
    failed = office.ask("POST", "/credentials/lacks-tokens-oauth/connect", "policy_manager")
    assert failed.status == 502, failed  # the peer is no authorization server
    assert failed.code.startswith("upstream")
    alone = {**oauth, "resource": guarded.url}
    kept = office.ask(
        "POST", "/credentials", "admin", {"name": "tokens", "oauth": alone, "interval_days": None}
    )
    assert (kept.status, kept.body["kind"], kept.body["oauth"]["grant_type"]) == (201, "oauth", "client_credentials")  # fmt: skip
    both = office.ask("POST", "/credentials", "admin", {"name": "both", "oauth": alone, "material": NEW})
    assert (both.status, both.code) == (422, "unfit")
    plain = office.ask("POST", "/credentials", "admin", {"name": "plain", "material": NEW})
    assert plain.status == 201
    assert office.ask("POST", "/credentials/plain/connect", "admin").code == "unfit"


# --- the key -----------------------------------------------------------------------------------------------


def test_the_key_is_changed_and_everything_goes_on(office: Office, guarded: Peer, named: str) -> None:
    before = office.ask("GET", "/key", "auditor").body
    assert before["origin"] == ""
    assert office.ask("GET", "/key", "viewer").code == "role_lacks"
    made = office.ask("POST", "/key/rotate", "admin", {})
    assert (made.status, made.body["old_id"]) == (200, before["id"]), made
    assert made.body["rows"] > 0
    assert office.ask("GET", "/key", "admin").body["id"] == made.body["new_id"] != before["id"]
    call(office, named)
    assert last(guarded) == OLD
    wrong = office.ask("POST", "/key/rotate", "admin", {"path": "/dev/null"})
    assert (wrong.status, wrong.code) == (422, "unfit")
    assert office.ask("POST", "/credentials/none/rotate", "policy_manager", {"material": NEW}).status == 404


# --- nothing comes out -------------------------------------------------------------------------------------


def test_no_answer_log_or_file_has_material(office: Office, guarded: Peer, named: str) -> None:
    told = [office.ask("POST", at(named, "rotate"), "admin", {"material": one}) for one in (NEW, WRONG, NEXT)]
    assert [one.status for one in told] == [200, 409, 200]
    paths = ["/credentials?limit=1000", "/credentials/plan", "/servers", at(named), "/changes?limit=1000", "/records?limit=1000", "/status"]  # fmt: skip
    told += [office.ask("GET", path, "admin") for path in paths]
    assert all(one.status in {200, 409} for one in told)
    call(office, named)
    assert last(guarded) == NEXT
    for one in told:
        assert PLANTED not in one.raw.decode()
        assert PLANTED not in json.dumps(dict(one.headers))
    assert PLANTED not in office.hall.gateway.said()
    kept = b""
    for path in office.hall.gateway.directory.rglob("*"):
        kept += path.read_bytes() if path.is_file() and path.name != "servers.json" else b""
    assert PLANTED.encode() not in kept


def test_the_log_tells_who_rotated_and_what_came_of_it(office: Office, named: str) -> None:
    office.ask("POST", at(named, "rotate"), "policy_manager", {"material": NEW})
    changes = office.ask("GET", "/changes?limit=1000", "auditor").body["items"]
    mine = [
        (one["action"], one["actor"]) for one in changes if one["object_name"] == f"{named}-authorization"
    ]
    steps = ["credential.add", "credential.stage", "credential.verify", "credential.activate"]
    assert mine == [(step, "the-policy-manager") for step in steps]


# --- arguments of commands -----------------------------------------------------------------------------------


def test_who_may_not_register_a_command_sets_no_argument_of_one(office: Office) -> None:
    assert office.ask("POST", "/credentials", "admin", {"name": "arg", "material": OLD}).status == 201
    rotate = ("POST", "/credentials/arg/rotate", "policy_manager")
    assert office.ask(*rotate, {"material": NEXT, "verify": False, "because": "planted"}).status == 200, (
        "no command has it yet"
    )
    command = {"name": "arguing", "command": sys.executable, "args": ["-c", "pass", "${credential:arg}"]}
    assert office.ask("POST", "/servers", "admin", command).status == 201
    refused = office.ask(*rotate, {"material": NEW, "verify": False, "because": "planted"})
    assert (refused.status, refused.body["code"]) == (403, "forbidden")
    assert "is an argument of a command" in refused.body["detail"]
    assert office.ask("POST", "/credentials/arg/stage", "policy_manager", {"material": NEW}).status == 403
    told = office.ask(
        "POST", "/credentials/arg/rotate", "admin", {"material": NEW, "verify": False, "because": "planted"}
    )
    assert (told.status, told.body["number"]) == (200, 3)
    assert office.ask("DELETE", "/servers/arguing", "admin").status == 200


# --- what stays secret, and what is not said to have been tried ------------------------------------------------


def test_a_refusal_shows_nothing_that_the_server_knew_before(
    office: Office, guarded: Peer, named: str
) -> None:
    assert office.ask("POST", at(named, "rotate"), "admin", {"material": NEW}).status == 200
    guarded.refusal = f"no: {OLD} {NEW} {WRONG} Bearer {NEW}, please"
    refused = office.ask("POST", at(named, "rotate"), "admin", {"material": WRONG})
    assert (refused.status, refused.code) == (409, "not_verified")
    assert "please" in refused.body["detail"], "the positive path: the server's reason is shown"
    assert PLANTED not in json.dumps(refused.body)


def test_where_nobody_could_be_asked_nothing_is_switched(office: Office, guarded: Peer, named: str) -> None:
    assert office.ask("POST", f"/servers/{named}/disable", "admin", {"because": "away"}).status == 200
    refused = office.ask("POST", at(named, "rotate"), "admin", {"material": WRONG})
    assert (refused.status, refused.code) == (409, "not_verified")
    assert f"{named} is disabled" in refused.body["detail"]
    assert stages(office, named)[-1] == (1, "active")
    told = office.ask(
        "POST", at(named, "rotate"), "admin", {"material": NEW, "verify": False, "because": "planted"}
    )
    assert (told.status, told.body["assurance"]) == (200, "skipped")
