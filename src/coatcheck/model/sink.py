"""Sinks: where copies of the ledger go, what is copied, and how far each has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from coatcheck.model.change import ChangeEntry
from coatcheck.model.record import RecordEntry
from coatcheck.model.secret import Secret


class SinkKind(StrEnum):
    """What a sink is."""

    FILE = "file"
    STDOUT = "stdout"
    STDERR = "stderr"
    SYSLOG = "syslog"
    WEBHOOK = "webhook"
    OTLP = "otlp"


class Format(StrEnum):
    """How an entry is written. `structured`: as the structured data of a syslog message."""

    JSON = "json"
    CEF = "cef"
    STRUCTURED = "structured"


class Transport(StrEnum):
    """How syslog messages travel: RFC 5426, RFC 6587 with counted octets, RFC 5425, or a unix datagram."""

    UNIX = "unix"
    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class Fsync(StrEnum):
    """When a file is brought to the disk: before the cursor moves, or when the system does it."""

    BATCH = "batch"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Trial:
    """What `coatcheck sink test` sends: an entry that stands for nothing."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Copy:
    """One entry for sinks. `seq` is its place in the ledger: records at their outcome, changes as made.

    A trial has 0. Places grow, though not by one.
    """

    seq: int
    of: RecordEntry | ChangeEntry | Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """A file. It is set aside beyond `rotate_bytes` or at the end of a day (UTC); `keep` older ones stay."""

    path: Path
    format: Format = Format.JSON
    rotate_bytes: int = 100 * 1024 * 1024
    rotate_daily: bool = True
    keep: int = 30
    fsync: Fsync = Fsync.BATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """Standard output or standard error."""

    format: Format = Format.JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogOptions:
    """A syslog receiver. `path` for unix datagrams, else `host` and `port`. `most` bytes for one message.

    `ca` holds the certificates to trust for TLS, the system's without it; `certificate` and `key` are ours.
    """

    transport: Transport
    host: str = ""
    port: int = 0
    path: Path | None = None
    format: Format = Format.JSON
    facility: int = 13
    app_name: str = "coatcheck"
    most: int = 8192
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """An HTTP receiver of signed batches. `secret` signs them."""

    url: Secret
    secret: Secret
    batch: int = 200
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpOptions:
    """A receiver of OpenTelemetry logs. `url` is whole, as in `https://collector:4318/v1/logs`."""

    url: Secret
    headers: Mapping[str, Secret] = field(default_factory=dict)
    batch: int = 200
    timeout: float = 10.0


SinkOptions = FileOptions | StreamOptions | SyslogOptions | WebhookOptions | OtlpOptions


@dataclass(frozen=True, slots=True)
class SinkRules:
    """A sink as declared. `from_start`: a new one gets what is in the ledger already, too."""

    name: str
    kind: SinkKind
    options: SinkOptions
    from_start: bool = False
    shown: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """The options as written, fit to be shown: secrets masked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkStatus:
    """How a sink does. `cursor`: everything up to it was delivered; `last` is the ledger's newest entry.

    `lag` counts the entries between, up to a limit; `oldest` is the time of the first of them. `error` says
    why nothing is delivered for now.
    """

    name: str
    kind: SinkKind
    cursor: int
    last: int
    lag: int
    delivered: int
    failures: int
    error: str = ""
    since: datetime | None = None
