from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.idle import CallTimes, idle_after
from coatcheck.model.server import IdlePolicy


@pytest.mark.parametrize(
    ("calls", "seconds"), [(0, 60), (4, 60), (5, 180), (20, 180), (21, 300), (10_000, 300)]
)
def test_the_adaptive_policy_keeps_a_busy_server_longer(calls: int, seconds: float) -> None:
    assert idle_after(IdlePolicy(), calls) == seconds


@pytest.mark.parametrize(
    ("least", "most", "calls", "seconds"),
    [(90, 300, 0, 90), (60, 120, 10, 120), (60, 120, 100, 120), (1, 30, 0, 30), (400, 500, 100, 400)],
)
def test_it_stays_within_its_bounds(least: float, most: float, calls: int, seconds: float) -> None:
    assert idle_after(IdlePolicy(least=least, most=most), calls) == seconds


@given(st.integers(0, 1000))
def test_a_fixed_policy_is_what_it_says(calls: int) -> None:
    assert idle_after(IdlePolicy(adaptive=False, after=None), calls) is None
    assert idle_after(IdlePolicy(adaptive=False, after=30.0), calls) == 30.0


@given(st.lists(st.floats(0, 20_000)), st.floats(0, 20_000))
def test_calls_of_the_last_hour_are_counted_as_far_as_it_matters(times: list[float], now: float) -> None:
    calls = CallTimes()
    past = sorted(time for time in times if time <= now)
    for time in past:
        calls.add(time)
    assert calls.in_hour(now) == min(21, sum(1 for time in past if time > now - 3600))
