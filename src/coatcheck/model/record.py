"""One entry of the record: what was asked before the server was reached, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class Verdict(StrEnum):
    """The `decision` of a record. `refused` is a caller that was never identified."""

    ALLOWED = "allowed"
    DENIED = "denied"
    HIDDEN = "hidden"
    REFUSED = "refused"


class Outcome(StrEnum):
    """How a recorded request ended. `unknown`: the gateway stopped before it could tell."""

    OK = "ok"
    TOOL_ERROR = "tool_error"
    UPSTREAM_ERROR = "upstream_error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    DENIED = "denied"
    UNKNOWN = "unknown"


class Record(msgspec.Struct, frozen=True):
    """What is durable before a server sees a byte. Times are UTC; absent text is the empty string.

    `arguments` is JSON: the keys and sizes of a call's arguments. `argument_prints` is JSON as well: a keyed
    print for each value in them, by its JSON Pointer. `argument_values` are the arguments themselves, sealed,
    if `audit.log_arguments` asks for them. `repeats` counts further refusals folded into this record.
    `request_id` is the JSON-RPC id as the client wrote it, cut where it is long. `credentials` are those in
    the server's reach when it was asked, as `name@version`; what was really used is in the settlement.
    `charges` is JSON: what the call took of the limits of policies, to count on from there after a restart.
    """

    id: UUID
    at: datetime
    subject: str
    grant_id: str
    grant_label: str
    route: str
    server: str
    method: str
    tool: str
    decision: Verdict
    rule: str
    reason: str
    client_ip: str
    client_name: str
    client_version: str = ""
    arguments: str = ""
    repeats: int = 1
    request_id: str = ""
    replica: str = ""
    roles: tuple[str, ...] = ()
    policy: str = ""
    policy_version: str = ""
    credentials: tuple[str, ...] = ()
    argument_prints: str = ""
    argument_values: str = ""
    charges: str = ""


class Settlement(msgspec.Struct, frozen=True):
    """How a recorded request ended, durable before the caller hears of it. `seconds` is the whole time.

    The rest is about the server alone, as far as the request got: the credentials that it was given, as
    `name@version`; its HTTP status, where it has one; the bytes of the message that it was sent and of the
    result or error that it gave; and the seconds that it took.
    """

    record_id: UUID
    at: datetime
    outcome: Outcome
    seconds: float
    detail: str = ""
    credentials: tuple[str, ...] = ()
    upstream_status: int | None = None
    request_bytes: int = 0
    answer_bytes: int = 0
    upstream_seconds: float = 0.0


class Receipt(msgspec.Struct, frozen=True):
    """What tells an entry of the ledger from every other: its number, and its hash of 32 bytes."""

    seq: int
    hash: bytes


KNOCKING = frozenset({"revoked", "expired", "rotated", "disabled"})
"""Reasons of refusals by which whoever knocks presents what once was good."""


SEARCHED = (
    "subject",
    "grant_label",
    "server",
    "tool",
    "method",
    "rule",
    "reason",
    "client_name",
    "client_ip",
)
"""The fields of a record that `RecordFilter.text` is looked for in, beside the detail of its outcome."""


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """What `coatcheck logs` asks for. None or False does not restrict; `limit` counts the newest entries.

    `grant` is an id or a label, `credential` a name, of which `version` is one version. `since` is the first
    time and `until` the one after the last. `errors` keeps everything that did not end well, `knocking` what
    was refused since its grant had ended (`KNOCKING`); `failed` what was allowed and did not end well,
    `not_allowed` the rest of `errors`. `client` is the name that a client gives itself, `text` a part of any
    of `SEARCHED`, letters of ASCII in either case. `after` and `before` are positions returned with entries;
    `before` is for lists only.
    """

    server: str | None = None
    tool: str | None = None
    subject: str | None = None
    decision: Verdict | None = None
    since: datetime | None = None
    errors: bool = False
    knocking: bool = False
    limit: int = 100
    after: int | None = None
    before: int | None = None
    grant: str | None = None
    credential: str | None = None
    version: int | None = None
    outcome: Outcome | None = None
    rule: str | None = None
    client_ip: str | None = None
    method: str | None = None
    until: datetime | None = None
    client: str | None = None
    text: str | None = None
    failed: bool = False
    not_allowed: bool = False


class RecordEntry(msgspec.Struct, frozen=True):
    """A record as read back, with its settlement once there is one. `position` grows with time."""

    position: int
    record: Record
    settlement: Settlement | None
