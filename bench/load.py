"""The load of the benchmarks: callers that each hold one connection and send `tools/call` of the modern era.

`python -m bench.load '<settings as JSON>'` runs one measurement in a process of its own and writes the
result as one JSON object. Closed loop: each caller sends its next call when the last was answered. Open
loop: calls come due at a steady rate whatever the answers do; one that finds its caller busy waits, and its
time counts from when it came due. Anything other than the result asked for counts as a failure.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

from bench.calls import BEFORE_ID, FIRST_ID, IDS_PER_CALLER, after_id, headers, is_answered, length
from bench.heads import Framing, Heads
from bench.tally import Tally


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


class Caller(asyncio.Protocol):
    """One caller on one connection, one call at a time."""

    def __init__(self, settings: Settings, number: int, tally: Tally, heads: Heads) -> None:
        self.closed_loop = settings.rate == 0
        self.tally = tally
        self.heads = heads
        self.received = b""
        self.waiting: deque[int] = deque()
        self.began = 0
        self.stopped = False
        self.id = FIRST_ID + number * IDS_PER_CALLER
        self.gone = asyncio.get_running_loop().create_future()
        self.before = request_head(settings) + BEFORE_ID
        self.after = after_id(settings.tool)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop has transports of its own kind.
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, failure: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)

    def call(self, due: int) -> None:
        """Send a call that came due at `due`, or keep it until the one under way is answered."""
        if self.began:
            self.waiting.append(due)
            return
        self.began = due
        self.id += 1
        self.transport.write(self.before + b"%d" % self.id + self.after)

    def data_received(self, received: bytes) -> None:
        """Take one answer, whole or in parts. There is never more than one: each call waits for the last."""
        if self.received:
            received = self.received + received
        framing = self.heads.read(received)
        if framing is None or len(received) < framing.whole:
            self.received = received
            return
        self.received = b""
        self.judge(framing, received)
        self.began = 0
        if self.stopped:
            self.transport.close()
        elif self.closed_loop:
            self.call(time.perf_counter_ns())
        elif self.waiting:
            self.call(self.waiting.popleft())

    def judge(self, framing: Framing, answer: bytes) -> None:
        fine = framing.status == 200 and len(answer) == framing.whole and is_answered(answer, self.id)
        self.tally.count(self.began, time.perf_counter_ns(), None if fine else answer)

    def stop(self) -> None:
        self.stopped = True
        if not self.began:
            self.transport.close()


def request_head(settings: Settings) -> bytes:
    lines = [f"POST {settings.path} HTTP/1.1", f"Host: 127.0.0.1:{settings.port}"]
    lines += [f"{name}: {text}" for name, text in headers(settings.tool, settings.bearer).items()]
    lines += [f"Content-Length: {length(settings.tool)}", "", ""]
    return "\r\n".join(lines).encode()


async def measure(settings: Settings) -> dict[str, object]:
    """Run one measurement."""
    loop = asyncio.get_running_loop()
    tally, heads = Tally(), Heads()
    callers = []
    for number in range(settings.callers):
        caller = Caller(settings, number, tally, heads)
        await loop.create_connection(lambda made=caller: made, "127.0.0.1", settings.port)  # type: ignore[misc]
        callers.append(caller)
    began = time.perf_counter_ns()
    tally.begin(began + int(settings.warm_up * 1e9))
    if settings.rate:
        await drive(settings, callers, began)
    else:
        for caller in callers:
            caller.call(time.perf_counter_ns())
        await asyncio.sleep(settings.warm_up + settings.seconds)
    tally.end(time.perf_counter_ns())
    for caller in callers:
        tally.failed += caller.gone.done()
        caller.stop()
    _, stuck = await asyncio.wait([caller.gone for caller in callers], timeout=10)
    tally.failed += len(stuck)
    return tally.summary()


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


def settings_text(settings: Settings) -> str:
    return json.dumps(asdict(settings))


if __name__ == "__main__":
    print(json.dumps(uvloop.run(measure(Settings(**json.loads(sys.argv[1]))))))
