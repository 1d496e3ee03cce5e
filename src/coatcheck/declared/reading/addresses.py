"""Judges what people write as an address: URLs of servers, origins, networks and the place to listen at.

Hosts must have their one plain spelling. Some resolvers take `127.1`, `0x7f.1` or `2130706433` for
127.0.0.1, and full-width dots for dots; what two readers could take differently is refused here.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from coatcheck.declared.reading.problems import Unfit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL: Final = 8192
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)(?P<fragment>#.*)?"
)
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMERIC_END = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.|\Z)){4}\Z")
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
DEFAULT_PORT: Final = 8080


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: an IP address or host name in its plain spelling, and a port (0: any free one)."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can connect. A name is never taken on trust."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def url_of(text: str) -> str:
    """Return a server's URL with scheme and host in lower case.

    Raises:
        Unfit: not an http(s) URL in plain spelling, or one with user information or a fragment.
    """
    if len(text) > MAX_URL:
        raise Unfit(f"the URL is longer than {MAX_URL} characters")
    if not _VISIBLE.fullmatch(text) or "\\" in text:
        fix = "percent-encode what is not plain ASCII (xn--... for hosts)"
        raise Unfit("the URL has a space, a backslash, a control character or one outside ASCII", fix)
    match = _URL.fullmatch(text)
    if match is None:
        raise Unfit("is not a URL", "write https://HOST/PATH")
    scheme = match["scheme"].lower()
    if scheme not in ("http", "https"):
        raise Unfit("the URL must start with https:// or http://")
    if "@" in match["authority"]:
        raise Unfit("the URL has user information before an @", "put the credential into headers")
    if match["fragment"] is not None:
        raise Unfit("the URL has a fragment (#...), which is never sent", "remove it")
    host, port = _split(match["authority"])
    return f"{scheme}://{_joined(host_of(host), port)}{match['rest']}"


def origin_of(text: str) -> str:
    """Return an origin, `https://HOST[:PORT]`, without a slash at the end (RFC 6454).

    Raises:
        Unfit: not a plain URL, or one with a path or query.
    """
    url = url_of(text)
    head, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    if path or "?" in rest:
        raise Unfit("must be an origin without a path", "write https://HOST or https://HOST:PORT")
    return f"{head}://{authority}" if slash else url


def host_of(text: str) -> str:
    """Return a host in its one spelling: lower case, an IPv6 address compressed and in brackets.

    Raises:
        Unfit: empty, not letters, digits and hyphens, or an unusual way to write an IP address.
    """
    if text.startswith("[") and text.endswith("]"):
        try:
            return f"[{ipaddress.IPv6Address(text[1:-1]).compressed}]" if "%" not in text else _no_zone()
        except ipaddress.AddressValueError:
            raise Unfit("the address in brackets is not an IPv6 address") from None
    if not text:
        raise Unfit("there is no host")
    labels = text.split(".")
    if _NUMERIC_END.fullmatch(labels[-1]):
        if not _IPV4.match(text):
            raise Unfit("the host is an unusual spelling of an IPv4 address", "write it as in 192.0.2.1")
        return text
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Unfit("the host is not a plain host name (letters, digits, hyphens, single dots)")
    return text.lower()


def listen_address_of(text: str) -> Address:
    """Return where to listen: `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `PORT`.

    Without a host it is 127.0.0.1, for nothing is opened to the network by leaving something out;
    `localhost` is 127.0.0.1 whatever the resolver says.

    Raises:
        Unfit: not such an address.
    """
    fix = "write HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080"
    if _PORT.fullmatch(text):
        return Address("127.0.0.1", _port(text, fix, least=0))
    if not text:
        raise Unfit("is empty", fix)
    if text.count(":") > 1 and not text.startswith("["):
        raise Unfit("an IPv6 address needs brackets", fix)
    host, port = _split(text, least=0)
    host = host_of(host or "127.0.0.1").strip("[]")
    return Address("127.0.0.1" if host == "localhost" else host, DEFAULT_PORT if port is None else port)


def network_of(text: str) -> Network:
    """Return a network: `10.0.0.0/8`, `fd00::/8`, or one address.

    Raises:
        Unfit: not a network, or with bits set after the prefix.
    """
    try:
        return ipaddress.ip_network(text.strip())
    except ValueError:
        try:
            meant = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            raise Unfit("is not a network", "write it as in 10.0.0.0/8 or fd00::/8") from None
    raise Unfit("the network has bits set after its prefix", f"write {meant}")


def trusted_network_of(text: str) -> Network:
    """Return a network whose word is taken on who is calling.

    Raises:
        Unfit: not a network, or one that holds every address.
    """
    network = network_of(text)
    if network.prefixlen == 0:
        raise Unfit("this network holds every address, so anyone could claim to be anyone")
    return network


def _split(authority: str, least: int = 1) -> tuple[str, int | None]:
    fix = f"write a port from {least} to 65535 without leading zeros, or none"
    if authority.startswith("["):
        host, end, after = authority.partition("]")
        if not end or (after and not after.startswith(":")):
            raise Unfit("the address in brackets does not end before the port", fix)
        return f"{host}]", _port(after[1:], fix, least) if after else None
    host, colon, port = authority.partition(":")
    return host, _port(port, fix, least) if colon else None


def _port(text: str, fix: str, least: int) -> int:
    if not _PORT.fullmatch(text) or not least <= int(text) <= 65535:
        raise Unfit("the port is not a port number", fix)
    return int(text)


def _joined(host: str, port: int | None) -> str:
    return host if port is None else f"{host}:{port}"


def _no_zone() -> str:
    raise Unfit("the IPv6 address has a zone (%...)", "leave the zone out")
