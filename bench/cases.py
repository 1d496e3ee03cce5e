"""What is measured: each case with the programs that answer it, and one burst of load on one of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bench import machine
from bench.load import Settings, settings_text
from bench.nginx import Nginx
from bench.programs import ROOT, Gateway, Upstream
from bench.rows import COATCHECK, DIRECT, NGINX, RULED, Burst

CALLERS = (1, 16, 64)
STEADY_RATE = 500.0
DURABLE_RATE = 1_000.0
STEADY_SECONDS = 3.0
SECONDS = 1.5
WARM_UP = 0.3
MOST_SECONDS = 60.0


class CallsFailed(Exception):
    """Calls were not answered with their result: figures of such a burst would mean nothing."""


@dataclass(frozen=True)
class Case:
    """The same load, sent to each of the targets in turn."""

    name: str
    callers: int
    bursts: Mapping[str, Callable[[], Burst]]


@dataclass(frozen=True)
class Reach:
    """Where the calls go, and the processes whose CPU and memory are measured."""

    port: int
    path: str
    bearer: str
    pids: tuple[int, ...]
    tool: str = "echo"


def cases(
    upstream: Upstream,
    nginx: Nginx | None,
    gateway: Gateway,
    lax: Mapping[str, Gateway],
    ruled: Gateway,
    seconds: float = SECONDS,
) -> list[Case]:
    """Return every case, in the order of the page; the targets over HTTP share one server.

    `lax` are gateways whose records are not durable, by the name of their kind; `ruled` has a policy.
    """
    reaches = {DIRECT: Reach(upstream.port, "/mcp", upstream.credential, (upstream.pid,))}
    if nginx:
        reaches[NGINX] = Reach(nginx.port, "/mcp", upstream.credential, nginx.pids)
    ours = partial(Reach, gateway.port, bearer=gateway.grant, pids=(gateway.program.pid,))
    reaches[COATCHECK] = ours("/mcp/raw")
    found = [Case("http", callers, over_http(reaches, callers, seconds)) for callers in CALLERS]
    for callers in CALLERS:
        piped = partial(burst, ours("/mcp/pipe"), callers, seconds)
        found.append(Case("stdio", callers, {DIRECT: partial(pipe, callers, seconds), COATCHECK: piped}))
    steady = over_http(reaches, 16, max(seconds, STEADY_SECONDS), STEADY_RATE)
    found.append(Case("steady", 16, steady))
    everything = ours("/mcp", tool="raw__echo")
    found.append(Case("all", 16, {COATCHECK: partial(burst, everything, 16, seconds)}))
    records = {COATCHECK: gateway, **lax}
    kept = {
        target: Reach(one.port, "/mcp/raw", one.grant, (one.program.pid,)) for target, one in records.items()
    }
    rated = over_http(kept, 16, max(seconds, STEADY_SECONDS), DURABLE_RATE)
    found += [Case("durable", 16, rated), Case("durable", 64, over_http(kept, 64, seconds))]
    judged = Reach(ruled.port, "/mcp/raw", ruled.grant, (ruled.program.pid,))
    both = {COATCHECK: reaches[COATCHECK], RULED: judged}
    return [*found, *(Case("policies", callers, over_http(both, callers, seconds)) for callers in (1, 16))]


def over_http(
    reaches: Mapping[str, Reach], callers: int, seconds: float, rate: float = 0.0
) -> dict[str, Callable[[], Burst]]:
    return {target: partial(burst, reach, callers, seconds, rate) for target, reach in reaches.items()}


def burst(reach: Reach, callers: int, seconds: float, rate: float = 0.0) -> Burst:
    """Send one burst over HTTP."""
    settings = Settings(reach.port, reach.path, reach.tool, reach.bearer, callers, seconds, WARM_UP, rate)
    before = machine.cpu_seconds(reach.pids)
    seen = summary("bench.load", settings_text(settings))
    # The warm-up is in both: calls outside the measurement cost as much as those inside.
    used = (machine.cpu_seconds(reach.pids) - before) * 1e6 / seen["all_calls"]
    return measured(seen, used, machine.memory_mib(reach.pids))


def pipe(callers: int, seconds: float) -> Burst:
    """Keep calls in flight over a bare pipe to a child of its own."""
    seen = summary("bench.pipe", str(callers), str(seconds))
    return measured(seen, seen["cpu_us"], seen["rss_mib"])


def measured(seen: dict[str, float], cpu_us: float, rss_mib: float) -> Burst:
    if cpu_us <= 0:
        raise CallsFailed("calls were answered, and none of the processes that were watched did anything")
    return Burst(seen["rps"], seen["p50_us"], seen["p99_us"], cpu_us, rss_mib, seen["load_us"])


def summary(module: str, *arguments: str) -> dict[str, float]:
    """Run one of the loads in a process of its own. Raises `CallsFailed`."""
    command = [sys.executable, "-m", module, *arguments]
    try:
        ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=MOST_SECONDS, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as failure:
        raise CallsFailed(f"{module} did not end well") from failure
    seen = json.loads(ended.stdout)
    if seen["failed"] or not seen["calls"]:
        raise CallsFailed(f"{seen['failed']} of {seen['all_calls']} calls failed, as in: {seen['example']}")
    del seen["example"]
    return {name: float(figure) for name, figure in seen.items()}
