"""Operators of every role at a running gateway, who ask its API over TCP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coatcheck.model.operator import OperatorRole
from journeys.running import Hall, hall_at
from journeys.wire import control


@dataclass(frozen=True)
class Told:
    """One answer of the API."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON value."""
        return json.loads(self.raw)

    @property
    def code(self) -> str:
        """The code of a problem, whose form is checked."""
        assert self.headers["content-type"] == "application/problem+json", self
        assert self.body["status"] == self.status
        return str(self.body["code"])

    @property
    def tag(self) -> dict[str, str]:
        """The header that an edit of what this shows must have."""
        return {"If-Match": self.headers["etag"]}


@dataclass
class Office:
    """A hall with an operator of every role."""

    hall: Hall
    tokens: dict[str, str] = field(default_factory=dict)

    def hire(self, name: str, role: str) -> str:
        """Invite an operator by the socket, let it log in over TCP, and return its token."""
        invited = self.locally("POST", "/operators", {"name": name, "role": role})
        logged = self.ask("POST", "/login", None, {"code": invited["code"]})
        assert logged.status == 200, logged
        assert logged.body["operator"]["name"] == name
        return str(logged.body["token"])

    def locally(self, method: str, path: str, body: Any = None, **query: str | int) -> Any:
        """Ask by the socket; return the JSON of a good answer."""
        raw = None if body is None else json.dumps(body).encode()
        socket = self.hall.gateway.directory / "coatcheck.sock"
        status, told = control(socket, method, f"/api/v1{path}", raw, **query)
        assert status in {200, 201}, told
        return told

    def ask(
        self, method: str, path: str, who: str | None = "admin", body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Told:  # fmt: skip
        """Ask over TCP as the operator of a role, or with a token itself; None: without."""
        token = {} if who is None else {"Authorization": f"Bearer {self.tokens.get(who, who)}"}
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        media = {} if raw is None else {"Content-Type": "application/json"}
        return self.raw(method, f"/api/v1{path}", raw, {**token, **media, **(headers or {})})

    def raw(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Told:
        """Send one request to the gateway's address."""
        connection = http.client.HTTPConnection("127.0.0.1", self.hall.gateway.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Told(
                answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
            )
        finally:
            connection.close()


@contextmanager
def office_at(
    directory: Path, declaration: dict[str, Any] | None = None, **settings: Any
) -> Iterator[Office]:
    """Run a gateway with an operator of every role."""
    with hall_at(directory, declaration, **settings) as hall:
        office = Office(hall)
        for role in OperatorRole:
            office.tokens[role.value] = office.hire(f"the-{role.value.replace('_', '-')}", role.value)
        yield office
