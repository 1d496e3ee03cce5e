"""Probe pages by themselves: who sees details, and when the gateway calls itself ready."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coatcheck.admin.metrics import metrics_page
from coatcheck.admin.probes import Probes, Readiness
from coatcheck.core.wire.framing import Arrival
from coatcheck.model.record import Outcome
from coatcheck.operations.tally import Tally

READY = Readiness()
LOCAL = {"host": ("127.0.0.1:8080",)}


def arrival(path: str, *, method: str = "GET", address: str = "127.0.0.1", headers: Any = None) -> Arrival:
    return Arrival(method, path, LOCAL if headers is None else headers, address, address)


def probes(readiness: Readiness = READY) -> Probes:
    return Probes(lambda: readiness, lambda: {"pid": 7}, lambda: b"metrics")


@pytest.mark.parametrize(
    ("readiness", "status", "body"),
    [
        (Readiness(), 200, {"status": "ready"}),
        (Readiness((), ("a note",)), 200, {"status": "ready", "detail": ["a note"]}),
        (Readiness(("no disk",)), 503, {"status": "unready", "detail": ["no disk"]}),
        (Readiness(("no disk",), ("a note",)), 503, {"status": "unready", "detail": ["no disk", "a note"]}),
    ],
)
def test_ready_tells_this_machine_why(readiness: Readiness, status: int, body: dict[str, Any]) -> None:
    found, media, raw = probes(readiness).answer(arrival("/readyz"))
    assert (found, media, json.loads(raw)) == (status, b"application/json", body)
    assert probes(readiness).answer(arrival("/livez"))[0] == 200
    elsewhere = probes(readiness).answer(arrival("/readyz", address="192.0.2.1"))
    assert (elsewhere[0], json.loads(elsewhere[2]).keys()) == (status, {"status"})


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]", "[::1]:8080", "127.0.0.2:1"]
)
def test_details_for_this_machine(address: str, host: str) -> None:
    asked = arrival("/health", address=address, headers={"host": (host,)})
    assert json.loads(probes().answer(asked)[2]) == {"status": "ready", "pid": 7}


@pytest.mark.parametrize(
    ("address", "headers"),
    [("192.0.2.1", LOCAL), ("", LOCAL), ("unix", LOCAL), ("127.0.0.1", {}), ("127.0.0.1", {"host": ("example.com",)}), ("::2", LOCAL),
     ("127.0.0.1", {"host": ("localhost.example.com",)}), ("127.0.0.1", {**LOCAL, "origin": ("http://localhost",)}), ("10.0.0.1", LOCAL)],
)  # fmt: skip
def test_no_details_for_others(address: str, headers: dict[str, tuple[str, ...]]) -> None:
    assert json.loads(probes().answer(arrival("/health", address=address, headers=headers))[2]) == {
        "status": "ready"
    }
    assert probes().answer(arrival("/metrics", address=address, headers=headers))[0] == 404


def test_metrics_count_and_escape() -> None:
    tally = Tally()
    tally.settled("tools/call", Outcome.OK)
    tally.settled('odd"\n\\method', Outcome.TIMEOUT)
    tally.answered("mcp", 200)
    tally.refused("unknown")
    tally.misframed[400] += 2
    page = metrics_page(tally, lambda: {"sessions": ("Sessions.", 3)})().decode()
    for line in (
        'coatcheck_calls_total{method="tools/call",outcome="ok"} 1.0', 'coatcheck_calls_total{method="odd\\"\\n\\\\method",outcome="timeout"} 1.0',
        'coatcheck_requests_total{status="200",surface="mcp"} 1.0', 'coatcheck_refusals_total{reason="unknown"} 1.0',
        'coatcheck_misframed_total{status="400"} 2.0', "coatcheck_sessions 3.0",
    ):  # fmt: skip
        assert line in page.splitlines()
