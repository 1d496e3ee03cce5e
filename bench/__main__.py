"""Measures the gateway beside a direct call and a plain proxy, in interleaved rounds: `make bench`.

Prints a page and writes it to `docs/benchmarks.md`, and its rows to `build/bench.json`; every single
measurement is in `build/bench/rounds.json`. Nothing here passes or fails by a time; a call that is not
answered with its result ends the run with exit code 1, and nothing is written.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from bench import decisions, machine, nginx
from bench.cases import SECONDS, CallsFailed, Case, cases
from bench.lax import KINDS
from bench.page import Report, page
from bench.programs import BUILD, ROOT, Upstream, gateway, raw_upstream
from bench.rows import Burst, Place, in_turn, rows
from bench.words import SECTIONS
from demo.programs import DidNotStart

PAGE = ROOT / "docs" / "benchmarks.md"
ROWS = ROOT / "build" / "bench.json"
COLD_STARTS = 3
ROUNDS = 5
BUSY = 0.05

Found = dict[Place, list[Burst]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--rounds", type=positive, default=ROUNDS, help=f"how often each is measured ({ROUNDS})"
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long a burst is ({SECONDS})")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page is written")
    parser.add_argument("--rows", type=Path, default=ROWS, help="where the rows are written, as JSON")
    parser.add_argument(
        "--case", action="append", choices=list(SECTIONS), help="measure this case alone, and write nothing"
    )
    asked = parser.parse_args(arguments)
    try:
        report = run(asked.rounds, asked.seconds, asked.case)
    except (CallsFailed, DidNotStart) as failure:
        say(str(failure))
        return 1
    if not asked.case:
        write(report, asked.page, asked.rows)
    print(page(report))
    return 0


def positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of rounds")
    return int(text)


def run(rounds: int, seconds: float, only: Collection[str] | None = None) -> Report:
    """Measure every case, or `only` those. Raises `CallsFailed`."""
    stated = machine.stated(BUILD)
    proxy = nginx.find()
    before, others = machine.load(), machine.Others()
    found: Found = {}
    with raw_upstream() as upstream:
        start = cold_starts(upstream)
        with ExitStack() as running:
            plain = running.enter_context(nginx.running(proxy, upstream))
            started = running.enter_context(gateway(upstream))
            lax = {kind: running.enter_context(gateway(upstream, kind)) for kind in KINDS}
            ruled = running.enter_context(gateway(upstream, policy=decisions.whole()))
            every = cases(upstream, plain, started, lax, ruled, seconds)
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}")
                for case in every:
                    if not only or case.name in only:
                        measure(case, found, number)
            wanted = not only or "policies" in only
            decided = decisions.measured() if wanted else {}
            start["memory after the load"] = f"{machine.memory_mib([started.program.pid]):.0f} MiB"
    stated["nginx"] = proxy.version if proxy else f"missing: `{nginx.INSTALL}`"
    stated["rounds"] = f"{rounds}, in bursts of {seconds:g} s"
    stated["load before, after"] = f"{before}, {machine.load()}"
    stated["other programs meanwhile"] = others.text()
    if others.share() > BUSY:
        say(f"other programs used {others.text()}: run this again when the machine is quiet")
    command = "make bench" if rounds == ROUNDS else f"make bench ROUNDS={rounds}"
    return Report(command, stated, start, found, None if proxy else nginx.INSTALL, decided)


def cold_starts(upstream: Upstream) -> dict[str, str]:
    """Start a gateway on an empty data directory some times, and tell what that took."""
    cold, idle = [], []
    for _ in range(COLD_STARTS):
        with gateway(upstream) as started:
            cold.append(started.cold_ms)
            idle.append(machine.memory_mib([started.program.pid]))
    took = f"{statistics.median(cold):.0f} ms (median of {COLD_STARTS} starts)"
    return {
        "`coatcheck serve` to the first answered call": took,
        "memory then": f"{statistics.median(idle):.0f} MiB",
    }


def measure(case: Case, found: Found, number: int) -> None:
    """Measure one round of a case, each target in its turn. Raises `CallsFailed`."""
    for target in in_turn(list(case.bursts), number):
        try:
            burst = case.bursts[target]()
        except CallsFailed as failure:
            raise CallsFailed(f"{case.name}, {case.callers} callers, {target}: {failure}") from failure
        found.setdefault(Place(target, case.name, case.callers), []).append(burst)


def write(report: Report, page_path: Path, rows_path: Path) -> None:
    """Write the page, the rows, and every single measurement beside the logs of the run."""
    page_path.write_text(page(report), encoding="utf-8")
    write_json(rows_path, [row.as_json() for row in rows(report.measured)])
    single = [
        {**place._asdict(), "round": number + 1, **asdict(burst)}
        for place, bursts in report.measured.items()
        for number, burst in enumerate(bursts)
    ]
    whole: Mapping[str, object] = {"stated": report.stated, "start": report.start, "bursts": single}
    write_json(BUILD / "rounds.json", whole)


def write_json(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def say(words: str) -> None:
    print(f"bench: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
