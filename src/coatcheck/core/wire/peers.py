"""Which address a request came from, seen through the proxies that are trusted (RFC 7239 in spirit)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_OURS: Final = frozenset({"socket", "gateway"})
_FORWARDED: Final = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "cf-connecting-ip"})
_FORWARDED_FAMILY: Final = "x-forwarded-"
"""What proxies send along, each its own choice of them; browsers and our commands send none."""
Networks = tuple[IPv4Network | IPv6Network, ...]


@lru_cache(maxsize=4096)
def parse(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address, an IPv4-mapped one as IPv4; None for anything else."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def asked(text: str) -> str:
    """Return an address as records have it, from a query; `socket` and `gateway` stand for our own requests.

    Raises:
        ValueError: it is none.
    """
    if text in _OURS:
        return text
    address = ip_address(text)
    return text if getattr(address, "ipv4_mapped", None) else str(address)


def within(address: IPv4Address | IPv6Address, networks: Networks) -> bool:
    """Tell whether one of the networks holds the address."""
    return any(address in network for network in networks)


def is_loopback(text: str) -> bool:
    """Tell whether the text is an address of this machine's loopback."""
    address = parse(text)
    return address is not None and address.is_loopback


def is_near(peer: str, address: str, headers: Iterable[str]) -> bool:
    """Tell whether a request began on this machine; one that a proxy sent on may have begun anywhere."""
    near = is_loopback(peer) and is_loopback(address)
    return near and not any(name in _FORWARDED or name.startswith(_FORWARDED_FAMILY) for name in headers)


def client_address(peer: str, forwarded_for: Sequence[str], trusted: Networks) -> str:
    """Return the right-most address of `X-Forwarded-For` that is no trusted proxy's, else the peer's.

    The header counts only when the peer is trusted; what is left of an unreadable entry is ignored.
    """
    if not trusted:
        return peer
    address = parse(peer)
    if address is None or not within(address, trusted):
        return peer
    nearest = peer
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    for hop in reversed(hops):
        address = parse(hop)
        if address is None:
            return nearest
        nearest = str(address)
        if not within(address, trusted):
            return nearest
    return nearest
