"""Counters in the text format of Prometheus, read from plain tallies at the moment of asking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from coatcheck.model.sink import SinkStatus
from coatcheck.operations.tally import Tally

Gauges = Callable[[], Mapping[str, tuple[str, float]]]
"""Returns names with (help, value)."""


class _Tallies(Collector):
    def __init__(self, tally: Tally, gauges: Gauges, sinks: Callable[[], Sequence[SinkStatus]]) -> None:
        self._tally = tally
        self._gauges = gauges
        self._sinks = sinks

    def collect(self) -> Iterable[Metric]:
        """Yield one family for each tally."""
        requests = CounterMetricFamily(
            "coatcheck_requests", "HTTP requests answered.", labels=["surface", "status"]
        )
        for (surface, status), count in self._tally.requests.items():
            requests.add_metric([surface, str(status)], count)
        yield requests
        calls = CounterMetricFamily(
            "coatcheck_calls", "Requests on record, by how they ended.", labels=["method", "outcome"]
        )
        for (method, outcome), count in self._tally.calls.items():
            calls.add_metric([method, outcome], count)
        yield calls
        refusals = CounterMetricFamily(
            "coatcheck_refusals", "Callers that were not let in.", labels=["reason"]
        )
        for reason, count in self._tally.refusals.items():
            refusals.add_metric([reason], count)
        yield refusals
        misframed = CounterMetricFamily(
            "coatcheck_misframed", "Requests refused by their head alone.", labels=["status"]
        )
        for status, count in self._tally.misframed.items():
            misframed.add_metric([str(status)], count)
        yield misframed
        yield from _of_sinks(self._sinks())
        for name, (text, value) in self._gauges().items():
            yield GaugeMetricFamily(f"coatcheck_{name}", text, value=value)


def _of_sinks(statuses: Sequence[SinkStatus]) -> Iterable[Metric]:
    """Yield what is told of sinks: how far behind each is, what it was given, and what failed."""
    lag = GaugeMetricFamily("coatcheck_sink_lag", "Entries that a sink has not got.", labels=["sink"])
    failing = GaugeMetricFamily("coatcheck_sink_failing", "1 while a sink takes nothing.", labels=["sink"])
    delivered = CounterMetricFamily(
        "coatcheck_sink_delivered", "Entries delivered since the start.", labels=["sink"]
    )
    failures = CounterMetricFamily("coatcheck_sink_failures", "Deliveries that failed.", labels=["sink"])
    for status in statuses:
        lag.add_metric([status.name], status.lag)
        failing.add_metric([status.name], float(bool(status.error)))
        delivered.add_metric([status.name], status.delivered)
        failures.add_metric([status.name], status.failures)
    yield from (lag, failing, delivered, failures)


def metrics_page(
    tally: Tally, gauges: Gauges, sinks: Callable[[], Sequence[SinkStatus]] = tuple
) -> Callable[[], bytes]:
    """Return a function that renders the metrics page."""
    registry = CollectorRegistry()
    registry.register(_Tallies(tally, gauges, sinks))
    return lambda: generate_latest(registry)
