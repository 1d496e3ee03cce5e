"""Points in time as people write them: `10m`, `2h`, `7d` ago, or RFC 3339."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

_AGO: Final = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:\d\d)?)?", re.ASCII
)


def instant(text: str, now: Callable[[], datetime]) -> datetime:
    """Return the point in time that `text` names, in UTC. A time without an offset is UTC, a date its start.

    `now` is asked for an age only.

    Raises:
        ValueError: neither an age (`90s`, `10m`, `2h`, `7d`, `4w`) nor a date or time of RFC 3339.
    """
    if ago := _AGO.fullmatch(text):
        return _before(now(), timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
    if not _INSTANT.fullmatch(text):
        raise ValueError(text)
    moment = datetime.fromisoformat(text.upper())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _before(now: datetime, age: timedelta) -> datetime:
    try:
        return now - age
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
