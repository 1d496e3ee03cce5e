"""Which network addresses and host names we are willing to dial, judged as pure values.

Sources: the IANA special-purpose registries (RFC 6890), RFC 4291, RFC 6052 (NAT64), RFC 3056 (6to4),
RFC 4380 (Teredo), and the published addresses of cloud metadata services. What is on no list is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


PRIVATE: Final = _networks(
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "198.18.0.0/15",
    "fc00::/7",
    "fec0::/10",
    "64:ff9b:1::/48",
)
"""Ranges inside somebody's network: dialled only where the operator named them."""

_LOOPBACK: Final = _networks("127.0.0.0/8", "::1/128")
_METADATA: Final = _networks(
    "169.254.169.254/32",
    "169.254.170.0/24",  # container credentials
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "fd00:ec2::/32",
    "fd20:ce::254/128",
    "fd00:42::42/128",
    "fd00:c1::a9fe:a9fe/128",
)
_NEVER: Final[tuple[tuple[str, tuple[Network, ...]], ...]] = (
    ("a cloud metadata address", _METADATA),
    ("an unspecified address", _networks("0.0.0.0/8", "::/128")),
    ("a link-local address", _networks("169.254.0.0/16", "fe80::/10")),
    ("a multicast address", _networks("224.0.0.0/4", "ff00::/8")),
    (
        "a reserved address",
        _networks(
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "2001:10::/28",
            "2001:20::/28",
            "2001:db8::/32",
            "3fff::/20",
        ),
    ),
)
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_GLOBAL_V6: Final = IPv6Network("2000::/3")


def judge(address: Address, loopback_allowed: bool, private: Sequence[Network]) -> str | None:
    """Return why `address` may not be dialled, or None if it may.

    Loopback is dialled only while we listen on loopback, a private range only if it lies in one of
    `private`, metadata, link-local, multicast and reserved addresses never. An IPv6 address that carries
    an IPv4 address is judged by both.
    """
    if isinstance(address, IPv6Address):
        return _judge_v6(address, loopback_allowed, private)
    return _judge_plain(address, loopback_allowed, private)


def _judge_v6(address: IPv6Address, loopback_allowed: bool, private: Sequence[Network]) -> str | None:
    if address.scope_id is not None:
        return f"{address}, which names an interface"
    for embedded in _embedded(address):
        if reason := _judge_plain(embedded, loopback_allowed, private):
            return f"{address}, which stands for {reason}"
    if address in _MAPPED or address in _NAT64:
        return None  # nothing but the IPv4 address that was just judged
    if reason := _judge_plain(address, loopback_allowed, private):
        return reason
    known = address in _GLOBAL_V6 or _inside(address, _LOOPBACK) or _inside(address, PRIVATE)
    return None if known else f"{address}, a reserved address"


def _judge_plain(address: Address, loopback_allowed: bool, private: Sequence[Network]) -> str | None:
    for what, networks in _NEVER:
        if _inside(address, networks):
            return f"{address}, {what}"
    if _inside(address, _LOOPBACK):
        return None if loopback_allowed else f"{address}, a loopback address"
    if range_ := private_range(address):
        return None if _inside(address, private) else f"{address}, a private address ({range_})"
    return None


def private_range(address: Address) -> Network | None:
    """Return the private range that holds `address` (or the IPv4 address mapped in it), or None."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return next((network for network in PRIVATE if _inside(address, (network,))), None)


def is_loopback(address: Address) -> bool:
    """Tell whether `address` is this machine itself, also when mapped into IPv6."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return _inside(address, _LOOPBACK)


def _inside(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address in _NAT64:
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


# --- host names ------------------------------------------------------------------------------------------

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z", re.ASCII)
_NUMBER = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)\Z", re.ASCII)


def host_problem(host: str) -> str | None:
    """Return what is wrong with the host of a URL (without brackets), or None for one that is plain.

    Plain is a canonical IPv4 or an IPv6 address, or an ASCII name of letters, digits, hyphens and
    underscores (containers have them) whose last label is no number: `127.1`, `0x7f.1` and `2130706433`
    are addresses to some resolvers and names to others (WHATWG URL section 3.5).
    """
    if not host:
        return "there is no host"
    if ":" in host:
        return None if _is_address(host) else "the host is no IPv6 address"
    if not host.isascii():
        return "the host has characters outside ASCII; write it in its xn-- form"
    if "@" in host:
        return "the URL has user information; put credentials in headers"
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.match(label) for label in labels):
        return "the host is no plain host name"
    if _NUMBER.match(labels[-1]) and not _is_address(host):
        return "the host is a number that is no canonical IPv4 address"
    return None


def _is_address(host: str) -> bool:
    try:
        return "%" not in host and bool(ip_address(host))
    except ValueError:
        return False
