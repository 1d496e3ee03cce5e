"""What one check found, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """`warn` lets the gateway do its work, `fail` does not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `detail` holds more lines, such as the last words of a failed server."""

    check: str
    status: Status
    message: str
    fix: str = ""
    detail: tuple[str, ...] = ()


def ok(check: str, message: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(check, Status.OK, message)


def warn(check: str, message: str, fix: str, detail: Sequence[str] = ()) -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(check, Status.WARN, message, fix, tuple(detail))


def fail(check: str, message: str, fix: str, detail: Sequence[str] = ()) -> Finding:
    """Return a finding that keeps the gateway, or a server, from working."""
    return Finding(check, Status.FAIL, message, fix, tuple(detail))


def next_step(findings: Sequence[Finding], otherwise: str) -> str:
    """Return the one thing to do now: the fix of the first failure, else of the first warning."""
    for status in (Status.FAIL, Status.WARN):
        for finding in findings:
            if finding.status is status and finding.fix:
                return finding.fix
    return otherwise
