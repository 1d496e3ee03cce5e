"""The URL of a server, taken apart once: where to dial, and what to ask for there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from coatcheck.core import addresses
from coatcheck.errors import UpstreamForbidden
from coatcheck.model.secret import Secret

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[^#]*)", re.DOTALL)
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?\Z", re.ASCII)
_TARGET = re.compile(r"[!-~]*\Z")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIX = "write the url as http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a server listens. `host` is a plain name or an address without brackets."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """The value of the `Host` header (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = _DEFAULT_PORTS["https" if self.tls else "http"]
        return host if self.port == default else f"{host}:{self.port}"


def take_apart(url: Secret, server: str) -> tuple[Origin, Secret]:
    """Return the origin of a URL and its path with query, which may hold a credential.

    Not `urllib`: its cache would keep the URL, and it repairs what two readers could take differently.

    Raises:
        UpstreamForbidden: not a URL that we dial; the message says why without quoting it.
    """
    match = _URL.match(url.reveal())
    if match is None:
        raise _refusal(server, "it is no absolute URL")
    scheme = match["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        raise _refusal(server, "only http and https are spoken")
    if "@" in match["authority"]:
        raise _refusal(server, "it has user information; put credentials in headers")
    place = _AUTHORITY.match(match["authority"])
    if place is None:
        raise _refusal(server, "its host or port is malformed")
    bracketed = place["v6"] is not None
    host = place["v6"] if bracketed else place["host"]
    problem = "its host is no IPv6 address" if bracketed and ":" not in host else addresses.host_problem(host)
    if problem:
        raise _refusal(server, problem)
    port = int(place["port"]) if place["port"] else _DEFAULT_PORTS[scheme]
    if not 0 < port < 65536:
        raise _refusal(server, "its port is out of range")
    if not _TARGET.match(match["target"]):
        raise _refusal(server, "its path has a blank, a control character or one outside ASCII")
    target = match["target"]
    return Origin(host.lower(), port, scheme == "https"), Secret(
        target if target.startswith("/") else "/" + target
    )


def _refusal(server: str, why: str) -> UpstreamForbidden:
    return UpstreamForbidden(f"the url of {server} cannot be used: {why}", fix=_FIX)
