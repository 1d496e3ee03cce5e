"""Reads durations and sizes as people write them: `30s`, `2m`, `4MiB`, or a plain number."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from coatcheck.declared.reading.problems import Unfit

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d|)")
_SECONDS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]{1,15}) ?(B|KiB|MiB|GiB|kB|KB|MB|GB|)")
_BYTES: Final = {
    "": 1,
    "B": 1,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
}


def seconds_of(value: Any, least: float, most: float) -> float:
    """Return a duration in seconds; a plain number counts seconds.

    Raises:
        Unfit: not a duration, or outside `least` to `most` seconds.
    """
    found = _number_of(value, _DURATION, _SECONDS)
    if found is None:
        raise Unfit("is not a duration", "write seconds as a number, or '30s', '2m', '1h'")
    if not least <= found <= most:
        raise Unfit(f"must be between {shown_seconds(least)} and {shown_seconds(most)}")
    return found


def bytes_of(value: Any, least: int, most: int) -> int:
    """Return a size in bytes; a plain number counts bytes.

    Raises:
        Unfit: not a size, or outside `least` to `most` bytes.
    """
    found = _number_of(value, _SIZE, _BYTES)
    if found is None or found != int(found):
        raise Unfit("is not a size", "write bytes as a number, or '64KiB', '4MiB'")
    if not least <= found <= most:
        raise Unfit(f"must be between {least} and {most} bytes")
    return int(found)


def count_of(value: Any, least: int, most: int) -> int:
    """Return a whole number.

    Raises:
        Unfit: not a whole number, or outside `least` to `most`.
    """
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unfit("is not a whole number")
    if not least <= value <= most:
        raise Unfit(f"must be between {least} and {most}")
    return value


def shown_seconds(seconds: float) -> str:
    """Return a duration in its largest whole unit, as `seconds_of` reads it."""
    for unit in ("d", "h", "m"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    return f"{seconds:.15g}s"


def _number_of(value: Any, shape: re.Pattern[str], units: dict[str, Any]) -> float | int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value if math.isfinite(value) else None
    if not isinstance(value, str) or (match := shape.fullmatch(value.strip())) is None:
        return None
    number = float(match[1]) if "." in match[1] else int(match[1])
    scaled: float | int = number * units[match[2]]
    return scaled
