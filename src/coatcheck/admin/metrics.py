"""Counters in the text format of Prometheus, read from plain tallies at the moment of asking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from coatcheck.operations.tally import Tally


class _Tallies(Collector):
    def __init__(self, tally: Tally, gauges: Callable[[], Mapping[str, tuple[str, float]]]) -> None:
        self._tally = tally
        self._gauges = gauges

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
        for name, (text, value) in self._gauges().items():
            yield GaugeMetricFamily(f"coatcheck_{name}", text, value=value)


def metrics_page(tally: Tally, gauges: Callable[[], Mapping[str, tuple[str, float]]]) -> Callable[[], bytes]:
    """Return a function that renders the metrics page. `gauges` maps names to (help, value)."""
    registry = CollectorRegistry()
    registry.register(_Tallies(tally, gauges))
    return lambda: generate_latest(registry)
