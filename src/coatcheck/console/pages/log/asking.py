"""What is asked of the log: filters as they stand in the URL, read into what the record is searched by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from coatcheck.console.web.forms import BadField
from coatcheck.console.web.rendering import link
from coatcheck.console.web.words import OUTCOMES
from coatcheck.core.wire import peers
from coatcheck.model.record import Outcome, RecordFilter, Verdict

MAX_POSITION: Final = 2**53 - 1
FAILED: Final = "failed"
NOT_WELL: Final = "not_well"
NOT_ALLOWED: Final = "not_allowed"

DECISIONS: Final = (
    ("", "Any decision"),
    *((verdict.value, verdict.value.capitalize()) for verdict in Verdict),
    (NOT_ALLOWED, "All but allowed"),
)
ENDINGS: Final = (
    ("", "Any outcome"),
    (Outcome.OK.value, OUTCOMES[Outcome.OK].capitalize()),
    (FAILED, "Failed, though allowed"),
    (NOT_WELL, "Refused or failed"),
    *((one.value, OUTCOMES[one].capitalize()) for one in Outcome if one is not Outcome.OK),
)
TIMES: Final = (("", "Any time"), ("1h", "Last hour"), ("24h", "Last 24 hours"), ("7d", "Last 7 days"))

_AGE: Final = re.compile(r"([0-9]{1,5})\s*([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_NAMES: Final = {
    "subject": "person",
    "grant": "grant",
    "server": "server",
    "tool": "tool",
    "credential": "credential",
    "client": "client",
    "address": "address",
    "method": "method",
    "rule": "rule",
    "decision": "decision",
    "outcome": "outcome",
    "since": "since",
    "until": "before",
    "q": "text",
}
"""The parameters that stand for conditions, and what they are called where one can be taken off."""

_FOLDED: Final = ("subject", "grant", "tool", "credential", "client", "address", "method", "rule", "until")
"""Those that the log shows only to who looks for more."""

Position = Annotated[int, Meta(ge=0, le=MAX_POSITION)]


class Matching(Struct, kw_only=True):
    """Which calls; what is empty does not restrict. Times are ages such as `2h`, or dates, in UTC.

    `person` is another word for `subject`, `client_ip` for `address`; `errors` for an outcome.
    """

    q: str = ""
    subject: str = ""
    person: str = ""
    grant: str = ""
    server: str = ""
    tool: str = ""
    credential: str = ""
    client: str = ""
    address: str = ""
    client_ip: str = ""
    method: str = ""
    rule: str = ""
    decision: str = ""
    outcome: str = ""
    since: str = ""
    until: str = ""
    errors: bool = False


class LogQuery(Matching, kw_only=True):
    """The same, and the calls from before which position."""

    before: Position | None = None


class Terms:
    """The conditions of a query: each by its parameter, without those that do not restrict."""

    def __init__(self, query: Matching) -> None:
        said = {name: str(getattr(query, name)).strip() for name in _NAMES}
        said["subject"] = said["subject"] or query.person.strip()
        said["address"] = said["address"] or query.client_ip.strip()
        said["outcome"] = said["outcome"] or (NOT_WELL if query.errors else "")
        self.said: Mapping[str, str] = {name: text for name, text in said.items() if text}

    def of(self, name: str) -> str:
        """Return what is asked of one thing."""
        return self.said.get(name, "")

    def every(self) -> list[tuple[str, str, str]]:
        """Return of each condition its parameter, what it is called, and what is asked of it, if anything."""
        return [(name, called.capitalize(), self.of(name)) for name, called in _NAMES.items()]

    @property
    def more(self) -> bool:
        """Whether one of the conditions is asked that are folded away."""
        return any(name in self.said for name in _FOLDED)

    def href(self, path: str, **more: Any) -> str:
        """Return a path with the same conditions."""
        return link(path, **{**self.said, **more})

    def taken_off(self, path: str) -> list[tuple[str, str, str]]:
        """Return of each condition what it is called, what it says, and the path without it."""
        return [
            (_NAMES[name], text, link(path, **{one: said for one, said in self.said.items() if one != name}))
            for name, text in self.said.items()
        ]

    def wanted(self, now: datetime) -> RecordFilter:
        """Return what to search for.

        Raises:
            BadField: something that cannot be asked for.
        """
        since, until = moment_of("since", self.of("since"), now), moment_of("until", self.of("until"), now)
        if since is not None and until is not None and since >= until:
            raise BadField("until", "The time ends before it begins.")
        decision, outcome = self.of("decision"), self.of("outcome")
        name, _, number = self.of("credential").rpartition("@")
        version = int(number) if name and number.isdecimal() and len(number) < 10 else None
        return RecordFilter(
            server=self.said.get("server"),
            tool=self.said.get("tool"),
            subject=self.said.get("subject"),
            grant=self.said.get("grant"),
            credential=(name if version is not None else self.said.get("credential")),
            version=version,
            client=self.said.get("client"),
            client_ip=_address(self.of("address")),
            method=self.said.get("method"),
            rule=self.said.get("rule"),
            text=self.said.get("q"),
            since=since,
            until=until,
            decision=None if decision in {"", NOT_ALLOWED} else _one_of(Verdict, "decision", decision),
            outcome=None if outcome in {"", FAILED, NOT_WELL} else _one_of(Outcome, "outcome", outcome),
            not_allowed=decision == NOT_ALLOWED,
            failed=outcome == FAILED,
            errors=outcome == NOT_WELL,
        )


def moment_of(field: str, text: str, now: datetime) -> datetime | None:
    """Return the time that an age (`30m`, `2h`, `7d`, `4w`) or a date stands for; one without a zone is UTC.

    Raises:
        BadField: it is neither.
    """
    if not text:
        return None
    if (age := _AGE.fullmatch(text.lower())) is not None:
        return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadField(
            field, "Say an age such as 30m, 2h or 7d, or a time such as 2026-11-22 04:40."
        ) from None


def _address(text: str) -> str | None:
    if not text:
        return None
    try:
        return peers.asked(text)
    except ValueError:
        raise BadField("address", "That is no IP address.") from None


def _one_of(kind: Any, field: str, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        words = ", ".join(one.value for one in kind)
        raise BadField(field, f"{text!r} is none of {words}.") from None
