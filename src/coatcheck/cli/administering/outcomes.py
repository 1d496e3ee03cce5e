"""What came of ending something: how long it took and what was cut, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coatcheck.cli import show


def lasted(seconds: float) -> str:
    """Return a duration as people read it."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def counted(number: int, what: str) -> str:
    """Return a number of things, such as `1 call` or `2 calls`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def revoked_by(answer: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the labels of the grants that an ending revoked, and of those that were revoked before it."""
    ids = set(answer["revoked"])
    ended = [str(each["label"]) for each in answer["grants"] if each["id"] in ids]
    return ended, [str(each["label"]) for each in answer["grants"] if each["id"] not in ids]


def put_ended(answer: Mapping[str, Any], what: str, as_json: bool) -> None:
    """Print what was ended: `what` opens the line, such as `revoked alice-laptop`."""
    if as_json:
        show.put_json(answer)
        return
    cut = (
        f"{counted(int(answer['calls']), 'call')} cancelled, "
        f"{counted(int(answer['streams']), 'stream')} closed, "
        f"{counted(int(answer['sessions']), 'session')} ended"
    )
    if browsers := int(answer.get("browsers") or 0):
        cut += f", {counted(browsers, 'browser')} signed out"
    show.put(f"{what} in {lasted(float(answer['seconds']))}: {cut}")
    if left := int(answer.get("left") or 0):
        show.say(f"coatcheck: {counted(left, 'request')} did not end in time; but is cut off")
