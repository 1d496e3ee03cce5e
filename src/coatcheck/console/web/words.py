"""The words for what the record has codes for: how calls end, why callers are refused, what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from coatcheck.model.record import Outcome

OUTCOMES: Final[Mapping[str, str]] = {
    Outcome.OK: "ok",
    Outcome.TOOL_ERROR: "the tool said no",
    Outcome.UPSTREAM_ERROR: "the server failed",
    Outcome.TIMEOUT: "no answer in time",
    Outcome.CANCELLED: "cancelled",
    Outcome.DENIED: "denied",
    Outcome.UNKNOWN: "not known",
}

REASONS: Final[Mapping[str, str]] = {
    "revoked": "a grant that was revoked",
    "expired": "a grant whose time is over",
    "rotated": "a token that was rotated away",
    "disabled": "a grant of somebody who is disabled",
    "uncertain": "a grant that may have been revoked: rows of the store are missing",
    "unknown": "a token that nobody has",
    "missing": "no token at all",
    "malformed": "what is no token",
    "empty": "an empty token",
    "foreign": "a token of something else",
    "throttled": "too many wrong tokens",
    "sign_in": "a wrong password or link, at the console",
    "bad_forwarded_subject": "a name that no proxy may say",
    "bad_host": "a host that is not the gateway's",
    "bad_origin": "a page that is not the gateway's",
}
"""Why a caller was refused, as what it presented."""

DETAILS: Final[Mapping[str, str]] = {
    "upstream": "the server failed",
    "upstream_unreachable": "the server could not be reached",
    "upstream_forbidden": "its address is one that is never dialled",
    "upstream_lost": "the connection ended before the answer",
    "upstream_bad_reply": "what came back was no answer",
    "upstream_credential_refused": "the server refused the credential",
    "authorization_refused": "the authorization server said no",
    "upstream_timeout": "no answer in time",
    "busy": "more calls at once than the limit",
    "quarantined": "held back until an operator has looked at it",
}
"""What there is to say about an outcome; a code can have more behind a colon."""


KINDS: Final[Mapping[str, str]] = {"subject": "person", "config": "configuration"}
"""What kinds of objects are called, where it is not by their own word."""

ACTIONS: Final[Mapping[str, str]] = {
    "config.start": "start of the gateway",
    "operator.login": "login of operator",
    "record.accept": "accept the record",
    "record.blast_radius": "look up what was touched",
    "record.evidence": "take evidence",
    "record.export": "export of the record",
    "record.read": "read the record",
    "record.read_arguments": "read arguments",
}


def kind_in_words(kind: str) -> str:
    """Return what a kind of object is called."""
    return KINDS.get(kind, kind)


def action_in_words(action: str) -> str:
    """Return what was done: `grant.issue` as `issue grant`."""
    kind, _, verb = action.partition(".")
    words = f"{verb.replace('_', ' ')} {kind_in_words(kind)}" if verb else action
    return ACTIONS.get(action, words)


def outcome_in_words(outcome: str) -> str:
    """Return how a call ended; of one that is under way, the outcome is empty."""
    return OUTCOMES.get(outcome, outcome.replace("_", " ")) if outcome else "under way"


def reason_in_words(text: str) -> str:
    """Return why, in words where the record has a code; what is said in words already stays."""
    code, colon, more = text.partition(": ")
    words = REASONS.get(code) if not colon else None
    words = words or DETAILS.get(code)
    return text if words is None else words + colon + more
