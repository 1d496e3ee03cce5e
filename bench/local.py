"""Asks a gateway's API on its own machine, as commands do."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any


class Local(http.client.HTTPConnection):
    """The API behind the socket of a data directory."""

    def __init__(self, path: Path, timeout: float = 120.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request; what is no success ends the run."""
        headers = {"Content-Type": "application/json"}
        self.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
        answer = self.getresponse()
        raw = answer.read()
        if answer.status not in {200, 201}:
            raise SystemExit(f"{method} {path} was answered {answer.status}: {raw[:300]!r}")
        return json.loads(raw)
