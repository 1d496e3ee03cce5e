"""The pages that probes ask for: alive, ready, health and metrics. Details are for this machine only."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from coatcheck.core.wire import peers
from coatcheck.core.wire.framing import Arrival

_PORT: Final = re.compile(r":[0-9]*\Z")

Answer = tuple[int, bytes, bytes]
"""Status, media type and body."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether calls can be answered, and what an operator should know. `blocking` empty means ready."""

    blocking: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Probes:
    """Answers `/livez`, `/readyz`, `/health` and `/metrics`."""

    def __init__(
        self,
        readiness: Callable[[], Readiness],
        overview: Callable[[], Mapping[str, Any]],
        metrics: Callable[[], bytes],
    ) -> None:
        self._readiness = readiness
        self._overview = overview
        self._metrics = metrics

    def answer(self, arrival: Arrival) -> Answer:
        """Return the answer to one probe."""
        if arrival.method not in {"GET", "HEAD"}:
            return 405, b"application/json", b'{"error":"method_not_allowed"}'
        local = _is_local(arrival)
        if arrival.path == "/livez":
            return 200, b"application/json", b'{"status":"alive"}'
        if arrival.path == "/metrics":
            if not local:
                sentence = {"error": "not_found", "error_description": "Metrics are for this machine only."}
                return 404, b"application/json", json.dumps(sentence).encode()
            return 200, b"text/plain; version=0.0.4; charset=utf-8", self._metrics()
        return self._ready(local, everything=arrival.path == "/health")

    def _ready(self, local: bool, *, everything: bool) -> Answer:
        readiness = self._readiness()
        body: dict[str, Any] = {"status": "unready" if readiness.blocking else "ready"}
        if local:
            if readiness.blocking or readiness.notes:
                body["detail"] = [*readiness.blocking, *readiness.notes]
            if everything:
                body |= self._overview()
        return 503 if readiness.blocking else 200, b"application/json", json.dumps(body).encode()


def _is_local(arrival: Arrival) -> bool:
    """Tell whether the request was made on this machine and by no web page.

    A page can reach loopback through a rebound name, so the Host must be one of loopback's own.
    """
    plain = _PORT.sub("", arrival.headers.get("host", ("",))[0].strip()).strip("[]").lower()
    named_here = plain == "localhost" or peers.is_loopback(plain)
    return peers.is_loopback(arrival.address) and named_here and "origin" not in arrival.headers
