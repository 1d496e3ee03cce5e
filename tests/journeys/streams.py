"""Event streams byte by byte: opened with GET, by a slow request, or over the old HTTP+SSE transport."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from doubles.responses import Event
from journeys.peer import Exchange, text
from journeys.running import Hall, Session
from journeys.wire import Wire, frame, message

STREAM = {"Accept": "text/event-stream", "Content-Type": None, "Content-Length": None}

ELICIT = {"message": "Your name?", "requestedSchema": {"type": "object", "properties": {}}}


def asks(exchange: Exchange) -> None:
    """Do what a tool does that asks its client: the result is what the client answered, as text."""
    peer = exchange.peer
    before = peer.count("(reply)")
    exchange.stream()
    exchange.event({"id": "q", "method": "elicitation/create", "params": ELICIT})
    peer.until(lambda: peer.count("(reply)") > before)
    reply = next(one.message for one in reversed(peer.asked) if one.method == "(reply)")
    told: dict[str, Any] = {
        "id": reply["id"],
        **{key: reply[key] for key in ("result", "error") if key in reply},
    }
    exchange.event({"id": exchange.message["id"], "result": text(json.dumps(told))})


class Streamed(Wire):
    """A connection whose answer is an event stream."""

    headers: Mapping[str, str]

    def opened(self) -> int:
        """Read the head; return its status."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
        }
        return int(head[0].split(" ")[1])

    def block(self) -> dict[str, str] | None:
        """Read the fields of one event; None at the end of the stream."""
        while True:
            raw = self._until(b"\n\n")
            lines = [line.strip() for line in raw.decode().split("\n")]
            fields = {
                name: value.strip()
                for name, mark, value in (line.partition(":") for line in lines)
                if mark and name in {"id", "event", "data", "retry"}
            }
            if fields or not raw:
                return fields or None

    def next(self) -> Event:
        """Read one event, which must come."""
        fields = self.block()
        assert fields is not None, "the stream ended"
        retry, data = fields.get("retry"), fields.get("data")
        return Event(fields.get("id", ""), int(retry) if retry else None, json.loads(data) if data else None)

    def message(self) -> Any:
        """Read one event that has a message; return that."""
        while (event := self.next()).message is None:
            pass
        return event.message

    def is_over(self) -> bool:
        """Tell whether the stream ended as it should, with no further message but that lists changed."""
        rest = [line for line in self._until(b"0\r\n\r\n").split(b"\n") if line.startswith(b"data: {")]
        return all(b"/list_changed" in line for line in rest) and not self._buffer


def get(session: Session, **headers: str | None) -> Streamed:
    """Send GET in a session; the answer is not read yet."""
    wire = Streamed(session.hall.gateway.port)
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    fields = {**session.headers, **STREAM, **more}
    wire.send(frame(b"", path=session.path.encode(), verb=b"GET", headers=fields))
    return wire


def posted(session: Session, body: bytes) -> Streamed:
    """Send one message in a session; the answer is not read yet."""
    wire = Streamed(session.hall.gateway.port)
    wire.send(session.frame(body))
    return wire


class OldClient:
    """A client of the deprecated transport: one stream, and a POST for each message."""

    def __init__(self, hall: Hall, path: str = "/mcp/sse", grant: str | None = None) -> None:
        self.hall = hall
        self.bearer = {"Authorization": f"Bearer {grant or hall.grant}"}
        self.stream = Streamed(hall.gateway.port)
        self.stream.send(frame(b"", path=path.encode(), verb=b"GET", headers={**self.bearer, **STREAM}))
        assert self.stream.opened() == 200
        first = self.stream.block()
        assert first is not None
        assert first["event"] == "endpoint"
        self.endpoint = first["data"]

    def post(self, body: bytes, *, path: str | None = None, **headers: str | None) -> Any:
        """Send one message; return the HTTP answer."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        fields = {"Accept": "*/*", **self.bearer, **more}
        with Wire(self.hall.gateway.port) as wire:
            wire.send(frame(body, path=(path or self.endpoint).encode(), headers=fields))
            return wire.read()

    def say(self, method: str, params: dict[str, Any] | None = None, id: int | str | None = None) -> None:
        """Send a request, or a notification where there is no id."""
        body = message(method, params, id) if id is not None else message(method, params or {})
        if id is None:
            told = json.loads(body)
            del told["id"]
            body = json.dumps(told).encode()
        got = self.post(body)
        assert (got.status, got.body) == (202, b""), got

    def hear(self) -> Any:
        """Return the next message of the stream; that lists changed is passed over."""
        while "list_changed" in (heard := self.stream.message()).get("method", ""):
            pass
        return heard

    def ask(self, method: str, params: dict[str, Any] | None = None, id: int | str = 1) -> Any:
        """Send a request and return the next message, which is its answer."""
        self.say(method, params, id)
        heard = self.hear()
        assert heard["id"] == id
        return heard

    def open(self, version: str = "2024-11-05", **capabilities: Any) -> Any:
        """Shake hands."""
        opening = {
            "protocolVersion": version,
            "capabilities": capabilities,
            "clientInfo": {"name": "old", "version": "1"},
        }
        answer = self.ask("initialize", opening, 0)
        self.say("notifications/initialized")
        return answer

    def close(self) -> None:
        """Hang up."""
        self.stream.close()
