"""The report of an offboarding as a table and as a text, to be kept or sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from coatcheck.console.web.rendering import utc
from coatcheck.console.web.sheets import Cell
from coatcheck.operations.people.offboarding import Report
from coatcheck.operations.registry.views import GrantView

_HEAD: Final = ("part", "what", "name", "state", "when", "detail")
_ENDED: Final = "ended"
_TO_DO: Final = "to do"

Row = Sequence[Cell]


def rows_of(report: Report, now: datetime) -> Iterator[Row]:
    """Yield the rows of the report, a heading first."""
    subject, change = report.subject, report.change
    yield _HEAD
    yield "report", subject.kind.value, subject.name, _state(report), now, "made at"
    if change is not None:
        yield _ENDED, "subject", subject.name, change.action, change.at, _by(change.actor, change.because)
    for grant in report.grants:
        yield _ENDED, "grant", grant.label, grant.state.value, grant.revoked_at, _of_grant(grant)
    if report.cut is not None:
        ended = report.cut.ended
        for what, number in (
            ("calls cancelled", ended.calls),
            ("streams closed", ended.streams),
            ("sessions of clients ended", ended.sessions),
            ("browsers signed out", report.cut.browsers),
        ):
            yield _ENDED, what, str(number), "", change.at if change is not None else None, ""
    for grant in report.before:
        when = grant.revoked_at or grant.expires_at
        yield "ended before", "grant", grant.label, grant.state.value, when, _of_grant(grant)
    for grant in report.left:
        yield "kept", "grant", grant.label, grant.state.value, grant.issued_at, _of_grant(grant)
    yield from _leftovers(report)


def _leftovers(report: Report) -> Iterator[Row]:
    left = report.leftovers
    for credential in left.credentials:
        why = "owned by them" if credential.owns else "its value was given by them"
        where = f"; used by {', '.join(credential.servers)}" if credential.servers else ""
        yield _TO_DO, "credential", credential.name, "rotate", credential.made_at, why + where
    if left.operator is not None:
        yield _TO_DO, "operator", report.subject.name, "remove", None, f"can sign in as {left.operator.value}"
    for grant in left.issued:
        detail = f"of {grant.subject}; issued by them, who may have seen the token"
        yield _TO_DO, "grant", grant.label, "rotate", grant.issued_at, detail
    for server in left.servers:
        yield _TO_DO, "server", server, "find a new owner", None, "registered by them"
    for policy in left.policies:
        yield _TO_DO, "policy", policy, "look over", None, "last changed by them"
    for automation in left.automations:
        yield _TO_DO, "automation", automation, "find a new owner", None, "its note names them"
    if left.proxied:
        yield _TO_DO, "account", report.subject.name, "end", None, "at the identity provider of the proxy"


def text_of(report: Report, now: datetime) -> str:
    """Return the report as lines of text."""
    told = [f"Offboarding report: {_line(report.subject.name)}", f"Made at {utc(now)}", ""]
    part = ""
    rows = rows_of(report, now)
    next(rows)
    next(rows)
    for row in rows:
        if row[0] != part:
            part = str(row[0])
            told += ["", part.upper()]
        when = f" ({utc(row[4])})" if isinstance(row[4], datetime) else ""
        words = [_line(str(cell)) for cell in (row[1], row[2], row[3]) if cell]
        told.append(f"- {' · '.join(words)}{when}{': ' if row[5] else ''}{_line(str(row[5] or ''))}")
    return "\n".join(told) + "\n"


def _state(report: Report) -> str:
    return "disabled" if report.subject.disabled else "active"


def _of_grant(grant: GrantView) -> str:
    by = _by(grant.revoked_by, grant.because) if grant.revoked_at is not None else ""
    used = f"last used {utc(grant.last_used.at)}" if grant.last_used is not None else "never used"
    return f"{by}; {used}" if by else used


def _by(actor: str, because: str) -> str:
    return f"by {actor}" + (f", because: {because}" if because else "")


def _line(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())
