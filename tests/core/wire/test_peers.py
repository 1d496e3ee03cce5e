"""Addresses: who is at the other end, seen through trusted proxies and through no others."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.wire.peers import client_address, is_loopback, is_near, parse, within

PROXIES: tuple[IPv4Network | IPv6Network, ...] = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4", IPv4Address("1.2.3.4")), ("::1", IPv6Address("::1")), ("::ffff:1.2.3.4", IPv4Address("1.2.3.4")), ("2001:DB8::1", IPv6Address("2001:db8::1")),
        *[(text, None) for text in ("", "x", "1.2.3", "1.2.3.4:80", "[::1]", "01.2.3.4", " 1.2.3.4", "1.2.3.4/8", "0x7f.1", "unknown", "1.2.3.4\n", "\u0661.2.3.4")],
    ],
)  # fmt: skip
def test_addresses_are_read_in_their_plain_form(text: str, address: IPv4Address | IPv6Address | None) -> None:
    assert parse(text) == address


@pytest.mark.parametrize("text", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback(text: str) -> None:
    assert is_loopback(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "128.0.0.1",
        "10.0.0.1",
        "::",
        "0.0.0.0",
        "::2",
        "::ffff:10.0.0.1",
        "127.0.0.1:80",
        "testclient",
    ],
)
def test_not_loopback(text: str) -> None:
    assert not is_loopback(text)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "10.0.0.2", "fd00::7"], "203.0.113.9"),
        ("10.0.0.1", ["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["x, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, x"], "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6, x, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9:4711"], "10.0.0.1"),
        ("10.0.0.1", ["2001:DB8::9"], "2001:db8::9"),
        ("10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("fd00::1", ["203.0.113.9"], "203.0.113.9"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("11.0.0.1", ["127.0.0.1"], "11.0.0.1"),
        ("", ["127.0.0.1"], ""),
        ("unix", ["127.0.0.1"], "unix"),
    ],
)
def test_the_nearest_address_that_is_no_proxy_of_ours_counts(
    peer: str, forwarded: list[str], expected: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == expected
    assert client_address(peer, forwarded, ()) == peer


@given(st.lists(st.text(max_size=20) | st.ip_addresses().map(str), max_size=5), st.ip_addresses(v=4))
def test_nothing_left_of_the_true_client_matters(spoofed: list[str], client: IPv4Address) -> None:
    if not within(client, PROXIES):
        assert client_address("10.0.0.1", [*spoofed, str(client), "10.9.9.9"], PROXIES) == str(client)


@given(st.ip_addresses())
def test_within_is_membership(address: IPv4Address | IPv6Address) -> None:
    assert within(address, (ip_network("0.0.0.0/0"), ip_network("::/0")))
    assert not within(address, ())
    assert within(address, (ip_network(address),))
    assert within(address, PROXIES) is any(address in ip_network(str(network)) for network in PROXIES)
    assert parse(str(address)) == (getattr(address, "ipv4_mapped", None) or ip_address(str(address)))


def test_what_any_proxy_sent_on_did_not_begin_here() -> None:
    plain = {"host": ("localhost",), "user-agent": ("curl",), "x-forwarding": ("1",), "x-poll": ("1",)}
    assert is_near("127.0.0.1", "::1", plain)
    for peer, address in (("10.0.0.1", "127.0.0.1"), ("127.0.0.1", "10.0.0.1"), ("", "")):
        assert not is_near(peer, address, plain)
    for name in (
        "forwarded",
        "via",
        "x-real-ip",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-server",
    ):
        assert not is_near("127.0.0.1", "::1", {**plain, name: ("https",)}), name
