"""Callers that are not let in: what they are told, what is recorded, and how guessing is slowed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coatcheck.core.tokens import checksum
from gateway import new_grant
from journeys.running import Hall, hall_at
from journeys.wire import META, Got, frame, message, modern_headers

CALL = message("tools/call", {"name": "srv__echo", "arguments": {}, "_meta": META})


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Hall]:
    """Run a gateway that nobody has guessed at yet."""
    with hall_at(tmp_path / "data") as running:
        running.good()
        yield running


def knock(hall: Hall, value: str | bytes | None, path: bytes = b"/mcp", body: bytes = CALL) -> Got:
    headers = {"Authorization": value, **modern_headers("tools/call", "srv__echo")}
    return hall.raw(frame(body, path=path, headers=headers))[0]


def unauthorized(got: Got) -> dict[str, str]:
    """Check the one form of a 401 and return its body."""
    assert got.status == 401, got
    challenge = got.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="coatcheck"')
    assert "resource_metadata" not in challenge
    told: dict[str, str] = got.json()
    assert set(told) == {"error", "error_description"}
    assert told["error"] == "invalid_token"
    assert len(got.body) <= 300
    return told


def jwt(header: dict[str, Any]) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=")
        for one in (header, {"sub": "admin"})
    ]
    return ".".join([*parts, "c2ln"])


SHAPES: dict[str, tuple[str | bytes | None, str]] = {
    "none": (None, "No grant was presented"),
    "empty": ("", "The bearer token is empty"),
    "scheme alone": ("Bearer", "The bearer token is empty"),
    "scheme and space": ("Bearer ", "The bearer token is empty"),
    "two spaces": ("Bearer  GRANT", "The Authorization header is malformed"),
    "tab": ("Bearer\tGRANT", "The Authorization header is malformed"),
    "two tokens": ("Bearer GRANT GRANT", "The Authorization header is malformed"),
    "comma": ("Bearer GRANT, Bearer GRANT", "The Authorization header is malformed"),
    "basic": ("Basic YTpi", "The Authorization header is malformed"),
    "digest": ("Digest username=admin", "The Authorization header is malformed"),
    "dpop": ("DPoP GRANT", "The Authorization header is malformed"),
    "token scheme": ("Token GRANT", "The Authorization header is malformed"),
    "negotiate": ("Negotiate abc", "The Authorization header is malformed"),
    "bearer with colon": ("Bearer: GRANT", "The Authorization header is malformed"),
    "other token without scheme": ("sometoken", "The Authorization header is malformed"),
    "not ASCII": ("Bearer \u0410GRANT".encode(), "The Authorization header is malformed"),
    "latin-1": (b"Bearer \xe9", "The Authorization header is malformed"),
    "overlong": ("Bearer " + "a" * 5000, "The Authorization header is malformed"),
    "one character more": ("Bearer GRANTx", "This grant is damaged"),
    "one character less": ("Bearer CUT", "This grant is damaged"),
    "upper case": ("Bearer UPPER", "This grant is not known here"),
    "one character changed": ("Bearer CHANGED", "This grant is damaged"),
    "line break escaped": ("Bearer GRANT%0a", "This grant is damaged"),
    "quoted": ('Bearer "GRANT"', "This grant is not known here"),
    "prefix alone": ("Bearer cckg_", "This grant is damaged"),
    "another kind of ours": ("Bearer ccka_" + "A" * 61, "This grant is damaged"),
    "github": ("Bearer ghp_" + "A" * 36, "This is a GitHub token"),
    "gitlab": ("Bearer glpat-" + "A" * 20, "This is a GitLab token"),
    "slack": ("Bearer xoxb-1-2-abc", "This is a Slack token"),
    "anthropic": ("Bearer sk-ant-api03-x", "This is a"),
    "aws": ("Bearer AKIAIOSFODNN7EXAMPLE", "This is a"),
    "jwt without algorithm": ("Bearer " + jwt({"alg": "none"}), "This is a JSON Web Token"),
    "jwt with its own key": ("Bearer " + jwt({"alg": "HS256", "jwk": {}}), "This is a JSON Web Token"),
    "jwt with a critical claim": (
        "Bearer " + jwt({"alg": "HS256", "crit": ["x"]}),
        "This is a JSON Web Token",
    ),
    "sql": ("Bearer ' OR '1'='1", "The Authorization header is malformed"),
    "sql without spaces": ("Bearer '--", "This grant is not known here"),
    "path": ("Bearer ../../x", "This grant is not known here"),
    "null": ("Bearer null", "This grant is not known here"),
    "undefined": ("Bearer undefined", "This grant is not known here"),
    "variable not expanded": ("Bearer ${COATCHECK_GRANT}", "This grant is not known here"),
    "format": ("Bearer %s%n", "This grant is not known here"),
    "wildcard": ("Bearer *", "This grant is not known here"),
    "anonymous": ("Bearer anonymous", "This grant is not known here"),
    "underscores": ("Bearer " + "_" * 50, "This grant is not known here"),
    "another prefix": ("Bearer mgw_" + "A" * 46, "This grant is not known here"),
    "the digest from the file": ("Bearer sha256:DIGEST", "This grant is not known here"),
}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with hall_at(tmp_path_factory.mktemp("door") / "data") as running:
        running.good()
        yield running


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_no_grant_is_told_why(door: Hall, name: str) -> None:
    value, sentence = SHAPES[name]
    grant = door.grant
    changed = grant[:20] + ("A" if grant[20] != "A" else "B") + grant[21:]
    digest = next(iter(door.gateway.declaration["serverAuth"]["bearer"]["tokens"])).removeprefix("sha256:")
    if isinstance(value, str):
        for word, text in (
            ("GRANT", grant),
            ("CUT", grant[:-1]),
            ("UPPER", grant.upper()),
            ("CHANGED", changed),
            ("DIGEST", digest),
        ):
            value = value.replace(word, text)
    elif value is not None:
        value = value.replace(b"GRANT", grant.encode())
    calls = len(door.peer.forwarded)
    got = knock(door, value)
    assert unauthorized(got)["error_description"].startswith(sentence)
    secret = (value.encode() if isinstance(value, str) else value or b"").removeprefix(b"Bearer").strip()
    assert len(secret) < 8 or secret not in got.body + str(got.headers).encode()
    assert len(door.peer.forwarded) == calls
    door.good()


def test_the_good_grant_is_let_in_however_it_is_written(door: Hall) -> None:
    for value in (f"Bearer {door.grant}", f"bearer {door.grant}", f"BEARER {door.grant}", door.grant):
        assert knock(door, value).status == 200


@pytest.mark.parametrize(
    "target",
    [b"/mcp?access_token=%s", b"/mcp?authorization=Bearer+%s", b"/mcp?token=%s&key=%s", b"/mcp/?api_key=%s"],
)
def test_a_grant_in_the_url_lets_nobody_in_and_is_logged_nowhere(door: Hall, target: bytes) -> None:
    got = knock(door, None, target.replace(b"%s", door.grant.encode()))
    assert unauthorized(got)["error_description"].startswith("No grant was presented")
    assert door.grant not in door.gateway.said()
    for path in door.gateway.directory.rglob("*"):
        assert not path.is_file() or door.grant.encode() not in path.read_bytes()


def test_no_other_header_or_cookie_carries_a_grant(door: Hall) -> None:
    for name, value in (
        ("X-Api-Key", door.grant), ("Cookie", f"Authorization=Bearer {door.grant}"), ("Proxy-Authorization", f"Bearer {door.grant}"),
        ("X-Authorization", f"Bearer {door.grant}"), ("X-Forwarded-User", "alice"), ("Mcp-Session-Id", door.session().id),
    ):  # fmt: skip
        unauthorized(
            door.raw(frame(CALL, headers={**modern_headers("tools/call", "srv__echo"), name: value}))[0]
        )


def test_existing_and_other_servers_are_alike_to_strangers(fresh: Hall) -> None:
    servers = fresh.control("/api/v1/servers")["items"]
    for token in (None, "Bearer", "Bearer wrong", "Basic x"):
        bodies = {
            knock(fresh, token, path).body
            for path in (b"/mcp", b"/mcp/srv", b"/mcp/none", b"/mcp/" + servers[0]["id"].encode())
        }
        assert len(bodies) == 1, token


def test_strangers_learn_nothing_from_bad_bodies_or_methods(door: Hall) -> None:
    for verb, body in (
        (b"GET", b""),
        (b"POST", b""),
        (b"POST", b"[[["),
        (b"PUT", b"x"),
        (b"DELETE", b""),
        (b"OPTIONS", b""),
    ):
        got, _ = door.raw(frame(body, verb=verb, headers={"Content-Type": "text/plain"}))
        assert got.status == 401, verb


def test_the_401_comes_before_the_body(door: Hall) -> None:
    head = frame(b"", headers={"Content-Length": "4000000"})
    got, _ = door.raw(head)  # not one byte of the body was sent
    assert got.status == 401


def test_a_refused_login_is_recorded_once_and_its_repeats_are_folded(fresh: Hall) -> None:
    position = fresh.last_position()
    for _ in range(5):
        knock(fresh, "Bearer ghp_" + "A" * 36)
    knock(fresh, "Basic YTpi")
    for _ in range(5):
        knock(fresh, None)
    found = [(e["decision"], e["reason"], e["subject"], e["route"], e["rule"]) for e in fresh.since(position)]
    assert found == [
        ("refused", "foreign", "", "/mcp", "(identity)"),
        ("refused", "malformed", "", "/mcp", "(identity)"),
    ]
    page = fresh.gateway.request("GET", "/metrics", {}).body.decode()
    assert 'coatcheck_refusals_total{reason="foreign"} 5.0' in page
    assert 'coatcheck_refusals_total{reason="missing"} 5.0' in page


def test_guesses_are_slowed_and_nobody_else_is(fresh: Hall) -> None:
    statuses = [knock(fresh, f"Bearer guess-{number}").status for number in range(25)]
    assert statuses == [401] * 20 + [429] * 5
    slowed = knock(fresh, "Bearer another")
    assert (slowed.status, slowed.json()["error"]) == (429, "slow_down")
    assert "retry-after" in slowed.headers
    unknown, _ = new_grant()
    assert knock(fresh, f"Bearer {unknown}").status == 429
    fresh.good()  # from the same address
    for honest in ("Bearer", "Basic x", "Bearer ghp_" + "A" * 36, None):
        assert knock(fresh, honest).status == 401
    declaration = json.loads(json.dumps(fresh.gateway.declaration))
    declaration["serverAuth"]["bearer"]["tokens"] = {new_grant()[1]: {"subject": "bob"}}
    fresh.gateway.change(declaration)
    for _ in range(30):
        assert unauthorized(knock(fresh, f"Bearer {fresh.grant}"))["error_description"].startswith(
            "This grant was revoked"
        )


def test_unknown_id_and_wrong_secret_share_one_body(fresh: Hall) -> None:
    wrong = fresh.grant[:17] + "A" * 43
    bodies = {
        knock(fresh, f"Bearer {token}").body for token in (new_grant()[0], wrong + checksum(wrong), "any")
    }
    assert len(bodies) == 1


def test_another_servers_name_is_one_404_and_on_record(door: Hall) -> None:
    position = door.last_position()
    bodies = set()
    for path in (b"/mcp/other", b"/mcp/SRV", b"/mcp/00000000-0000-4000-8000-000000000000"):
        got = knock(door, f"Bearer {door.grant}", path)
        assert got.status == 404
        bodies.add(got.body)
    assert len(bodies) == 1
    found = [(e["subject"], e["decision"], e["rule"], e["route"]) for e in door.since(position)]
    assert found == [
        ("alice", "hidden", "(scope)", "/mcp/other"),
        ("alice", "hidden", "(scope)", "/mcp/SRV"),
        ("alice", "hidden", "(scope)", "/mcp/00000000-0000-4000-8000-000000000000"),
    ]
