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
        ValueError: neither an age (`90s`, `10m`, `2h`, `7d`, `4w`) nor a date or time of RFC 3339; or in UTC
            it is not within the years 1 to 9999.
    """
    if ago := _AGO.fullmatch(text):
        return _before(now(), timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
    if not _INSTANT.fullmatch(text):
        raise ValueError(text)
    moment = datetime.fromisoformat(text.upper())
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(text) from None


def _before(now: datetime, age: timedelta) -> datetime:
    try:
        return now - age
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def expiry(text: str, now: Callable[[], datetime]) -> datetime | None:
    """Return when something ends, in UTC: after an age (`12h`, `90d`), at a date or time; None for `never`.

    `now` is asked for an age only.

    Raises:
        ValueError: none of these.
    """
    if text == "never":
        return None
    if not (ahead := _AGO.fullmatch(text)):
        return instant(text, now)
    try:
        return now() + timedelta(**{_UNITS[ahead[2]]: int(ahead[1])})
    except OverflowError:
        raise ValueError(text) from None


def written(moment: datetime) -> str:
    """Return a point in time as the API takes it: RFC 3339, in UTC."""
    return moment.isoformat().replace("+00:00", "Z")


def local(time: object) -> str:
    """Return a time of an answer to the second in the reader's own zone; empty for none."""
    if not isinstance(time, str):
        return ""
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):  # the latter for a time at the end of the year 9999
        return " ".join(time.split())


def system_now() -> datetime:
    """Return the time of this machine."""
    from coatcheck.app.real import SystemClock  # heavy, and only an age needs it

    return SystemClock().now()
