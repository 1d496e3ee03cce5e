"""What is drawn of calls over time: the same numbers, in the same order, on every page."""

from __future__ import annotations

from datetime import datetime

from coatcheck.core.activity import Counts, Series


def counts(series: Series | None) -> list[tuple[datetime, list[int | None]]]:
    """Return what `counts_chart` draws: calls that went well, were refused and failed; None where not known.

    Empty where there were none, so that the page says so in place of a picture of zeros.
    """
    if series is None or not series.whole.calls:
        return []
    return [(one.at, _counted(one.counts)) for one in series.buckets]


def latency(series: Series | None) -> list[tuple[datetime, list[float | None]]]:
    """Return what `latency_chart` draws: milliseconds within which half of the calls ended, and 95 of 100."""
    if series is None or not series.whole.timed:
        return []
    return [(one.at, _timed(one.counts)) for one in series.buckets]


def _counted(known: Counts | None) -> list[int | None]:
    if known is None:
        return [None, None, None]
    return [known.calls - known.refused - known.failed, known.refused, known.failed]


def _timed(known: Counts | None) -> list[float | None]:
    return [None, None] if known is None else [_ms(known.p50), _ms(known.p95)]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1_000, 1)
