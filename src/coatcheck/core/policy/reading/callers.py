"""Reads conditions on who calls, from where and when."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Final, TypeVar

from coatcheck.core.policy.conditions.times import MINUTES_OF_DAY, read_clock, zone_of
from coatcheck.core.policy.reading.place import MAX_ITEMS, Place
from coatcheck.model.policy import AddressCondition, Day, TimeCondition

MAX_NAME: Final = 256
Read = TypeVar("Read")


def _one_or_more(place: Place, read: Callable[[Place], Read | None]) -> tuple[Read, ...]:
    places = [place] if isinstance(place.value, str) else place.items(MAX_ITEMS) or []
    return tuple(found for found in map(read, places) if found is not None)


def read_names(place: Place) -> tuple[str, ...]:
    """Return one glob or a list of them."""
    return _one_or_more(place, lambda item: item.line(MAX_NAME))


def read_address(place: Place) -> AddressCondition:
    """Return one network or a list of them."""
    return AddressCondition(_one_or_more(place, _read_network))


def _read_network(place: Place) -> str | None:
    text = place.line(64)
    try:
        return str(ip_network(text)) if text is not None else None
    except ValueError:
        place.problem("must be an address or a network such as 10.0.0.0/8, with no bits beside its prefix")
        return None


def read_time(place: Place) -> TimeCondition | None:
    """Return a time of the week."""
    keys = place.keys(("days", "from", "to", "zone"))
    if keys is None:
        return None
    if "zone" not in keys:
        place.missing("zone", 'add "zone": "UTC", or one such as "Europe/Berlin"')
    if ("from" in keys) != ("to" in keys):
        place.problem("from and to go together", 'write both, "00:00" and "24:00" for the ends of the day')
    if not {"days", "from"} & keys.keys():
        place.missing("days and no from", "say when it is, or leave the condition out")
    zone = _read_zone(keys["zone"]) if "zone" in keys else None
    days = _one_or_more(keys["days"], lambda item: item.word(Day)) if "days" in keys else ()
    begin = _read_clock(keys["from"]) if "from" in keys else 0
    end = _read_clock(keys["to"]) if "to" in keys else MINUTES_OF_DAY
    if begin is None or end is None or zone is None:
        return None
    if begin in (end, MINUTES_OF_DAY):
        place.problem("the time is empty", "leave from and to out for the whole day")
    return TimeCondition(zone, tuple(day for day in Day if day in days), begin, end)


def _read_clock(place: Place) -> int | None:
    if not isinstance(place.value, str):
        place.problem("must be a time of day in quotes", 'write it as in "08:30"')
        return None
    found = read_clock(place.value)
    if found is None:
        place.problem("must be a time of day", 'write it as in "08:30", up to "24:00"')
    return found


def _read_zone(place: Place) -> str | None:
    text = place.line(64)
    if text is not None and zone_of(text) is None:
        fix = 'write one such as "Europe/Berlin"; if it is one, install the tz database (the package tzdata)'
        place.problem("is no zone of the tz database", fix)
        return None
    return text
