"""The load of the benchmarks: callers that each hold one connection and send `tools/call` of the modern era.

`python -m bench.load '<settings as JSON>'` runs one measurement in a process of its own and writes the
result as one JSON object. Closed loop: each caller sends its next call when the last was answered. Open
loop: calls come due at a steady rate whatever the answers do; one that finds its caller busy waits, and its
time counts from when it came due. An answer other than a result counts as a failure.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import cast

import httptools
import uvloop

META = (
    '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    '"io.modelcontextprotocol/clientCapabilities":{}}'
)


@dataclass(frozen=True)
class Settings:
    port: int
    path: str
    tool: str
    bearer: str
    callers: int
    seconds: float
    warm_up: float = 0.3
    rate: float = 0.0
    """Calls a second over all callers; 0 is a closed loop."""


@dataclass
class Tally:
    """What the callers saw after the warm-up, times in nanoseconds."""

    since: int = 0
    took: list[int] = field(default_factory=list)
    failed: int = 0
    example: str = ""
    all: int = 0
    """Answers with the warm-up's, for the CPU of each."""


class Caller(asyncio.Protocol):
    """One caller on one connection, one call at a time."""

    def __init__(self, settings: Settings, number: int, tally: Tally) -> None:
        self.settings = settings
        self.tally = tally
        self.parser = httptools.HttpResponseParser(self)
        self.body = bytearray()
        self.waiting: deque[int] = deque()
        self.began = 0
        self.stopped = False
        self.id = number * 10_000_000
        self.gone = asyncio.get_running_loop().create_future()
        self.head = (
            f"POST {settings.path} HTTP/1.1\r\nHost: 127.0.0.1:{settings.port}\r\n"
            f"Authorization: Bearer {settings.bearer}\r\nContent-Type: application/json\r\n"
            "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n"
            f"Mcp-Method: tools/call\r\nMcp-Name: {settings.tool}\r\nContent-Length: "
        ).encode()
        text = "words that a caller might send " * 4
        self.tail = (
            f',"method":"tools/call","params":{{"name":"{settings.tool}","arguments":{{"text":"{text}"}},{META}}}}}'
        ).encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop has transports of its own kind.
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, failure: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)

    def data_received(self, received: bytes) -> None:
        self.parser.feed_data(received)

    def on_message_begin(self) -> None:
        self.body.clear()

    def on_body(self, part: bytes) -> None:
        self.body += part

    def call(self, due: int) -> None:
        """Send a call that came due at `due`, or keep it until the one under way is answered."""
        if self.began:
            self.waiting.append(due)
            return
        self.began = due
        self.id += 1
        body = b'{"jsonrpc":"2.0","id":%d' % self.id + self.tail
        self.transport.write(self.head + b"%d\r\n\r\n" % len(body) + body)

    def on_message_complete(self) -> None:
        took = time.perf_counter_ns() - self.began
        self.tally.all += 1
        if self.began >= self.tally.since:
            if self.parser.get_status_code() == 200 and b'"isError":false' in self.body.replace(b" ", b""):
                self.tally.took.append(took)
            else:
                self.tally.failed += 1
                self.tally.example = f"{self.parser.get_status_code()} {bytes(self.body[:300])!r}"
        self.began = 0
        if self.stopped:
            self.transport.close()
        elif self.settings.rate == 0:
            self.call(time.perf_counter_ns())
        elif self.waiting:
            self.call(self.waiting.popleft())

    def stop(self) -> None:
        self.stopped = True
        if not self.began:
            self.transport.close()


async def measure(settings: Settings) -> dict[str, object]:
    """Run one measurement."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    callers = []
    for number in range(settings.callers):
        caller = Caller(settings, number, tally)
        await loop.create_connection(lambda made=caller: made, "127.0.0.1", settings.port)  # type: ignore[misc]
        callers.append(caller)
    began = time.perf_counter_ns()
    tally.since = began + int(settings.warm_up * 1e9)
    if settings.rate:
        await drive(settings, callers, began)
    else:
        for caller in callers:
            caller.call(time.perf_counter_ns())
        await asyncio.sleep(settings.warm_up + settings.seconds)
    ended = time.perf_counter_ns()
    lost = sum(caller.gone.done() for caller in callers)
    for caller in callers:
        caller.stop()
    await asyncio.wait([caller.gone for caller in callers], timeout=10)
    return summary(tally, (ended - tally.since) / 1e9, lost)


async def drive(settings: Settings, callers: list[Caller], began: int) -> None:
    """Let calls come due at a steady rate, spread over the callers in turn."""
    total = int(settings.rate * (settings.warm_up + settings.seconds))
    sent = 0
    while sent < total:
        now = time.perf_counter_ns()
        while sent < total and began + sent / settings.rate * 1e9 <= now:
            callers[sent % len(callers)].call(now)
            sent += 1
        await asyncio.sleep(max(0.0, (began + sent / settings.rate * 1e9 - time.perf_counter_ns()) / 1e9))


def summary(tally: Tally, seconds: float, lost: int) -> dict[str, object]:
    took = sorted(tally.took)
    return {
        "calls": len(took),
        "all_calls": tally.all,
        "failed": tally.failed + lost,
        "example": tally.example,
        "per_second": len(took) / seconds,
        "p50_us": percentile(took, 0.50),
        "p99_us": percentile(took, 0.99),
    }


def percentile(ordered: list[int], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e3 if ordered else float("nan")


def settings_text(settings: Settings) -> str:
    return json.dumps(asdict(settings))


if __name__ == "__main__":
    print(json.dumps(uvloop.run(measure(Settings(**json.loads(sys.argv[1]))))))
