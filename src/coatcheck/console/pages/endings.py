"""How pages speak of what is under way, and of what was when a grant, a server or a person ended."""

from __future__ import annotations

from coatcheck.console.web.rendering import plural, seconds
from coatcheck.operations.cutting import Open
from coatcheck.operations.registry.views import Ended


def ended_words(ended: Ended, browsers: int = 0) -> str:
    """Return what an ending ended, in sentences; `browsers` were signed out by it."""
    parts = _parts(ended.calls, ended.streams, ended.sessions)
    said = [f"{parts} ended within {seconds(ended.seconds)}." if parts else "Nothing was under way."]
    if ended.left:
        they = "it" if ended.left == 1 else "they"
        said.append(f"{ended.left} of them had not said yet that {they} ended.")
    if browsers:
        said.append(f"{plural(browsers, 'browser')} {'was' if browsers == 1 else 'were'} signed out.")
    return " ".join(said)


def open_words(open_now: Open) -> str:
    """Return what is under way, in words; empty for nothing."""
    return _parts(open_now.calls, open_now.streams, open_now.sessions)


def _parts(calls: int, streams: int, sessions: int) -> str:
    counted = [(calls, "call"), (streams, "stream"), (sessions, "session")]
    said = [plural(count, noun) for count, noun in counted if count]
    return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
