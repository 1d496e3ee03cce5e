"""The stdio server without a gateway: keeps some calls in flight over one pipe, for comparison.

`python -m bench.pipe CALLERS SECONDS` writes the same summary as `bench.load`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from bench.load import META, Tally, summary


async def measure(callers: int, seconds: float, warm_up: float = 0.3) -> dict[str, object]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.child", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    params = f'{{"name":"echo","arguments":{{"text":"words"}},{META}}}'
    tail = f',"method":"tools/call","params":{params}}}\n'.encode()
    sent: dict[int, int] = {}
    tally = Tally(since=time.perf_counter_ns() + int(warm_up * 1e9))
    until = tally.since + int(seconds * 1e9)
    for number in range(callers):
        sent[number] = time.perf_counter_ns()
        child.stdin.write(b'{"jsonrpc":"2.0","id":%d' % number + tail)
    while time.perf_counter_ns() < until:
        answer = json.loads(await child.stdout.readline())
        now = time.perf_counter_ns()
        began = sent.pop(answer["id"])
        if began >= tally.since:
            tally.took.append(now - began)
        number = answer["id"] + callers
        sent[number] = now
        child.stdin.write(b'{"jsonrpc":"2.0","id":%d' % number + tail)
    child.stdin.close()
    child.kill()
    await child.wait()
    return summary(tally, (time.perf_counter_ns() - tally.since) / 1e9, 0)


if __name__ == "__main__":
    print(json.dumps(uvloop.run(measure(int(sys.argv[1]), float(sys.argv[2])))))
