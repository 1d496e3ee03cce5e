"""Reads the tables `[[sinks]]` of `coatcheck.toml`: where copies of the ledger go."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from coatcheck.core.spelling import nearest
from coatcheck.declared.reading.expand import shown as shown_text
from coatcheck.declared.reading.problems import Unfit
from coatcheck.declared.sinks.options import COMMON, NAME, Option, options_of
from coatcheck.model.sink import (
    FileOptions,
    Format,
    Fsync,
    OtlpOptions,
    SinkKind,
    SinkOptions,
    SinkRules,
    StreamOptions,
    SyslogOptions,
    Transport,
    WebhookOptions,
)

MOST: Final = 16
"""Most sinks of a gateway."""

_REFERENCE: Final = re.compile(r"\$\{[^{}]+\}")
_ADDRESS: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/]+)):(?P<port>[0-9]{1,5})")


def read_sinks(written: Any, base: Path) -> tuple[tuple[SinkRules, ...], tuple[str, ...]]:
    """Return the sinks, and a line for everything that is wrong. Relative paths start at `base`."""
    if not isinstance(written, list) or not all(isinstance(one, dict) for one in written):
        return (), ("sinks: write each sink as a table under [[sinks]]",)
    if len(written) > MOST:
        return (), (f"sinks: there are more than {MOST}",)
    found: list[SinkRules] = []
    complaints: list[str] = []
    for number, table in enumerate(written, 1):
        label = f"sinks: {_label(table, number)}"
        try:
            rules = _read_sink(table, base)
            if any(one.name == rules.name for one in found):
                raise Unfit("another sink has this name")
            found.append(rules)
        except Unfit as error:
            complaints.append(f"{label}: {error.message}" + (f" ({error.fix})" if error.fix else ""))
    return tuple(found), tuple(complaints)


def _label(table: Mapping[str, Any], number: int) -> str:
    name = table.get("name")
    return name if isinstance(name, str) and NAME.fullmatch(name) else f"table {number}"


def _read_sink(table: Mapping[str, Any], base: Path) -> SinkRules:
    try:
        kind = SinkKind(table.get("kind", ""))
    except ValueError:
        raise Unfit(f"kind is not one of {', '.join(SinkKind)}") from None
    known = options_of(kind)
    for name in table:
        if name not in known:
            close = nearest(name, list(known))
            raise Unfit(f"unknown option '{name}'", f"did you mean {close}?" if close else ", ".join(known))
    values = {name: _value(name, option, table) for name, option in known.items()}
    if not NAME.fullmatch(values["name"]):
        raise Unfit("name has lower case letters, digits, _ and -, and at most 48 of them")
    options = _MAKERS[kind](values, base)
    shown = {name: _shown(known[name], value) for name, value in table.items() if name not in COMMON}
    return SinkRules(values["name"], kind, options, values["from_start"], shown)


def _value(name: str, option: Option, table: Mapping[str, Any]) -> Any:
    raw = table.get(name, option.default)
    if raw is None:
        if option.required:
            raise Unfit(f"{name} is missing")
        return None
    try:
        return option.read(raw)
    except Unfit as error:
        raise Unfit(f"{name}: {error.message}", error.fix) from None


def _shown(option: Option, value: Any) -> str | int | float | bool:
    if option.secret:
        texts = value.values() if isinstance(value, dict) else [value]
        alone = all(isinstance(text, str) and _REFERENCE.fullmatch(text) for text in texts)
        return ", ".join(map(shown_text, texts)) if alone else "***"
    return value if isinstance(value, str | int | float | bool) else str(value)


def _file(values: Mapping[str, Any], base: Path) -> SinkOptions:
    return FileOptions(
        path=base / values["path"],
        format=Format(values["format"]),
        rotate_bytes=values["rotate_size"],
        rotate_daily=values["rotate_daily"],
        keep=values["keep"],
        fsync=Fsync(values["fsync"]),
    )


def _stream(values: Mapping[str, Any], base: Path) -> SinkOptions:  # noqa: ARG001 - the shape of a maker
    return StreamOptions(format=Format(values["format"]))


def _syslog(values: Mapping[str, Any], base: Path) -> SinkOptions:
    transport = Transport(values["transport"])
    trust = {name: values[name] and base / values[name] for name in ("ca", "certificate", "key")}
    if transport is not Transport.TLS and any(trust.values()):
        raise Unfit("ca, certificate and key are for the transport tls only")
    if (trust["key"] is None) != (trust["certificate"] is None):
        raise Unfit("certificate and key belong together", "write both, or neither")
    path, host, port = _place(values["address"], transport)
    most = values["size_limit"] or (2048 if transport is Transport.UDP else 8192)
    return SyslogOptions(
        transport=transport,
        host=host,
        port=port,
        path=path,
        format=Format(values["format"]),
        facility=values["facility"],
        app_name=values["app_name"],
        most=most,
        **trust,
    )


def _place(address: str | None, transport: Transport) -> tuple[Path | None, str, int]:
    if transport is Transport.UNIX:
        path = Path(address or "/dev/log")
        if not path.is_absolute() or len(str(path).encode()) > 100:
            raise Unfit("address: for the transport unix, write the whole path of a socket")
        return path, "", 0
    match = _ADDRESS.fullmatch(address or "")
    if match is None or not 1 <= int(match["port"]) <= 65_535:
        raise Unfit("address: write HOST:PORT, as in logs.example.com:6514")
    return None, match["six"] or match["host"], int(match["port"])


def _webhook(values: Mapping[str, Any], base: Path) -> SinkOptions:  # noqa: ARG001 - as above
    return WebhookOptions(
        url=values["url"], secret=values["secret"], batch=values["batch"], timeout=values["timeout"]
    )


def _otlp(values: Mapping[str, Any], base: Path) -> SinkOptions:  # noqa: ARG001 - as above
    return OtlpOptions(
        url=values["url"],
        headers=values["headers"] or {},
        batch=values["batch"],
        timeout=values["timeout"],
    )


_MAKERS: Final[Mapping[SinkKind, Callable[[Mapping[str, Any], Path], SinkOptions]]] = {
    SinkKind.FILE: _file,
    SinkKind.STDOUT: _stream,
    SinkKind.STDERR: _stream,
    SinkKind.SYSLOG: _syslog,
    SinkKind.WEBHOOK: _webhook,
    SinkKind.OTLP: _otlp,
}
