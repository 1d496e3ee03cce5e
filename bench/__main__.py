"""Measures the gateway beside a direct call, in interleaved rounds: `make bench`.

Prints a table of medians and writes `build/bench.json`. Nothing here passes or fails by a time; a call that
is not answered with a result ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from bench import machine
from bench.load import Settings, settings_text
from bench.programs import ROOT, Gateway, Upstream, gateway, raw_upstream

OPEN_RATE = 500.0
OPEN_SECONDS = 4.0
CLOSED_SECONDS = 1.5
COLD_STARTS = 3

Figures = dict[str, float]


@dataclass(frozen=True)
class Case:
    """One line of the table: the same load sent directly and through the gateway."""

    name: str
    direct: Callable[[], Figures] | None
    through: Callable[[], Figures]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure the gateway beside a direct call.")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    stated = machine.stated()
    results: dict[str, dict[str, list[Figures]]] = {}
    with raw_upstream() as upstream:
        cold = []
        for _ in range(COLD_STARTS):
            with gateway(upstream) as started:
                cold.append(started.cold_ms)
                idle = machine.memory_mib(started.program.pid)
        with gateway(upstream) as started:
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}")
                for case in cases(upstream, started):
                    run(case, results.setdefault(case.name, {"direct": [], "through": []}), number)
            after = machine.memory_mib(started.program.pid)
    start = {"cold_start_ms": statistics.median(cold), "idle_mib": idle, "mib_after": after}
    report = {"machine": stated, "rounds": rounds, "start": start, "cases": medians(results), "raw": results}
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "bench.json").write_text(json.dumps(report, indent=2) + "\n")
    print(table(report))
    return 0


def run(case: Case, into: dict[str, list[Figures]], number: int) -> None:
    """Measure both sides, the other one first in every second round."""
    sides = {"direct": case.direct, "through": case.through}
    for side in list(sides) if number % 2 == 0 else reversed(sides):
        measured = sides[side]
        if measured is not None:
            figures = measured()
            if figures["failed"]:
                raise SystemExit(
                    f"{case.name}, {side}: {figures['failed']:.0f} calls failed: {figures['example']}"
                )
            into[side].append(figures)


def cases(upstream: Upstream, started: Gateway) -> list[Case]:
    closed = Settings(
        started.port, "/mcp/raw", "echo", started.grant, callers=1, seconds=CLOSED_SECONDS, warm_up=0.5
    )
    straight = replace(closed, port=upstream.port, path="/mcp", bearer=upstream.credential)
    steady = {"callers": 16, "rate": OPEN_RATE, "seconds": OPEN_SECONDS}

    def case(name: str, direct: Callable[[], Figures] | None, settings: Settings) -> Case:
        return Case(name, direct, lambda: load(settings, started.program.pid))

    def both(name: str, **changes: float) -> Case:
        return case(name, lambda: load(replace(straight, **changes)), replace(closed, **changes))  # type: ignore[arg-type]

    found = [both(f"http, steady {OPEN_RATE:.0f}/s from 16 callers", **steady)]
    found += [both(f"http, closed loop, {callers} callers", callers=callers) for callers in (1, 16, 64)]
    found.append(
        case(
            "http, all servers at /mcp, 16 callers",
            None,
            replace(closed, path="/mcp", tool="raw__echo", callers=16),
        )
    )
    for callers in (1, 16):
        piped = replace(closed, path="/mcp/pipe", callers=callers)
        found.append(case(f"stdio, closed loop, {callers} callers", partial(pipe, callers), piped))
    return found


def load(settings: Settings, pid: int | None = None) -> Figures:
    """Run one measurement, with the CPU that the process `pid` used for each call."""
    used = machine.cpu_seconds(pid) if pid else 0.0
    figures = program("bench.load", settings_text(settings))
    if pid and figures["calls"]:
        # The warm-up is in both: calls outside the measurement cost as much as those inside.
        figures["cpu_us"] = (machine.cpu_seconds(pid) - used) * 1e6 / figures["all_calls"]
    return figures


def pipe(callers: int) -> Figures:
    return program("bench.pipe", str(callers), str(CLOSED_SECONDS))


def program(module: str, *arguments: str) -> Figures:
    command = [sys.executable, "-m", module, *arguments]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=120, check=True)
    found: Figures = json.loads(ended.stdout)
    return found


def medians(results: dict[str, dict[str, list[Figures]]]) -> dict[str, dict[str, Figures]]:
    """Take the median over the rounds of each figure; `added` is the median of the paired differences."""
    found: dict[str, dict[str, Figures]] = {}
    for name, sides in results.items():
        found[name] = {side: median(rounds) for side, rounds in sides.items() if rounds}
        if sides["direct"]:
            pairs = zip(sides["through"], sides["direct"], strict=True)
            added = [{key: ours[key] - theirs[key] for key in ("p50_us", "p99_us")} for ours, theirs in pairs]
            found[name]["added"] = median(added)
    return found


def median(rounds: list[Figures]) -> Figures:
    keys = [key for key, figure in rounds[0].items() if isinstance(figure, int | float)]
    return {key: statistics.median(one[key] for one in rounds) for key in keys}


def table(report: dict[str, object]) -> str:
    stated, start, measured = report["machine"], report["start"], report["cases"]
    assert isinstance(stated, dict)
    assert isinstance(start, dict)
    assert isinstance(measured, dict)
    head = f"{'':<38}{'direct':>17}{'through':>17}{'added':>17}{'calls/s':>9}{'CPU us':>8}"
    lines = [", ".join(f"{key}: {text}" for key, text in stated.items())]
    lines += [f"medians of {report['rounds']} rounds; times in us as p50 / p99", "", head]
    for name, sides in measured.items():
        through = sides["through"]
        times = "".join(f"{pair(sides.get(side)):>17}" for side in ("direct", "through", "added"))
        lines.append(f"{name:<38}{times}{through['per_second']:>9,.0f}{through['cpu_us']:>8.1f}")
    lines += [
        "",
        f"cold serve to first answered call: {start['cold_start_ms']:.0f} ms (median of {COLD_STARTS})",
        f"gateway's memory: {start['idle_mib']:.0f} MiB idle, {start['mib_after']:.0f} MiB after the load",
    ]
    return "\n".join(lines)


def pair(figures: Figures | None) -> str:
    return f"{figures['p50_us']:,.0f} / {figures['p99_us']:,.0f}" if figures else "-"


def say(words: str) -> None:
    print(f"bench: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
