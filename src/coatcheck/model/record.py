"""One entry of the record: what was asked before the server was reached, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


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


@dataclass(frozen=True, slots=True)
class Record:
    """What is durable before a server sees a byte. Times are UTC; absent text is the empty string.

    `arguments` is JSON: the keys and sizes of a call's arguments, or the arguments themselves if
    `audit.log_arguments` asks for them. `repeats` counts further refusals folded into this record.
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


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a recorded request ended, durable before the caller hears of it. `seconds` is the whole time."""

    record_id: UUID
    at: datetime
    outcome: Outcome
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """What `coatcheck logs` asks for. None or False does not restrict; `limit` counts the newest entries.

    `errors` keeps everything that did not end well. `after` and `before` are positions returned with entries;
    `before` is for lists only.
    """

    server: str | None = None
    tool: str | None = None
    subject: str | None = None
    decision: Verdict | None = None
    since: datetime | None = None
    errors: bool = False
    limit: int = 100
    after: int | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """A record as read back, with its settlement once there is one. `position` grows with time."""

    position: int
    record: Record
    settlement: Settlement | None
