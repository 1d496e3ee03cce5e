"""Medians over rounds, and the order in which the targets take turns."""

from __future__ import annotations

import pytest

from bench.rows import COATCHECK, DIRECT, NGINX, TARGETS, Burst, Place, Row, added_us, in_turn, rows, times


def burst(p50: float, cpu: float = 10.0, rps: float = 1000.0) -> Burst:
    return Burst(rps=rps, p50_us=p50, p99_us=2 * p50, cpu_us_per_call=cpu, rss_mib=20.0, load_us=7.0)


def test_a_row_has_the_median_of_each_figure_by_itself() -> None:
    bursts = [
        burst(10.04, cpu=3.0, rps=5.0),
        burst(30.0, cpu=1.0, rps=4.0),
        burst(20.06, cpu=2.0, rps=6.0),
    ]
    (row,) = rows({Place(NGINX, "http", 16): bursts})
    assert row == Row(NGINX, "http", 16, rps=5.0, p50_us=20.1, p99_us=40.1, cpu_us_per_call=2.0, rss_mib=20.0)
    assert list(row.as_json()) == [
        "target",
        "case",
        "callers",
        "rps",
        "p50_us",
        "p99_us",
        "cpu_us_per_call",
        "rss_mib",
    ]


def test_rows_stand_by_case_as_measured_then_callers_then_target() -> None:
    places = [
        Place(COATCHECK, "stdio", 16),
        Place(COATCHECK, "http", 16),
        Place(NGINX, "http", 16),
        Place(DIRECT, "http", 16),
        Place(COATCHECK, "http", 1),
        Place(DIRECT, "stdio", 1),
    ]
    found = [(row.case, row.callers, row.target) for row in rows({place: [burst(1)] for place in places})]
    assert found == [
        ("stdio", 1, DIRECT),
        ("stdio", 16, COATCHECK),
        ("http", 1, COATCHECK),
        ("http", 16, DIRECT),
        ("http", 16, NGINX),
        ("http", 16, COATCHECK),
    ]


def test_what_is_added_is_the_median_of_the_differences_and_not_the_difference_of_the_medians() -> None:
    ours, direct = Place(COATCHECK, "http", 1), Place(DIRECT, "http", 1)
    measured = {
        ours: [burst(110, 40), burst(250, 60), burst(320, 90)],
        direct: [burst(100, 20), burst(200, 20), burst(310, 30)],
    }
    assert added_us(measured, ours, DIRECT) == 10
    assert times(measured, ours, DIRECT, lambda one: one.cpu_us_per_call) == 3
    assert added_us(measured, ours, NGINX) is None
    assert times(measured, ours, NGINX, lambda one: one.cpu_us_per_call) is None


@pytest.mark.parametrize("targets", [TARGETS, (DIRECT, COATCHECK), (COATCHECK,)])
def test_over_two_cycles_every_target_stands_in_every_place_as_often(targets: tuple[str, ...]) -> None:
    orders = [in_turn(targets, number) for number in range(2 * len(targets))]
    assert all(sorted(order) == sorted(targets) for order in orders)
    for position in range(len(targets)):
        assert sorted(order[position] for order in orders) == sorted(2 * targets)
    if len(targets) == 3:
        assert len({tuple(order) for order in orders}) == 6
