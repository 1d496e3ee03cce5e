"""The page that a run writes."""

from __future__ import annotations

import re
from dataclasses import replace

from bench.cases import DURABLE_RATE, STEADY_RATE
from bench.page import Report, page
from bench.rows import COATCHECK, DIRECT, NGINX, RULED, UNSYNCED, UNWAITED, Burst, Place
from bench.tables import table
from bench.words import SECTIONS


def burst(p50: float, cpu: float = 10.0, load: float = 5.0) -> Burst:
    return Burst(1234.5, p50, 2 * p50, cpu, 20.4, load)


WHOLE = Report(
    "make bench ROUNDS=2",
    {"machine": "2 x Something", "load before, after": "0.00, 1.00"},
    {"memory then": "66 MiB"},
    {
        Place(DIRECT, "http", 1): [burst(100), burst(120)],
        Place(NGINX, "http", 1): [burst(200), burst(220)],
        Place(COATCHECK, "http", 1): [burst(1100, 40), burst(1120, 40)],
        Place(DIRECT, "stdio", 64): [burst(50, load=405.0), burst(50)],
        Place(COATCHECK, "stdio", 64): [burst(75), burst(75)],
        Place(DIRECT, "steady", 16): [burst(1), burst(1)],
        Place(COATCHECK, "steady", 16): [burst(1), burst(1)],
        Place(COATCHECK, "all", 16): [burst(1), burst(1)],
        Place(COATCHECK, "durable", 16): [burst(900), burst(1100)],
        Place(UNSYNCED, "durable", 16): [burst(700), burst(900)],
        Place(UNWAITED, "durable", 16): [burst(400), burst(500)],
        Place(COATCHECK, "policies", 1): [burst(500, 100), burst(500, 100)],
        Place(RULED, "policies", 1): [burst(520, 110), burst(540, 112)],
    },
    decided={"no policy": 2.0, "200 rules, the last for the tool": 12.5},
)


def lines(text: str) -> list[str]:
    """Return the lines with blanks only where words are parted."""
    return [re.sub(r" +", " ", line) for line in text.splitlines()]


def test_the_page_names_its_command_and_the_machine() -> None:
    text = page(WHOLE)
    assert "Written by `make bench ROUNDS=2`" in text
    assert "| machine | 2 x Something |" in lines(text)
    assert "| load before, after | 0.00, 1.00 |" in lines(text)
    assert "| memory then | 66 MiB |" in lines(text)
    assert "{" not in text


def test_each_place_has_its_line_and_coatcheck_stands_beside_the_others() -> None:
    found = lines(page(WHOLE))
    assert "| 1 | direct | 1,234 | 110 | 220 | 10.0 | 20 |" in found
    assert "| 1 | nginx | 1,234 | 210 | 420 | 10.0 | 20 |" in found
    assert "| 1 | coatcheck | 1,234 | 1,110 | 2,220 | 40.0 | 20 |" in found
    assert "| 1 | 1,000 µs | 900 µs | 5.3 times | 4.0 times |" in found
    assert "| callers | p50 added to direct |" in found
    assert "| 64 | 25 µs |" in found


def test_what_durable_records_add_stands_beside_gateways_without() -> None:
    found = lines(page(WHOLE))
    assert "| callers | p50 added to unsynced | p50 added to unwaited | calls/s beside unwaited |" in found
    assert "| 16 | 200 µs | 550 µs | 1.00 times |" in found


def test_what_a_policy_adds_stands_beside_a_gateway_without_and_one_decision_by_itself() -> None:
    found = lines(page(WHOLE))
    assert "| callers | p50 added to coatcheck | CPU beside coatcheck |" in found
    assert "| 1 | 30 µs | 1.11 times |" in found
    assert "| 200 rules, the last for the tool | 12.5 | 80,000 |" in found


def test_the_load_says_what_it_cost_where_it_was_busiest() -> None:
    assert (
        "The load itself used at most 50% of one core (405.0 µs a call: direct, stdio, 64 callers)."
        in page(WHOLE)
    )


def test_an_nginx_that_is_missing_is_told_with_its_install_line_in_each_case_over_http() -> None:
    assert "missing" not in page(WHOLE)
    without = {place: bursts for place, bursts in WHOLE.measured.items() if place.target != NGINX}
    found = lines(page(replace(WHOLE, measured=without, nginx_missing="apt-get install it")))
    missing = [line for line in found if "missing" in line]
    assert missing == [
        f"| {callers} | nginx is missing: `apt-get install it` | - | - | - | - | - |" for callers in (1, 16)
    ]
    assert "| 1 | 1,000 µs |" in found


def test_the_page_names_the_rate_that_is_sent() -> None:
    assert f"A steady {STEADY_RATE:.0f} calls a second" in SECTIONS["steady"]
    assert f"a steady {DURABLE_RATE:,.0f} calls a second" in SECTIONS["durable"]


def test_tables_are_padded_figures_to_the_right_and_columns_that_say_nothing_left_out() -> None:
    assert list(table(("name", "µs", "none"), [("a", "1,000", "-"), ("long name", "-", "-")])) == [
        "| name      |    µs |",
        "| --------- | ----: |",
        "| a         | 1,000 |",
        "| long name |     - |",
    ]
    assert list(table(("", ""), [("a", "1")])) == ["|     |     |", "| --- | --- |", "| a   | 1   |"]
