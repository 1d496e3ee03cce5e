"""Many callers in a loop over HTTP, each on a kept connection: what they were told, and what failed."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

CALLERS = 64
MODERN = "2026-07-28"
WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Made:
    """One call: when it began and ended on the monotonic clock, and the text that it was answered with."""

    began: float
    ended: float
    label: str


@dataclass
class Crowd:
    """Callers of one tool. `read` makes a label of the text of an answer.

    A call fails if it is answered by anything but the tool's result, or if that result is an error.
    """

    port: int
    grant: str
    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)
    read: Callable[[str], str] = str
    callers: int = CALLERS
    calls: list[Made] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def calling(self) -> Iterator[Crowd]:
        """Call from beginning to end of the block; each caller was answered once when it begins."""
        threads = [threading.Thread(target=self._loop, daemon=True) for _ in range(self.callers)]
        for thread in threads:
            thread.start()
        try:
            self.more()
            yield self
            self.more()
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join(WAIT_SECONDS)

    def more(self, count: int = 2 * CALLERS) -> None:
        """Return when so many more calls have ended."""
        wanted, limit = self.made() + count, time.monotonic() + WAIT_SECONDS
        while self.made() < wanted:
            if time.monotonic() > limit:
                raise TimeoutError("the callers get no answers")
            time.sleep(0.005)

    def until(self, label: str, least: int = CALLERS) -> None:
        """Return when so many calls that begin from now on were told this."""
        start = time.monotonic()
        while self.labels(start)[label] < least:
            if time.monotonic() > start + WAIT_SECONDS:
                raise TimeoutError(f"no calls are told {label}")
            time.sleep(0.01)

    def labels(self, since: float = 0.0) -> Counter[str]:
        """Count what calls were told that began since then."""
        return Counter(one.label for one in list(self.calls) if one.began >= since)

    def made(self) -> int:
        """Count the calls that have ended, well or not."""
        return len(self.calls) + len(self.failures)

    def kinds(self) -> set[str]:
        """Return how calls failed, each way once."""
        return set(self.failures)

    def _loop(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                label = self.read(ask(connection, self.grant, self.tool, self.arguments))
            except ValueError as error:
                self.failures.append(str(error))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                connection.close()
                self._stopped.wait(0.01)
            else:
                self.calls.append(Made(began, time.monotonic(), label))
        connection.close()


def ask(connection: http.client.HTTPConnection, grant: str, tool: str, arguments: dict[str, Any]) -> str:
    """Make one stateless call, and return the text of its result.

    Raises:
        OSError, http.client.HTTPException: there was no answer.
        ValueError: it was not a result, or one that is an error.
    """
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    headers = {
        "Authorization": f"Bearer {grant}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    connection.request("POST", "/mcp", json.dumps(body), headers)
    answer = connection.getresponse()
    raw = answer.read()
    found = json.loads(raw) if answer.status == 200 else {}
    result = found.get("result")
    if result is None or result.get("isError"):
        error = found.get("error", {})
        why = result["content"] if result else error.get("message") or raw[:200].decode("utf-8", "replace")
        raise ValueError(f"{answer.status} {error.get('code', '-')} {why}")
    return str(result["content"][0]["text"])
