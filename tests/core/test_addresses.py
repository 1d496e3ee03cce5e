"""Which addresses are dialled: tables of both sides, and that a carried IPv4 address changes nothing."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.addresses import PRIVATE, host_problem, is_loopback, judge, private_range

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.32.0.1",
    "100.128.0.1",
    "192.169.0.1",
    "2606:4700::1111",
]
PRIVATE_ONES = [
    ("10.0.0.1", "10.0.0.0/8"),
    ("172.16.0.1", "172.16.0.0/12"),
    ("172.31.255.255", "172.16.0.0/12"),
    ("192.168.0.1", "192.168.0.0/16"),
    ("100.64.0.1", "100.64.0.0/10"),
    ("198.18.0.1", "198.18.0.0/15"),
    ("fd00::1", "fc00::/7"),
    ("fc12::1", "fc00::/7"),
    ("fec0::1", "fec0::/10"),
    ("::ffff:10.0.0.1", "10.0.0.0/8"),
    ("64:ff9b:1::a00:1", "64:ff9b:1::/48"),
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:42::42",
    "2001:db8::1",
    "3fff::1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",  # Teredo: the server is a metadata address
    "2001:0:808:808:0:0:5601:5601",  # Teredo: the client is, inverted
    "::7f00:1",  # IPv4-compatible, long retired
    "100::1",
    "4000::1",
    "5f00::1",
]
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_dialled(text: str) -> None:
    assert judge(ip_address(text), False, ()) is None


@pytest.mark.parametrize(("text", "range_"), PRIVATE_ONES)
def test_a_private_address_is_dialled_only_where_it_is_allowed(text: str, range_: str) -> None:
    address = ip_address(text)
    assert judge(address, True, (ip_network(range_),)) is None
    refusal = judge(address, True, ())
    assert refusal is not None
    assert "private" in refusal
    assert range_ in refusal
    assert str(private_range(address)) == range_
    others = [network for network in PRIVATE if str(network) != range_]
    assert judge(address, True, others) is not None


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
)
def test_loopback_is_dialled_only_while_we_listen_there(text: str) -> None:
    assert judge(ip_address(text), True, ()) is None
    assert judge(ip_address(text), False, EVERYTHING) is not None


@pytest.mark.parametrize("text", NEVER)
def test_some_addresses_are_never_dialled(text: str) -> None:
    assert judge(ip_address(text), True, EVERYTHING) is not None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_wrapping(address: IPv4Address) -> None:
    number = int(address)
    verdict = judge(address, False, ()) is None
    assert (judge(IPv6Address(0xFFFF << 32 | number), False, ()) is None) == verdict
    assert (judge(IPv6Address((0x64FF9B << 96) | number), False, ()) is None) == verdict
    assert (judge(IPv6Address(0x2002 << 112 | number << 80 | 1), False, ()) is None) == verdict


@given(st.ip_addresses(v=6))
def test_outside_global_unicast_nothing_is_dialled_by_default(address: IPv6Address) -> None:
    if judge(address, False, ()) is None:
        known = ("2000::/3", "64:ff9b::/96", "::ffff:0:0/96")
        assert any(address in ip_network(network) for network in known)


def test_loopback_is_told_from_the_rest() -> None:
    assert is_loopback(ip_address("::ffff:127.0.0.2"))
    assert not is_loopback(ip_address("128.0.0.1"))


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "a",
        "a.b.c",
        "xn--bcher-kva.example",
        "my_service",
        "1.2.3.4",
        "::1",
        "2001:db8::1",
        "a1",
        "3com.com",
    ],
)
def test_a_plain_host_is_accepted(host: str) -> None:
    assert host_problem(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a..b",
        ".a",
        "a.",
        "127.0.0.1.",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "0X7F.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "example.0x",
        "example.1",
        "127\u30020\u30020\u30021",
        "\uff11\uff12\uff17.0.0.1",
        "\u2460.0.0.1",
        "b\u00fccher.example",
        "user@example.com",
        "exa mple.com",
        "example.com\t",
        "example.com\n",
        "-a.com",
        "a-.com",
        "a" * 64 + ".com",
        ".".join(["a" * 60] * 5),
        "a%2eb",
        "fe80::1%eth0",
        ":",
        "::1::",
        "[::1]",
        "a/b",
        "a\\b",
        "a#b",
    ],
)
def test_a_host_that_two_readers_could_take_differently_is_refused(host: str) -> None:
    assert host_problem("example.com") is None
    assert host_problem(host) is not None
