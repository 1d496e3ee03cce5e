"""Durations, sizes and counts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.declared.reading.problems import Unfit
from coatcheck.declared.reading.units import bytes_of, count_of, seconds_of, shown_seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30s", 30),
        ("3m", 180),
        ("1h", 3600),
        ("2d", 172800),
        ("90", 90),
        (90, 90),
        (1.5, 1.5),
        ("1.5m", 90),
        ("500ms", 0.5),
    ],
)
def test_durations(value: Any, seconds: Any) -> None:
    assert seconds_of(value, 0, 1e6) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "s",
        "30 s x",
        "3 weeks",
        "-1s",
        "1e3",
        "0x10",
        "٣s",
        True,
        None,
        [],
        {},
        -1,
        float("nan"),
        float("inf"),
        "9" * 10,
    ],
)
def test_no_durations(value: Any) -> None:
    with pytest.raises(Unfit):
        seconds_of(value, 0, 1e6)


def test_bounds_are_told_in_words() -> None:
    with pytest.raises(Unfit, match="between 1s and 7d"):
        seconds_of("8d", 1, 7 * 86400)
    assert seconds_of("7d", 1, 7 * 86400) == 7 * 86400


@given(st.integers(0, 10**6))
def test_shown_durations_read_back(seconds: Any) -> None:
    assert seconds_of(shown_seconds(seconds), 0, 10**7) == seconds


@pytest.mark.parametrize(
    ("value", "size"), [("4MiB", 4194304), ("64 KiB", 65536), (10, 10), ("10", 10), ("1MB", 10**6), ("5B", 5)]
)
def test_sizes(value: Any, size: Any) -> None:
    assert bytes_of(value, 0, 2**40) == size


@pytest.mark.parametrize(
    "value", ["", "4 mib", "4M", "1.5MiB", 1.5, -1, True, None, float("nan"), float("inf"), "MiB"]
)
def test_no_sizes(value: Any) -> None:
    with pytest.raises(Unfit):
        bytes_of(value, 0, 2**40)


@pytest.mark.parametrize("value", ["", "x", "1.0", 1.0, True, None, 0, 11, "-1", "+1", "٣"])
def test_no_counts(value: Any) -> None:
    assert count_of("3", 1, 10) == count_of(3, 1, 10) == 3
    with pytest.raises(Unfit):
        count_of(value, 1, 10)
