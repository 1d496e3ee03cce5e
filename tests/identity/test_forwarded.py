"""Forwarded identities: believed from a trusted proxy, as if absent from anyone else."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from coatcheck.identity.forwarded import ForwardedIdentifier
from coatcheck.model.declaration import ForwardedRules
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.secret import Secret
from coatcheck.ports import Identified, NotMine, Presented, Refused
from doubles.callers import forwarded

CANARY = "canary-of-the-proxy"
LOOPBACK = ForwardedIdentifier(ForwardedRules())
PROXY = ForwardedIdentifier(ForwardedRules(trusted=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))))
SEALED = ForwardedIdentifier(ForwardedRules(secret_header="x-proxy-secret", secret=Secret(CANARY)))


def subject_of(found: Identified) -> str:
    assert isinstance(found, Principal), found
    return found.subject


def test_a_trusted_proxy_names_the_caller_and_its_groups() -> None:
    found = LOOPBACK.identify(forwarded(" alice@example.com\t", x_forwarded_groups=("dev, ops ,,", " qa ")))
    roles = frozenset({"dev", "ops", "qa"})
    assert found == Principal(
        "alice@example.com", roles, "forwarded:alice@example.com", "forwarded", Voucher.FORWARDED
    )
    assert found == LOOPBACK.identify(forwarded("alice@example.com", x_forwarded_groups=("qa,dev,ops",)))


def test_names_outside_ascii_are_read_as_proxies_write_them() -> None:
    for raw in ("jos\u00e9".encode(), "jos\u00e9".encode("latin-1"), "jose\u0301".encode()):
        assert subject_of(LOOPBACK.identify(forwarded(raw.decode("latin-1")))) == "jos\u00e9"
    found = LOOPBACK.identify(
        forwarded("eve", x_forwarded_groups=("b\u00fcro,\u2603".encode().decode("latin-1"),))
    )
    assert isinstance(found, Principal)
    assert found.roles == {"b\u00fcro", "\u2603"}
    hidden = "ev\u200be".encode().decode("latin-1")
    assert isinstance(LOOPBACK.identify(forwarded(hidden)), Refused)


def test_headers_can_be_named() -> None:
    identifier = ForwardedIdentifier(ForwardedRules(header="x-user", groups_header="x-teams"))
    found = identifier.identify(
        Presented({"x-user": ("alice",), "x-teams": ("dev",), "x-forwarded-user": ("eve",)}, "::1", "::1")
    )
    assert subject_of(found) == "alice"
    assert identifier.identify(forwarded("eve")) == NotMine()


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_by_default_loopback_peers_are_trusted(peer: str) -> None:
    assert subject_of(LOOPBACK.identify(forwarded("alice", peer=peer))) == "alice"


@pytest.mark.parametrize("peer", ["10.0.0.1", "10.255.0.1", "::ffff:10.0.0.1", "2001:db8::1"])
def test_named_peers_are_trusted(peer: str) -> None:
    assert subject_of(PROXY.identify(forwarded("alice", peer=peer))) == "alice"


@pytest.mark.parametrize(
    "peer",
    [
        "127.0.0.1",
        "11.0.0.1",
        "192.0.2.1",
        "::1",
        "2001:db9::1",
        "",
        "unix",
        "10.0.0.1:80",
        "10.0.0.1, 10.0.0.1",
        "0x0a.0.0.1",
    ],
)
def test_from_any_other_peer_the_header_is_as_if_absent(peer: str) -> None:
    assert PROXY.identify(forwarded("alice", peer=peer)) == NotMine()
    assert PROXY.identify(forwarded("", peer=peer)) == NotMine()
    assert PROXY.identify(forwarded("a", "b", peer=peer)) == NotMine()


def test_the_address_that_a_header_claims_is_no_peer() -> None:
    claimed = Presented(
        {"x-forwarded-user": ("alice",), "x-forwarded-for": ("10.0.0.1",)}, "192.0.2.1", "10.0.0.1"
    )
    assert PROXY.identify(claimed) == NotMine()


@pytest.mark.parametrize(
    "name",
    [
        "x_forwarded_user",
        "x-forwarded_user",
        "x-forwarded-user-",
        "X-Forwarded-User",
        "x-forwarded-email",
        "remote-user",
        "forwarded",
    ],
)
def test_no_other_header_names_a_caller(name: str) -> None:
    assert LOOPBACK.identify(Presented({name: ("admin",)}, "127.0.0.1", "127.0.0.1")) == NotMine()


@pytest.mark.parametrize("subject", ["a", "a b", "a,b", "x" * 256, "é", "anonymouse", "**", "DOMAIN\\alice"])
def test_subjects_that_can_be_used(subject: str) -> None:
    assert subject_of(LOOPBACK.identify(forwarded(subject))) == subject


@pytest.mark.parametrize(
    "subject",
    [
        "",
        " ",
        "\t",
        "x" * 257,
        "a\x00b",
        "a\nb",
        "a\rb",
        "\x1b[31m",
        "a\x7f",
        "a\x85",
        "a\xadb",
        "anonymous",
        " anonymous ",
        "*",
    ],
)
def test_subjects_that_cannot_be_used_are_refused_and_not_told_back(subject: str) -> None:
    found = LOOPBACK.identify(forwarded(subject))
    assert isinstance(found, Refused)
    assert (found.reason, found.guess, found.trace) == ("bad_forwarded_subject", False, "")
    assert subject.strip() in ("", "*", "anonymous") or subject not in found.sentence


@pytest.mark.parametrize("subjects", [("alice", "alice"), ("alice", "bob"), ("alice", ""), ("", "")])
def test_a_header_that_comes_twice_is_refused(subjects: tuple[str, ...]) -> None:
    assert isinstance(LOOPBACK.identify(forwarded(*subjects)), Refused)


@pytest.mark.parametrize(
    "secret",
    [
        (),
        ("",),
        ("wrong",),
        (CANARY + "x",),
        (CANARY[:-1],),
        (CANARY, CANARY),
        (f" {CANARY}",),
        ("\xe9",),
        (CANARY.upper(),),
    ],
)
def test_without_the_proxys_secret_the_header_is_as_if_absent(secret: tuple[str, ...]) -> None:
    assert subject_of(SEALED.identify(forwarded("alice", x_proxy_secret=(CANARY,)))) == "alice"
    found = SEALED.identify(forwarded("alice", x_proxy_secret=secret) if secret else forwarded("alice"))
    assert found == NotMine()


def test_the_proxys_secret_is_in_nothing_that_can_be_printed() -> None:
    rules = ForwardedRules(secret_header="x-proxy-secret", secret=Secret(CANARY))
    found = SEALED.identify(forwarded("anonymous", x_proxy_secret=(CANARY,)))
    assert isinstance(found, Refused)
    assert CANARY not in f"{rules!r} {SEALED!r} {found!r}"


def test_without_the_header_a_request_is_not_its_business() -> None:
    assert LOOPBACK.identify(forwarded()) == NotMine()
    assert LOOPBACK.identify(forwarded(x_forwarded_groups=("admins",))) == NotMine()
