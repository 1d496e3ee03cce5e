"""The levels of log messages, and which of them a client asked for (MCP, logging; RFC 5424, 6.2.1)."""

from __future__ import annotations

from typing import Final

from coatcheck.core.wire import messages
from coatcheck.model.call import Notice

MESSAGE: Final = "notifications/message"
LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
"""From least to most severe."""
_SEVERITY: Final = {level: number for number, level in enumerate(LEVELS)}


def is_level(text: str | None) -> bool:
    """Tell whether the text names a level."""
    return text in _SEVERITY


def passes(notice: Notice, least: str) -> bool:
    """Tell whether a log message is at least as severe as `least`; one of no known level is not.

    Other notifications always pass.
    """
    if notice.method != MESSAGE:
        return True
    members = messages.members_of(notice.params) or {}
    level = _SEVERITY.get(messages.text_of(members.get("level")) or "")
    return level is not None and level >= _SEVERITY.get(least, len(LEVELS))
