"""Coatcheck's own settings: one frozen `Config` from flags, environment and `coatcheck.toml`.

A flag wins over `COATCHECK_*`, that over the file, that over the two variables shared with other gateways.
What is unknown or unfit is refused, all of it at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from coatcheck.core.spelling import nearest
from coatcheck.core.wire import peers
from coatcheck.declared import openid, settings_toml
from coatcheck.declared.reading.addresses import Address, Network
from coatcheck.declared.reading.problems import Unfit
from coatcheck.declared.settings import BY_NAME, PREFIX, SETTINGS, Setting
from coatcheck.errors import ConfigError
from coatcheck.model.declaration import IdentityRules, Provider
from coatcheck.model.openid import RoleRule
from coatcheck.model.pin import Quarantine
from coatcheck.model.secret import Secret
from coatcheck.model.sink import SinkRules

_NOT_SETTINGS: Final = frozenset(
    {"COATCHECK_GRANT", "COATCHECK_OPERATOR_TOKEN", "COATCHECK_DEBUG", "COATCHECK_KEY", "COATCHECK_KEY_FILE"}
)
"""Known variables that are no settings: what clients and operators present, tracebacks, the key."""

_CLUSTER = re.compile(r"COATCHECK_(SERVICE_HOST|SERVICE_PORT\w*|PORT_[0-9]+_(TCP|UDP|SCTP)\w*)")
"""What Kubernetes and Docker links set in every container beside a service called `coatcheck`."""


SINKS: Final = "sinks"
"""The one setting of tables, `[[sinks]]`: it can only be written in the file."""
_ABOUT_SINKS: Final = "Where copies of the record go."


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of `coatcheck config show`: `value` is fit for JSON, `source` says where it comes from."""

    name: str
    value: str | int | float | bool | list[str] | None
    source: str
    unit: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings, judged. Times are seconds, sizes bytes; `sources` says where each comes from."""

    http: Address
    insecure: bool
    admin: Address | None
    admin_url: str | None
    allow_commands: bool
    database: Secret | None
    config: Path | None
    data: Path
    public_url: str | None
    allow_private: tuple[Network, ...]
    trusted_proxies: tuple[Network, ...]
    call_timeout: float
    call_longest: float
    connect_timeout: float
    body_limit: int
    reply_limit: int
    calls_per_grant: int
    calls_total: int
    queue_timeout: float
    sessions_per_grant: int
    sessions_total: int
    session_idle: float
    session_events: int
    session_event_bytes: int
    listens_per_grant: int
    children_per_grant: int
    children_total: int
    credential_drain: float
    console_idle: float
    console_longest: float
    upstream_idle: float
    drain_timeout: float
    list_wait: float
    list_ttl: float
    audit_key: Path | None
    checkpoints: Path | None
    retention: float | None
    segments: Path | None
    receipts: bool
    oidc_issuer: str | None
    oidc_client_id: str | None
    oidc_client_secret: Secret | None
    oidc_operators: tuple[RoleRule, ...]
    oidc_roles_claim: str
    oidc_name_claim: str
    oidc_trust_email: bool
    oidc_scopes: tuple[str, ...]
    notices_webhook: Secret | None
    quarantine_tools: Quarantine
    log_level: str
    sinks: tuple[SinkRules, ...]
    sources: Mapping[str, str]

    def describe(self) -> tuple[Shown, ...]:
        """Return every setting with its value and source, for people and for JSON."""
        return tuple(
            Shown(s.name, _shown(getattr(self, s.name)), self.sources[s.name], s.unit, s.about)
            for s in SETTINGS
        ) + tuple(
            Shown(f"{SINKS}.{rules.name}", _options(rules), self.sources[SINKS], "", _ABOUT_SINKS)
            for rules in self.sinks
        )


# --- reading -----------------------------------------------------------------------------------------


def load_config(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Config:
    """Return the settings. `flags` are by setting name; None and () stand for a flag that was not given.

    An empty variable counts as not set. Relative paths in the file start from the data directory.

    Raises:
        ConfigError: an unknown or unfit setting; the message has one line for each.
    """
    reading = _Reading(flags, environment)
    reading.refuse_unknown()
    values = {setting.name: reading.value_of(setting) for setting in SETTINGS}
    values[SINKS] = reading.sinks()
    _raise_all(reading.complaints or [*openid.complaints(values, reading.sources), *_of_one_address(values)])
    if values["allow_commands"] is None:  # whoever reaches the API from this machine could run them anyway
        values["allow_commands"] = all(at.is_loopback for at in (values["http"], values["admin"]) if at)
    return Config(**values, sources=reading.sources)


@dataclass(frozen=True, slots=True)
class _Raw:
    value: Any
    source: str
    in_file: bool = False


class _Reading:
    def __init__(self, flags: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._flags = {name: value for name, value in flags.items() if value not in (None, (), [])}
        self._environment = environment
        self._written: Mapping[str, settings_toml.Written] = {}
        self._data = self._data_directory()
        self._file = self._data / settings_toml.NAME
        self._written = settings_toml.read_settings(self._file)
        self.complaints: list[str] = []
        self.sources: dict[str, str] = {}

    def refuse_unknown(self) -> None:
        """Note every flag, setting of the file and variable that is not known."""
        for name in self._flags.keys() - BY_NAME.keys():
            self._complain(f"unknown setting '{name}'", _hint(name, BY_NAME))
        for name, written in self._written.items():
            where = f"{self._file} line {written.line}"
            if name not in BY_NAME and name != SINKS:
                self._complain(f"{where}: unknown setting '{name}'", _hint(name, BY_NAME))
            elif name == "data":
                self._complain(f"{where}: data cannot be set in the file inside it", "give --data DIR")
        known = [setting.variable for setting in SETTINGS]
        for name, value in self._environment.items():
            if name.startswith(PREFIX) and name not in known and not _is_foreign(name, value):
                self._complain(f"unknown variable {name}", _hint(name, known))

    def value_of(self, setting: Setting) -> Any:
        """Return the value of a setting and remember its source; note why it is unfit."""
        raw = self._raw_of(setting)
        self.sources[setting.name] = raw.source
        if setting.name == "data":
            return self._data
        if raw.value is None:
            return None
        try:
            value = setting.read(raw.value)
        except Unfit as error:
            self._complain(f"{raw.source}: {setting.name}: {error.message}", error.fix)
            return None
        return self._whole(value, raw) if isinstance(value, Path) else value

    def sinks(self) -> tuple[SinkRules, ...]:
        """Return the sinks of the file; note what is wrong with each."""
        written = self._written.get(SINKS)
        self.sources[SINKS] = "default" if written is None else f"{self._file} line {written.line}"
        if written is None:
            return ()
        from coatcheck.declared.sinks.tables import read_sinks  # most gateways have none

        found, complaints = read_sinks(written.value, self._data)
        for complaint in complaints:
            self._complain(f"{self._file}: {complaint}", "")
        return found

    def _raw_of(self, setting: Setting) -> _Raw:
        if setting.name in self._flags:
            return _Raw(self._flags[setting.name], setting.flag)
        if value := self._environment.get(setting.variable):
            return _Raw(value, setting.variable)
        if (written := self._written.get(setting.name)) is not None:
            return _Raw(written.value, f"{self._file} line {written.line}", in_file=True)
        if setting.shared and (value := self._environment.get(setting.shared)):
            return _Raw(value, setting.shared)
        return _Raw(setting.default, "default")

    def _data_directory(self) -> Path:
        setting = BY_NAME["data"]
        raw = self._raw_of(setting)
        if raw.value is None:
            return _usual_data(self._environment)
        try:
            return self._whole(setting.read(raw.value), raw)
        except Unfit as error:
            raise ConfigError(f"{raw.source}: data: {error.message}", fix=error.fix) from None

    def _whole(self, path: Path, raw: _Raw) -> Path:
        if path.parts[:1] == ("~",) and (home := self._environment.get("HOME")):
            return Path(home, *path.parts[1:])
        return self._data / path if raw.in_file else path.absolute()

    def _complain(self, what: str, fix: str) -> None:
        self.complaints.append(f"{what} ({fix})" if fix else what)


def _of_one_address(values: Mapping[str, Any]) -> list[str]:
    """Complain about the URL of an address that there is not."""
    if values["admin_url"] is None or values["admin"] is not None:
        return []
    return [
        "admin_url: API and console have no address of their own (give it by admin, or name the URL of all"
        " as public_url)"
    ]


def _usual_data(environment: Mapping[str, str]) -> Path:
    share = environment.get("XDG_DATA_HOME", "")
    if share.startswith("/"):  # relative ones are to be ignored (XDG Base Directory Specification)
        return Path(share) / "coatcheck"
    home = environment.get("HOME")
    if not home:
        raise ConfigError("there is no home directory to keep state in", fix="give --data DIR")
    return Path(home).absolute() / ".local" / "share" / "coatcheck"


def _is_foreign(name: str, value: str) -> bool:
    if name == "COATCHECK_PORT":
        return re.match(r"(tcp|udp|sctp)://", value) is not None
    return name in _NOT_SETTINGS or _CLUSTER.fullmatch(name) is not None


def _hint(name: str, known: Iterable[str]) -> str:
    close = nearest(name, list(known))
    return f"did you mean {close}?" if close else "`coatcheck config show` lists them"


def _options(rules: SinkRules) -> str:
    return " ".join([rules.kind.value, *(f"{name}={_shown(value)}" for name, value in rules.shown.items())])


def _shown(value: Any) -> str | int | float | bool | list[str] | None:
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _raise_all(complaints: list[str]) -> None:
    if complaints:
        raise ConfigError("\n".join(complaints))


# --- what may be opened to the network -----------------------------------------------------------------


def check_exposure(
    config: Config, identity: IdentityRules, *, has_grants: bool = False, anonymous: bool = True
) -> None:
    """Refuse to listen beyond this machine in a way that lets strangers in. For the start and every edit.

    `has_grants` tells that there are grants besides the file's: where there are, callers need one.
    `anonymous` False: nobody is served without one in any case.

    Raises:
        ConfigError: the message has one line for each reason.
    """
    complaints = _of_the_surfaces(config, identity, anonymous)
    opening = _opening(config)
    if opening is not None:
        complaints += _of_strangers(opening, config, identity, nobody=anonymous and not has_grants)
    _raise_all(complaints)


def _of_the_surfaces(config: Config, identity: IdentityRules, anonymous: bool) -> list[str]:
    """Complain about what is wrong wherever the gateway listens."""
    complaints = []
    if Provider.NONE in identity.providers and not anonymous:
        complaints.append(
            "the provider none lets anyone in, and `coatcheck up` serves nobody without a grant"
            " (remove none from serverAuth.providers, or run coatcheck serve)"
        )
    if config.admin is not None and not config.admin.is_loopback and not config.insecure:
        complaints.append(
            f"{config.admin} can be reached from other machines, and the API speaks no TLS itself"
            " (put a TLS proxy in front and add --insecure, or give a loopback address)"
        )
    if not config.http.is_loopback and not config.insecure:
        complaints.append(
            f"{config.http} can be reached from other machines, and the gateway speaks no TLS itself"
            " (put a TLS proxy in front and add --insecure, or listen on 127.0.0.1)"
        )
    return complaints


def _of_strangers(opening: str, config: Config, identity: IdentityRules, *, nobody: bool) -> list[str]:
    """Complain about what lets in callers from other machines whom nothing vouches for."""
    complaints = []
    if not identity.providers and nobody:
        complaints.append(
            f"{opening}, and nobody has to say who they are"
            ' (add serverAuth with "providers": ["bearer"] and tokens)'
        )
    if Provider.NONE in identity.providers:
        complaints.append(
            f"{opening}, and the provider none lets anyone in (remove none from serverAuth.providers)"
        )
    if Provider.FORWARDED in identity.providers and _trusts_anyone(config, identity):
        complaints.append(
            f"{opening}, and any of them could set the header"
            f" {identity.forwarded.header} (name the proxies in serverAuth.forwarded.trusted_proxies)"
        )
    return complaints


def _opening(config: Config) -> str | None:
    """Say how other machines reach the gateway, or None if they cannot.

    Behind a proxy on this machine every caller comes from loopback: that there is one shows in the settings.
    """
    if not config.http.is_loopback:
        return f"{config.http} can be reached from other machines"
    if config.trusted_proxies:
        return "trusted_proxies brings callers from other machines"
    host = urlsplit(config.public_url or "").hostname
    if host is not None and host != "localhost" and not peers.is_loopback(host):
        return f"public_url {config.public_url} brings callers from other machines"
    return None


def _trusts_anyone(config: Config, identity: IdentityRules) -> bool:
    """Tell whether no proxies are named; on loopback those on this machine are meant."""
    return not config.http.is_loopback and not identity.forwarded.trusted
