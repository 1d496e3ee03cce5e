"""The parts of OAuth that are arithmetic: links, proofs of a code, names of resources, what may be trusted.

Sources: OAuth 2.1, RFC 7636 (PKCE), RFC 8707 (resource), RFC 9207 (iss), RFC 9728 (metadata of resources).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from coatcheck.core import addresses
from coatcheck.model.oauth import AuthorizationServer, Discovery

OFFLINE: Final = "offline_access"
"""The scope by which some servers give refresh tokens (OpenID Connect Core 11)."""
MAX_URL_CHARS: Final = 4096
_URL: Final = re.compile(r"https?://[!-~]+\Z", re.IGNORECASE)


def unpadded(raw: bytes) -> str:
    """Return base64 for URLs, without padding (RFC 7636, appendix A)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def code_challenge(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    return unpadded(hashlib.sha256(verifier.encode("ascii")).digest())


def link(endpoint: str, query: dict[str, str]) -> str:
    """Return the address of an authorization endpoint with our parameters after its own."""
    parts = urlsplit(endpoint)
    joined = "&".join(part for part in (parts.query, urlencode(query)) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, joined, ""))


def issuer_problem(server: AuthorizationServer, said: str | None) -> str:
    """Return why an authorization response cannot be of this server, by its `iss`; empty if it can.

    Compared as it is, without any normalization (RFC 9207 section 2.4).
    """
    if said is None:
        return "it does not say which authorization server it is from" if server.says_issuer else ""
    return "" if said == server.issuer else "it is from another authorization server"


def scopes_to_ask(wanted: Iterable[str], discovery: Discovery) -> tuple[str, ...]:
    """Return the scopes to ask for: those wanted here, else the server's own; and that for refresh tokens."""
    scopes = tuple(dict.fromkeys(wanted)) or discovery.scopes
    if scopes and OFFLINE in discovery.server.scopes and OFFLINE not in scopes:
        return (*scopes, OFFLINE)
    return scopes


# --- URLs --------------------------------------------------------------------------------------------------


def is_loopback_host(host: str) -> bool:
    """Tell whether a host name or address is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return addresses.is_loopback(ip_address(host.strip("[]")))
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Tell whether a URL names this machine itself."""
    return is_loopback_host(_host_of(url))


def url_problem(url: str) -> str:
    """Return why a URL of an authorization server cannot be used; empty if it can.

    Everything but loopback must be https (OAuth 2.1 section 1.5).
    """
    if len(url) > MAX_URL_CHARS or not _URL.match(url):
        return "it is no http or https URL"
    if "@" in url.partition("//")[2].partition("/")[0]:
        return "it has user information"
    if "#" in url:
        return "it has a fragment"
    if not url.lower().startswith("https:") and not is_loopback_url(url):
        return "it is not https"
    return ""


def resource_of(url: str) -> str:
    """Return the canonical URI of a server (RFC 8707 section 2): scheme and host in lower case.

    Without its query, which may hold a credential.
    """
    parts = urlsplit(url.partition("#")[0].partition("?")[0])
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path, "", ""))


def covers(resource: str, url: str) -> bool:
    """Tell whether metadata of `resource` is about the server at `url`: the same origin, the path within."""
    named, server = urlsplit(resource_of(resource)), urlsplit(resource_of(url))
    if (named.scheme, _authority(resource)) != (server.scheme, _authority(url)):
        return False
    return f"{server.path.rstrip('/')}/".startswith(f"{named.path.rstrip('/')}/")


def same_issuer(left: str, right: str) -> bool:
    """Compare issuers as they are, but for the slash that the URL of a bare origin may end with."""
    return left == right or (_is_bare(left) and _is_bare(right) and left.rstrip("/") == right.rstrip("/"))


def origin_of(url: str) -> str:
    """Return scheme and authority of a URL."""
    parts = urlsplit(resource_of(url))
    return f"{parts.scheme}://{parts.netloc}"


def resource_metadata_urls(url: str) -> tuple[str, ...]:
    """Return where a server's own metadata may be: for its path, then for its origin (RFC 9728 section 3)."""
    return _inserted(url, "oauth-protected-resource", root=True)


def issuer_metadata_urls(issuer: str) -> tuple[str, ...]:
    """Return where an issuer's metadata may be, in the order of the specification of MCP (authorization)."""
    path = urlsplit(issuer).path.rstrip("/")
    found = (*_inserted(issuer, "oauth-authorization-server"), *_inserted(issuer, "openid-configuration"))
    return (*found, f"{origin_of(issuer)}{path}/.well-known/openid-configuration") if path else found


def _inserted(url: str, name: str, *, root: bool = False) -> tuple[str, ...]:
    parts = urlsplit(url)
    base, path = f"{origin_of(url)}/.well-known/{name}", parts.path.rstrip("/")
    if not path:
        return (base,)
    return (base + path, base) if root else (base + path,)


def _is_bare(url: str) -> bool:
    parts = urlsplit(url)
    return parts.path in ("", "/") and not parts.query


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _authority(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    return _host_of(url), port or {"https": 443}.get(parts.scheme.lower(), 80)
