"""What a server's refusal tells of its era and of its session, and what to try next: the tables.

Sources: MCP 2026-07-28 (versioning, backward compatibility), MCP 2025-11-25 (lifecycle, transports), and what
servers in use answer instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coatcheck.core.wire import eras, messages
from coatcheck.model.call import Fault
from coatcheck.model.era import LEGACY_VERSIONS, MODERN_VERSIONS

# --- the era -------------------------------------------------------------------------------------------


class Step(StrEnum):
    """What to send next."""

    DISCOVER = "server/discover"
    INITIALIZE = "initialize"
    NOTHING = ""


@dataclass(frozen=True, slots=True)
class Try:
    """The next step, at a version that the server named; None for our own choice."""

    step: Step
    version: str | None = None


TROUBLE: Final = frozenset({*range(300, 400), 401, 403, 408, 425, 429, 502, 503, 504})
"""Statuses that tell of a wrong address, of the credential or of a bad moment, and nothing of the era."""

WRONG_PLACE: Final = frozenset({400, 404, 405, 406, 410, 415, 422, 501})
"""Statuses of both openings after which a server may still speak the old HTTP+SSE transport."""


def after_discover(fault: Fault | None) -> Try:
    """Say what to try after `server/discover` got this error, or (None) nothing that is an answer.

    Any answer that a modern server would not give means a legacy one: -32601, -32000 "Server not
    initialized" with status 400, a page of HTML, an empty body.
    """
    if fault is None:
        return Try(Step.INITIALIZE)
    if fault.code in (eras.HEADER_MISMATCH, eras.MISSING_CAPABILITY):
        return Try(Step.NOTHING)
    if fault.code != eras.UNSUPPORTED_VERSION:
        return Try(Step.INITIALIZE)
    named = _versions_named(fault)
    modern, legacy = _first(MODERN_VERSIONS, named), _first(LEGACY_VERSIONS, named)
    if modern is not None:
        return Try(Step.DISCOVER, modern)
    return Try(Step.NOTHING) if named and legacy is None else Try(Step.INITIALIZE, legacy)


def after_initialize(fault: Fault | None, proposed: str) -> Try:
    """Say what to try after `initialize` for the `proposed` version got this error, or no answer.

    A strictly modern server says -32601, -32022 or -32602 for the `_meta` that is missing; a strict legacy
    one refuses a version with -32602 and names those that it speaks.
    """
    named = () if fault is None else _versions_named(fault)
    modern = _first(MODERN_VERSIONS, named)
    legacy = _first(LEGACY_VERSIONS, named)
    if modern is None and legacy is not None and legacy != proposed:
        return Try(Step.INITIALIZE, legacy)
    return Try(Step.DISCOVER, modern)


def is_of_modern_server(fault: Fault | None) -> bool:
    """Tell whether this error to `initialize` is the word of a strictly modern server."""
    return fault is not None and fault.code in (
        messages.METHOD_NOT_FOUND,
        eras.HEADER_MISMATCH,
        eras.MISSING_CAPABILITY,
        eras.UNSUPPORTED_VERSION,
    )


def _versions_named(fault: Fault) -> tuple[str, ...]:
    return eras.versions_supported(Fault(eras.UNSUPPORTED_VERSION, "", fault.data))


def _first(ours: tuple[str, ...], named: tuple[str, ...]) -> str | None:
    return next((version for version in ours if version in named), None)


# --- the session -----------------------------------------------------------------------------------------

_SESSION_CODES: Final = frozenset({-32000, -32001, messages.INVALID_REQUEST})
_WORDS: Final = re.compile(r"session|not initiali[sz]ed", re.IGNORECASE)
_LOST: Final = re.compile(
    rb"(?:unknown|invalid|expired|missing|no(?:t| (?:such|valid|active))).{0,40}session"
    rb"|session.{0,40}(?:not found|unknown|invalid|expired|terminated|closed|missing|required|does not exist)"
    rb"|not initiali[sz]ed",
    re.IGNORECASE | re.DOTALL,
)
_LOOKED_AT: Final = 1024


def is_session_lost(status: int, fault: Fault | None, body: bytes, *, ours: bool, session: bool) -> bool:
    """Tell a lost session or era from an answer. Whatever this is true for was not acted on.

    `fault` is the JSON-RPC error in the body, if it is one, and `ours` whether it has the id of our request;
    `session`: whether we sent the id of one. The specification wants 404 for a lost session; servers in use
    answer 400 with an error or a sentence of their own, and some 401. A server that was replaced by one of
    another era refuses the path, or the session.
    """
    if status == 401:
        return session and fault is None and _LOST.search(body[:_LOOKED_AT]) is not None
    if status not in (400, 404, 405, 410, 422):
        return False
    if fault is None:
        return status in (404, 405, 410) or (session and _LOST.search(body[:_LOOKED_AT]) is not None)
    if fault.code in _SESSION_CODES and _WORDS.search(fault.message):
        return True
    return status == 404 and not ours


# --- the stream for what belongs to no request -----------------------------------------------------------


class Refused(StrEnum):
    """What a refused stream means: there is none to be had, it may work later, the session is lost."""

    NONE = "none"
    LATER = "later"
    LOST = "lost"


MAY_PASS: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses that a stream may get now and not later. 409: the server has not noticed yet that we hung up."""


def after_stream_refused(status: int, *, lost: bool, opened: bool) -> Refused:
    """Say what a status other than an event stream means for a GET (405: the server offers none).

    `opened`: whether a stream was open in this session before. Servers without one answer 404 or 400 just as
    well, so at first these tell nothing of the session; `lost` is what `is_session_lost` says.
    """
    if opened and lost:
        return Refused.LOST
    if status in MAY_PASS or (opened and status in (401, 403)):
        return Refused.LATER
    return Refused.NONE
