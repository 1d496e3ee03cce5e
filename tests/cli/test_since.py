"""Ages and instants as `--since` takes them."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from coatcheck.cli.since import expiry, instant, local

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("10m", NOW - timedelta(minutes=10)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("4w", NOW - timedelta(weeks=4)),
        ("0m", NOW),
        ("999999w", datetime.min.replace(tzinfo=UTC)),
        ("2026-11-20T10:00:00Z", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20t10:00:00z", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20T10:00:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T10:00:00.250Z", datetime(2026, 11, 20, 10, 0, 0, 250000, tzinfo=UTC)),
        ("2026-11-20 10:00", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
    ],
)
def test_reads(text: str, expected: datetime) -> None:
    assert instant(text, lambda: NOW) == expected


@pytest.mark.parametrize(
    "text",
    ["", "10", "m", "-5m", "10y", "1h30m", "yesterday", "2026-13-01", "2026-11-20T25:00Z", "12:00", "٣m",
     "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+00:01", "0000-01-01"],
)  # fmt: skip
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        instant(text, lambda: NOW)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("never", None),
        ("90d", NOW + timedelta(days=90)),
        ("12h", NOW + timedelta(hours=12)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T08:00:00+02:00", datetime(2027, 1, 31, 6, tzinfo=UTC)),
    ],
)
def test_when_something_ends(text: str, ends: datetime | None) -> None:
    assert expiry(text, lambda: NOW) == ends


@pytest.mark.parametrize("text", ["soon", "-1d", "90", "999999w", "2027-13-01"])
def test_what_is_no_end(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$|^month"):
        expiry(text, lambda: NOW)


@pytest.mark.parametrize("time", [None, 5, "", "odd\nthing\x1b"])
def test_what_is_no_time_is_shown_on_one_line(time: object) -> None:
    assert "\n" not in local(time)


def test_the_last_time_that_there_is_is_shown_wherever_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert local("9999-12-31T23:59:59Z") == "9999-12-31T23:59:59Z"
        assert local("2026-11-21T15:00:00Z") == "2026-11-22 00:00:00"
    finally:
        monkeypatch.undo()
        time.tzset()
