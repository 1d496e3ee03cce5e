"""The table of Coatcheck's own settings: names, defaults, units, and how each value is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coatcheck.core.oauth import url_problem
from coatcheck.declared import openid
from coatcheck.declared.reading.addresses import (
    Address,
    Network,
    listen_address_of,
    network_of,
    origin_of,
    trusted_network_of,
)
from coatcheck.declared.reading.problems import Unfit
from coatcheck.declared.reading.units import bytes_of, count_of, seconds_of
from coatcheck.model.pin import Quarantine
from coatcheck.model.secret import Secret

PREFIX: Final = "COATCHECK_"
LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: how its value is read, its default as written, and what it is for.

    `shared` is a variable of other gateways that is honoured below all of our own.
    """

    name: str
    read: Callable[[Any], Any]
    default: Any
    about: str
    unit: str = ""
    shared: str = ""

    @property
    def variable(self) -> str:
        """The environment variable, `COATCHECK_...`."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """The flag of the command line, `--...`."""
        return "--" + self.name.replace("_", "-")


# --- readers: from a flag, a variable or a TOML value to the value that is used -------------------------


def _flag(value: Any) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False}
    if isinstance(value, bool):
        return value
    found = (words | {"off": False}).get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise Unfit("is neither true nor false")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\x00" in value:
        raise Unfit("is not a text")
    return value


def _listen(value: Any) -> Address:
    return listen_address_of(str(value) if type(value) is int else _text(value))


def _path(value: Any) -> Path:
    return value if isinstance(value, Path) else Path(_text(value))


def _origin(value: Any) -> str:
    return origin_of(_text(value))


def _database(value: Any) -> Secret:
    url = value.reveal() if isinstance(value, Secret) else _text(value)
    if not re.match(r"postgres(ql)?://[^/\s]", url):
        raise Unfit("is not the URL of a PostgreSQL database", "write postgresql://USER:PASSWORD@HOST/NAME")
    return Secret(url)


def _webhook(value: Any) -> Secret:
    url = value.reveal() if isinstance(value, Secret) else _text(value)
    if problem := url_problem(url):
        fix = "write the whole URL, as its service shows it; plain http is for this machine only"
        raise Unfit(f"cannot be used: {problem}", fix)
    return Secret(url)


def _level(value: Any) -> str:
    level = _text(value).lower()
    if level not in LEVELS:
        raise Unfit(f"is not one of {', '.join(LEVELS)}")
    return level


def _quarantine(value: Any) -> Quarantine:
    word = _text(value).lower()
    if word not in list(Quarantine):
        raise Unfit(f"is not one of {', '.join(Quarantine)}")
    return Quarantine(word)


def _networks(read: Callable[[str], Network]) -> Callable[[Any], tuple[Network, ...]]:
    def read_all(value: Any) -> tuple[Network, ...]:
        texts = re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value
        if not isinstance(texts, list | tuple):
            raise Unfit("is not a list of networks", "write it as in 10.0.0.0/8, 192.168.0.0/16")
        return tuple(read(_text(text)) for text in texts)

    return read_all


def _private(text: str) -> Network:
    network = network_of(text)
    own = ("169.254.0.0/16", "fe80::/10")
    if any(network.version == other.version and network.overlaps(other) for other in map(network_of, own)):
        raise Unfit("holds link-local addresses, where clouds serve credentials", "name a smaller network")
    return network


def _seconds(least: float, most: float) -> Callable[[Any], float]:
    return lambda value: seconds_of(value, least, most)


def _bytes(least: int, most: int) -> Callable[[Any], int]:
    return lambda value: bytes_of(value, least, most)


def _count(least: int, most: int) -> Callable[[Any], int]:
    return lambda value: count_of(value, least, most)


_HOUR, _DAY, _KIB, _GIB = 3600.0, 86400.0, 1024, 1024**3


# --- the table -----------------------------------------------------------------------------------------

SETTINGS: Final = (
    Setting("http", _listen, "127.0.0.1:8080", "Where to listen for MCP clients.", "HOST:PORT"),
    Setting("insecure", _flag, False, "Allow listening beyond this machine without TLS of our own."),
    Setting(
        "admin",
        _listen,
        None,
        "An address of its own for API and console; otherwise they are at that of MCP clients.",
        "HOST:PORT",
    ),
    Setting(
        "admin_url", _origin, None, "The origin under which people reach that address of its own.", "URL"
    ),
    Setting("allow_commands", _flag, None, "Let admins register servers that are commands, over the API."),
    Setting("database", _database, None, "A PostgreSQL database instead of a file in data.", "URL"),
    Setting("config", _path, None, "The servers.json to read; otherwise it is looked for.", "path"),
    Setting("data", _path, None, "The directory that holds all state.", "path"),
    Setting("public_url", _origin, None, "The origin under which clients reach the gateway.", "URL"),
    Setting("allow_private", _networks(_private), (), "Private networks that servers may be in.", "CIDRs"),
    Setting(
        "trusted_proxies",
        _networks(trusted_network_of),
        (),
        "Proxies whose X-Forwarded-For tells the address of a client.",
        "CIDRs",
    ),
    Setting(
        "call_timeout",
        _seconds(0.1, _DAY),
        "120s",
        "The longest a call may go without a sign of life.",
        "seconds",
        "MCP_PROXY_REQUEST_TIMEOUT",
    ),
    Setting(
        "call_longest",
        _seconds(0.1, 7 * _DAY),
        "30m",
        "The longest a call may take in all, the time that people take to answer aside.",
        "seconds",
    ),
    Setting(
        "connect_timeout",
        _seconds(0.1, _HOUR),
        "60s",
        "The longest that connecting to a server, or starting it, may take.",
        "seconds",
        "MCP_TIMEOUT",
    ),
    Setting("body_limit", _bytes(_KIB, _GIB), "4MiB", "The largest request of a client.", "bytes"),
    Setting("reply_limit", _bytes(_KIB, _GIB), "16MiB", "The largest reply of a server.", "bytes"),
    Setting("calls_per_grant", _count(1, 100_000), 64, "Calls at once of one grant on one server."),
    Setting("calls_total", _count(1, 100_000), 512, "Calls at once in all."),
    Setting("queue_timeout", _seconds(0, _HOUR), "10s", "The longest a call waits for its turn.", "seconds"),
    Setting("sessions_per_grant", _count(1, 100_000), 64, "Sessions of one grant."),
    Setting("sessions_total", _count(1, 1_000_000), 10_000, "Sessions in all."),
    Setting("session_idle", _seconds(1, 30 * _DAY), "30m", "When an unused session ends.", "seconds"),
    Setting("session_events", _count(1, 10_000), 256, "Events kept of a session whose client comes back."),
    Setting("session_event_bytes", _bytes(_KIB, _GIB), "1MiB", "The same in bytes.", "bytes"),
    Setting("listens_per_grant", _count(0, 100_000), 32, "Streams of one grant that listen for changes."),
    Setting(
        "children_per_grant", _count(0, 10_000), 8, "Children that run for single sessions of one grant."
    ),
    Setting("children_total", _count(0, 100_000), 64, "Children that run for single sessions, in all."),
    Setting(
        "credential_drain",
        _seconds(0, _DAY),
        "10m",
        "How long a session of one client's own goes on with a credential that was changed.",
        "seconds",
    ),
    Setting(
        "console_idle",
        _seconds(60, 30 * _DAY),
        "1h",
        "When a browser that nobody uses is signed out of the console.",
        "seconds",
    ),
    Setting(
        "console_longest",
        _seconds(60, 90 * _DAY),
        "12h",
        "The longest that anybody stays signed in at a browser.",
        "seconds",
    ),
    Setting(
        "upstream_idle", _seconds(1, 30 * _DAY), "5m", "When an unused session with a server ends.", "seconds"
    ),
    Setting(
        "drain_timeout", _seconds(0, _HOUR), "20s", "How long calls may go on while stopping.", "seconds"
    ),
    Setting(
        "list_wait",
        _seconds(0.1, _HOUR),
        "10s",
        "How long a list over all servers waits for one that was never heard from.",
        "seconds",
    ),
    Setting(
        "list_ttl",
        _seconds(0, _DAY),
        "5s",
        "How long the list of a server is kept before it is asked again.",
        "seconds",
    ),
    Setting(
        "audit_key", _path, None, "File of the key that checkpoints of the record are signed with.", "path"
    ),
    Setting(
        "checkpoints", _path, None, "File outside of the store that checkpoints are appended to.", "path"
    ),
    Setting(
        "retention",
        _seconds(_DAY, 36_500 * _DAY),
        None,
        "How long entries of the record are kept in the store before they are sealed in files.",
        "seconds",
    ),
    Setting("segments", _path, None, "Folder that sealed parts of the record are written to.", "path"),
    Setting(
        "receipts", _flag, True, "Whether answers carry the receipt of their outcome on record.", "true|false"
    ),
    Setting(
        "oidc_issuer", openid.issuer_of, None, "The OpenID provider that people sign in with at pages.", "URL"
    ),
    Setting(
        "oidc_client_id", openid.client_id_of, None, "What the gateway is called at that provider.", "ID"
    ),
    Setting(
        "oidc_client_secret",
        openid.secret_of,
        None,
        "What the gateway proves itself with there, as ${file:PATH} or ${NAME}.",
        "SECRET",
    ),
    Setting(
        "oidc_operators",
        openid.rules_of,
        (),
        "Which value of the claim of roles makes operators of which role.",
        "ROLE=VALUE",
    ),
    Setting("oidc_roles_claim", openid.claim_of, "groups", "The claim that these values are in.", "CLAIM"),
    Setting("oidc_name_claim", openid.claim_of, "email", "The claim that people are known by here.", "CLAIM"),
    Setting(
        "oidc_trust_email",
        _flag,
        False,
        "Believe addresses that the provider does not call verified.",
        "true|false",
    ),
    Setting(
        "oidc_scopes", openid.scopes_of, "openid email profile", "What the provider is asked for.", "SCOPES"
    ),
    Setting("notices_webhook", _webhook, None, "Where notices about credentials are posted to.", "URL"),
    Setting(
        "quarantine_tools",
        _quarantine,
        "widening",
        "Which changed tools are hidden until they are accepted: widening, any or never.",
    ),
    Setting("log_level", _level, "info", "How much is logged: debug, info, warning or error."),
)

BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
