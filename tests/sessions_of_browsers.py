"""A browser session, filled in."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

from coatcheck.model.browser import BrowserSession, Way, Whose
from ledgers import START


def a_session(id: str = "a" * 12, **changes: Any) -> BrowserSession:
    session = BrowserSession(
        id,
        Whose.OPERATOR,
        "ann",
        Way.PASSWORD,
        "ab" * 32,
        START,
        START + timedelta(hours=12),
        START + timedelta(microseconds=1),
        START,
        "192.0.2.7",
        "caf\u00e9 browser",
    )
    return dataclasses.replace(session, **changes)
