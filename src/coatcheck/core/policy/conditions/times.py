"""Times of the week in zones of the tz database, which is read when a policy is, and not for a call."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from coatcheck.model.policy import Day, TimeCondition

MINUTES_OF_DAY: Final = 1440
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\Z")
_DAYS: Final = tuple(Day)


def zone_of(name: str) -> tzinfo | None:
    """Return a zone by its name, or None if this machine does not know it."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        return None


def read_clock(text: str) -> int | None:
    """Return the minute of the day of `08:00`, up to `24:00`; None for anything else."""
    if text == "24:00":
        return MINUTES_OF_DAY
    found = _CLOCK.match(text)
    return int(found[1]) * 60 + int(found[2]) if found else None


def write_clock(minute: int) -> str:
    """Return a minute of the day as `read_clock` takes it."""
    return f"{minute // 60:02}:{minute % 60:02}"


def is_within(moment: datetime, condition: TimeCondition, zone: tzinfo) -> bool:
    """Tell whether a moment lies in a time of the week, by the clocks on the walls of the zone."""
    local = moment.astimezone(zone)
    minute, day = local.hour * 60 + local.minute, local.weekday()
    if condition.begin < condition.end:
        return condition.begin <= minute < condition.end and _is_of(condition, day)
    if minute >= condition.begin:
        return _is_of(condition, day)
    return minute < condition.end and _is_of(condition, (day - 1) % 7)


def _is_of(condition: TimeCondition, day: int) -> bool:
    return not condition.days or _DAYS[day] in condition.days
