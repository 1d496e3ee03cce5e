from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.backoff import NO_DEATHS, BackoffRules, after_death

RULES = BackoffRules()


def pauses(lives: list[float], gap: float) -> list[float]:
    """Return the pause after each of some deaths; each run starts when the pause before is over."""
    deaths, now, found = NO_DEATHS, 1000.0, []
    for lived in lives:
        now += lived + gap
        deaths = after_death(deaths, now, lived, RULES)
        found.append(round(deaths.pause_left(now), 6))
        now += found[-1]
    return found


def test_nothing_is_to_be_waited_for_before_the_first_death() -> None:
    assert NO_DEATHS.pause_left(0.0) == 0.0


def test_the_restart_after_a_healthy_run_is_due_at_once() -> None:
    assert pauses([10.0], 0) == [0.0]
    assert pauses([3600.0, 3600.0, 3600.0], 0) == [0.0, 0.0, 0.0]


def test_quick_deaths_in_a_row_double_the_pause_up_to_the_longest() -> None:
    assert pauses([0.0] * 8, gap=30.0) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_healthy_run_makes_it_all_good() -> None:
    assert pauses([0.0, 0.0, 0.0, 50.0, 0.0], gap=30.0) == [1, 2, 4, 0, 1]


def test_five_deaths_within_a_minute_bring_the_longest_pause() -> None:
    assert pauses([0.0] * 5, gap=0.1) == [1, 2, 4, 8, 60]
    assert pauses([11.0] * 5, gap=0.0) == [0, 0, 0, 0, 60]


def test_the_pause_runs_out() -> None:
    deaths = after_death(NO_DEATHS, 100.0, 0.0, RULES)
    assert [deaths.pause_left(now) for now in (100.0, 100.5, 101.0, 200.0)] == [1.0, 0.5, 0.0, 0.0]


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=50))
def test_the_pause_is_bounded_and_little_is_remembered(history: list[tuple[float, float]]) -> None:
    deaths, now = NO_DEATHS, 0.0
    for gap, lived in history:
        now += gap + lived
        deaths = after_death(deaths, now, lived, RULES)
        assert 0.0 <= deaths.pause_left(now) <= RULES.most + 1e-6
        assert len(deaths.times) <= RULES.many
