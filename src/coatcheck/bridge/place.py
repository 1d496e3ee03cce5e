"""The URL of a gateway, judged before anything is sent there: a grant must not travel in the open."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, NoReturn

from coatcheck.core import addresses
from coatcheck.errors import ConfigError

_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)", re.IGNORECASE)
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?\Z", re.ASCII
)
_PATH: Final = re.compile(r"(?:/[!-~]*)?\Z")
_FIX: Final = "write it as https://HOST/mcp for every server, or https://HOST/mcp/NAME/ for one"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the gateway is. `url` holds no secret and may be shown; `local` means this very machine."""

    url: str
    tls: bool
    local: bool


def place_of(url: str, *, insecure: bool = False) -> Place:
    """Read the URL of a gateway.

    `insecure` allows plain http beyond this machine.

    Raises:
        ConfigError: not a URL that a grant may be sent to; the message never quotes it.
    """
    match = _URL.match(url)
    if match is None:
        _refuse("is no http or https URL")
    if match.end() != len(url):
        _refuse("has a query or a fragment, and a gateway's URL has none")
    if "@" in match["authority"]:
        _refuse(
            "has user information",
            "leave it out, and give the grant by COATCHECK_GRANT, --grant-file or --keyring",
        )
    if not _PATH.match(match["path"]):
        _refuse("has a blank, a control character or one outside ASCII in its path")
    local = _is_local(_host_of(match["authority"]))
    tls = match["scheme"].lower() == "https"
    if not (tls or local or insecure):
        _refuse(
            "is plain http to another machine, so that everyone on the way could read the grant",
            "use https, or --insecure if the way is protected by other means",
        )
    return Place(f"http{'s' if tls else ''}://{match['authority'].lower()}{match['path'] or '/'}", tls, local)


def _host_of(authority: str) -> str:
    found = _AUTHORITY.match(authority)
    if found is None:
        _refuse("has a malformed host or port")
    host: str = found["host"] if found["v6"] is None else found["v6"]
    if found["v6"] is not None and ":" not in host:
        _refuse("has brackets around what is no IPv6 address")
    if problem := addresses.host_problem(host):
        _refuse(f"cannot be used: {problem}")
    if found["port"] and not 0 < int(found["port"]) < 65536:
        _refuse("has a port out of range")
    return host.lower()


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return addresses.is_loopback(ip_address(host))
    except ValueError:
        return False


def _refuse(why: str, fix: str = _FIX) -> NoReturn:
    raise ConfigError(f"the URL of the gateway {why}", fix=fix)
