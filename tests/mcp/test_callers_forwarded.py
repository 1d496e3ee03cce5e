"""Callers whom a trusted proxy names, in a chain with grants; and the address that a proxy tells."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from journeys.running import Hall, hall_at
from journeys.wire import META, Got, frame, message, modern_headers

CALL = message("tools/call", {"name": "srv__echo", "arguments": {}, "_meta": META})
RULES = {"default": "allow", "rules": [{"roles": ["guests"], "tools": ["srv__echo"], "policy": "deny"}]}


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    place = tmp_path_factory.mktemp("proxied") / "data"
    with hall_at(place, {"acl": RULES}, arguments=["--trusted-proxies", "127.0.0.1/32"]) as hall:
        chain(hall, "forwarded", "bearer")
        yield hall


def chain(hall: Hall, *providers: str, **forwarded: Any) -> None:
    """Ask these, in this order, from the next request on."""
    declaration = copy.deepcopy(hall.gateway.declaration)
    declaration["serverAuth"]["providers"] = list(providers)
    declaration["serverAuth"]["forwarded"] = forwarded
    hall.gateway.write(declaration)


def send(hall: Hall, lines: bytes = b"", /, **headers: str) -> Got:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return hall.raw(
        frame(CALL, headers={**modern_headers("tools/call", "srv__echo"), **fields}, lines=lines)
    )[0]


def newest(hall: Hall) -> dict[str, Any]:
    return hall.records(limit=1)[0]


def test_a_proxy_on_this_machine_names_the_caller(proxied: Hall) -> None:
    chain(proxied, "forwarded", "bearer")
    assert send(proxied, b"", X_Forwarded_User="bob", X_Forwarded_Groups="dev, ops").status == 200
    entry = newest(proxied)
    assert (entry["subject"], entry["grant_id"], entry["grant_label"]) == (
        "bob",
        "forwarded:bob",
        "forwarded",
    )
    assert (
        send(proxied, b"", X_Forwarded_User="eve", X_Forwarded_Groups=" guests ,x").code == -32602
    )  # hidden by role
    assert (
        send(proxied, b"", **proxied.bearer).status == 200
    )  # nobody is forwarded: the next in the chain is asked
    assert newest(proxied)["subject"] == "alice"
    assert send(proxied).status == 401


@pytest.mark.parametrize("subject", ["", " ", "anonymous", "*", "a\tb", "a\x7fb", "x" * 257])
def test_a_name_that_cannot_be_one_is_refused(proxied: Hall, subject: str) -> None:
    chain(proxied, "forwarded", "bearer")
    assert send(proxied, b"", X_Forwarded_User=subject, **proxied.bearer).status in {400, 401}


def test_two_names_are_refused(proxied: Hall) -> None:
    chain(proxied, "forwarded", "bearer")
    assert send(proxied, b"X-Forwarded-User: bob\r\nX-Forwarded-User: admin\r\n").status == 401


def test_from_any_other_peer_the_name_is_as_if_absent(proxied: Hall) -> None:
    chain(proxied, "forwarded", "bearer", trusted_proxies=["127.0.0.3/32"])
    assert send(proxied, b"", X_Forwarded_User="admin").status == 401
    assert send(proxied, b"", X_Forwarded_User="admin", **proxied.bearer).status == 200
    assert newest(proxied)["subject"] == "alice"


def test_a_proxy_may_have_to_know_a_secret(proxied: Hall) -> None:
    chain(proxied, "forwarded", secret_header="X-Proxy-Key", secret="a-long-shared-secret")
    assert send(proxied, b"", X_Forwarded_User="bob").status == 401
    assert send(proxied, b"", X_Forwarded_User="bob", X_Proxy_Key="another").status == 401
    assert send(proxied, b"", X_Forwarded_User="bob", X_Proxy_Key="a-long-shared-secret").status == 200
    assert "x-proxy-key" not in proxied.peer.forwarded[-1].headers


def test_behind_a_proxy_nobody_is_served_as_nobody(proxied: Hall) -> None:
    chain(proxied, "bearer")
    assert send(proxied).status == 401
    chain(proxied, "bearer", "none")  # a bad edit: the old chain stays
    assert send(proxied).status == 401
    assert send(proxied, b"", **proxied.bearer).status == 200
    assert newest(proxied)["subject"] == "alice"
    chain(proxied)
    assert send(proxied).status == 401


@pytest.mark.parametrize(
    ("told", "client"),
    [("198.51.100.7", "198.51.100.7"), ("203.0.113.9, 198.51.100.7", "198.51.100.7"), ("198.51.100.7, 127.0.0.1", "198.51.100.7"),
     ("evil", "127.0.0.1"), ("198.51.100.7, evil", "127.0.0.1"), ("", "127.0.0.1"), ("2001:db8::1", "2001:db8::1")],
)  # fmt: skip
def test_the_address_of_a_client_is_the_right_most_that_is_no_proxy(
    proxied: Hall, told: str, client: str
) -> None:
    chain(proxied, "bearer")
    assert send(proxied, b"", X_Forwarded_For=told, **proxied.bearer).status == 200
    assert newest(proxied)["client_ip"] == client


def test_details_are_not_for_clients_behind_a_proxy(proxied: Hall) -> None:
    host = {"Host": f"127.0.0.1:{proxied.gateway.port}"}
    assert b"pid" in proxied.gateway.request("GET", "/health", host).body
    assert (
        b"pid"
        not in proxied.gateway.request("GET", "/health", {**host, "X-Forwarded-For": "198.51.100.7"}).body
    )
    assert (
        proxied.gateway.request("GET", "/metrics", {**host, "X-Forwarded-For": "198.51.100.7"}).status == 404
    )
