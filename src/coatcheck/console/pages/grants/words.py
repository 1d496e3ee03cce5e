"""How pages speak of grants: of what ended with them, and of how they stand."""

from __future__ import annotations

from typing import Final

from coatcheck.console.pages.grants.shapes import Standing
from coatcheck.console.web.rendering import plural, seconds
from coatcheck.operations.cutting import Open
from coatcheck.operations.registry.views import Ended

STANDINGS: Final = {
    Standing.LIVE: "live",
    Standing.UNCLAIMED: "unclaimed",
    Standing.EXPIRING: "expiring",
    Standing.NEVER_USED: "never used",
    Standing.IDLE: "not used for long",
    Standing.DISABLED: "owner disabled",
    Standing.REVOKED: "revoked",
    Standing.EXPIRED: "expired",
}


def ended_words(ended: Ended) -> str:
    """Return what an ending ended, as a sentence or two."""
    parts = _parts(ended.calls, ended.streams, ended.sessions)
    if not parts:
        return "Nothing was under way."
    late = f" {ended.left} of them had not said yet that they ended." if ended.left else ""
    return f"{parts} ended within {seconds(ended.seconds)}.{late}"


def open_words(open_now: Open) -> str:
    """Return what is under way, in words; empty for nothing."""
    return _parts(open_now.calls, open_now.streams, open_now.sessions)


def _parts(calls: int, streams: int, sessions: int) -> str:
    counted = [(calls, "call"), (streams, "stream"), (sessions, "session")]
    said = [plural(count, noun) for count, noun in counted if count]
    return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
