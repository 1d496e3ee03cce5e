"""The stdio server without a gateway: keeps some calls in flight over one pipe, for comparison.

`python -m bench.pipe CALLERS SECONDS` writes the same summary as `bench.load`, and what the child used.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time

from bench import machine
from bench.calls import BEFORE_ID, FIRST_ID, after_id, is_answered
from bench.tally import Tally

AFTER_ID = after_id("echo") + b"\n"
WARM_UP = 0.3
ID = re.compile(rb'"id":(\d+)')


def measure(callers: int, seconds: float) -> dict[str, object]:
    """Run one measurement. The calls in flight fit into the pipe, so that neither side waits to write."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        tally = Tally()
        before = machine.cpu_seconds([child.pid])
        exchange(child.stdin.fileno(), child.stdout.fileno(), tally, callers, seconds)
        used = machine.cpu_seconds([child.pid]) - before
        memory = machine.memory_mib([child.pid])
    finally:
        child.kill()
        child.communicate()
    return {**tally.summary(), "cpu_us": used * 1e6 / tally.all, "rss_mib": memory}


def exchange(to: int, out: int, tally: Tally, callers: int, seconds: float) -> None:
    """Send each call's successor once it is answered, until the time is over."""
    began = time.perf_counter_ns()
    tally.begin(began + int(WARM_UP * 1e9))
    until = tally.since + int(seconds * 1e9)
    sent = {FIRST_ID + number: began for number in range(callers)}
    os.write(to, b"".join(call(number) for number in sent))
    pending = b""
    while (now := time.perf_counter_ns()) < until:
        received = os.read(out, 1 << 16)
        if not received:
            raise SystemExit("the child ended")
        *lines, pending = (pending + received).split(b"\n")
        now = time.perf_counter_ns()
        following = [take(line, sent, tally, now) + callers for line in lines]
        sent.update(dict.fromkeys(following, now))
        os.write(to, b"".join(map(call, following)))
    tally.end(now)


def call(number: int) -> bytes:
    return BEFORE_ID + b"%d" % number + AFTER_ID


def take(line: bytes, sent: dict[int, int], tally: Tally, now: int) -> int:
    """Count one answer and return the id of its call."""
    found = ID.search(line)
    number = int(found[1]) if found else -1
    if number not in sent:
        raise SystemExit(f"an answer to nothing: {line[:300]!r}")
    tally.count(sent.pop(number), now, None if is_answered(line, number) else line)
    return number


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), float(sys.argv[2]))))
