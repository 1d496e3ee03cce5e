"""Runs the official conformance suite through the gateway, leg by leg: `make conformance`.

Prints a line a leg and writes `build/conformance.json`. Ends with 1 if a leg is short of what the same server
passes without a gateway.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from conformance import installed
from conformance.clients import run_clients
from conformance.counts import Run, Tally, compare, whole
from conformance.legs import LEGS, WIRES, Leg, Wire, line, row
from conformance.programs import SERVER, declaration, fixture, gateway, new_grant
from conformance.proxy import BearerProxy
from conformance.suite import Suite, SuiteFailed
from demo.environments import ROOT, CannotInstall
from demo.programs import DidNotStart, free_port

RUNS = installed.BUILD / "runs"
EVIDENCE = 1500
REPORT = ROOT / "build" / "conformance.json"


@dataclass(frozen=True)
class Asked:
    """What the command line asked for."""

    legs: Sequence[Leg]
    wires: Sequence[Wire]
    scenario: str | None
    direct_only: bool
    verbose: bool
    keep: bool
    auth: bool

    @property
    def reports(self) -> bool:
        """Tell whether this is a whole run, whose outcome is the report."""
        whole = len(self.legs) == len(LEGS) and self.scenario is None
        return whole and not self.direct_only and not self.auth


def main() -> int:
    asked = arguments()
    try:
        commands = installed.node(say)
        program = installed.suite(commands, say)
        suite = Suite((str(commands / "node"), str(program)), installed.surroundings(commands))
        good = asyncio.run(run(suite, asked))
    except (CannotInstall, DidNotStart, SuiteFailed) as failed:
        say(str(failed))
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("ended before the end; nothing is left running")
        return 130
    if not asked.keep and good:
        shutil.rmtree(RUNS, ignore_errors=True)
    else:
        say(f"the runs' results and logs are in {RUNS.relative_to(ROOT)}")
    return 0 if good else 1


def arguments() -> Asked:
    parser = argparse.ArgumentParser(prog="conformance", description="Run the official suite.")
    names = [leg.name for leg in LEGS]
    parser.add_argument("--leg", action="append", choices=names, help="only this leg; repeatable")
    parser.add_argument("--scenario", help="only this scenario of the suite")
    parser.add_argument("--auth", action="store_true", help="the scenarios of authorization instead")
    parser.add_argument("--direct", action="store_true", help="only the direct runs, without a gateway")
    parser.add_argument(
        "--verbose", action="store_true", help="name every scenario, and show what the suite saw"
    )
    parser.add_argument("--keep", action="store_true", help="keep the results and logs of a good run as well")
    given = parser.parse_args()
    legs = [leg for leg in LEGS if not given.leg or leg.name in given.leg]
    wires = [wire for wire in WIRES if any(leg.wire == wire for leg in legs)]
    return Asked(legs, wires, given.scenario, given.direct, given.verbose, given.keep, given.auth)


async def run(suite: Suite, asked: Asked) -> bool:
    """Run what was asked for and report it; tell whether nothing is short."""
    this = asyncio.current_task()
    assert this is not None
    # What is running is ended on the way out, whoever wants us to end.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    shutil.rmtree(RUNS, ignore_errors=True)
    if asked.auth:
        return await run_clients(suite, RUNS / "auth", asked.scenario)
    if asked.reports:
        REPORT.unlink(missing_ok=True)
    good = True
    direct: dict[str, Run] = {}
    for wire in asked.wires:
        direct[wire.version] = await run_directly(suite, wire, asked.scenario)
        good &= report_direct(wire, direct[wire.version], asked)
    rows: list[dict[str, Any]] = []
    for leg in () if asked.direct_only else asked.legs:
        try:
            through = await run_through(suite, leg, asked.scenario)
        except (DidNotStart, SuiteFailed) as failed:
            say(f"{leg.name}: {failed}")
            through = {}
        tally = compare(direct[leg.wire.version], through, leg.excuses)
        report_leg(leg, direct[leg.wire.version], through, tally, asked)
        rows.append(row(leg, tally))
        good &= tally.complete
    if asked.reports:
        REPORT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        say(f"wrote {REPORT.relative_to(ROOT)}")
    return good


async def run_directly(suite: Suite, wire: Wire, scenario: str | None) -> Run:
    """Run the suite against the fixture itself."""
    folder = RUNS / f"{wire.version}-direct"
    with fixture(wire.era, folder) as url:
        return await suite.run(url, wire.version, folder, scenario)


async def run_through(suite: Suite, leg: Leg, scenario: str | None) -> Run:
    """Run the suite through a gateway in front of a fixture of its own."""
    folder = RUNS / leg.name
    grant, port = new_grant(), free_port()
    async with BearerProxy(port, grant) as proxy:
        with ExitStack() as running:
            url = running.enter_context(fixture(leg.wire.era, folder)) if leg.transport == "http" else None
            running.enter_context(gateway(port, proxy.port, declaration(leg, grant, url), folder))
            route = f"http://127.0.0.1:{proxy.port}/mcp/{SERVER}/"
            return await suite.run(route, leg.wire.version, folder, scenario)


def report_direct(wire: Wire, found: Run, asked: Asked) -> bool:
    """Print the direct run. What it falls short of is the fixture's fault, or the suite has changed."""
    tally = whole(found)
    good = tally.complete
    print(line(wire.version, wire.era, "direct", tally), flush=True)
    shortfalls(tally, asked)
    if not asked.scenario and (tally.of_scenarios, tally.checks) != (wire.scenarios, wire.checks):
        print(f"    expected {wire.scenarios} scenarios and {wire.checks} checks: did the suite change?")
        good = False
    if asked.verbose:
        scenarios(found, found)
    return good


def report_leg(leg: Leg, direct: Run, through: Run, tally: Tally, asked: Asked) -> None:
    print(line(leg.wire.version, leg.wire.era, leg.transport, tally), flush=True)
    for excuse in leg.excuses:
        if excuse.scenario in direct:
            print(f"    not applicable: {excuse.scenario} {excuse.check or ''}: {excuse.reason}")
    if not through:
        return  # what was said when it did not start says it all
    shortfalls(tally, asked)
    if asked.verbose:
        scenarios(direct, through)


def shortfalls(tally: Tally, asked: Asked) -> None:
    for short in tally.short:
        print(f"    {short.scenario} {short.check}: {short.message}")
        if asked.verbose and short.evidence:
            print(f"        {short.evidence[:EVIDENCE]}")


def scenarios(direct: Run, through: Run) -> None:
    for scenario, made in direct.items():
        counts = [
            sum(check.status == "SUCCESS" for check in checks) for checks in (through.get(scenario, ()), made)
        ]
        print(f"    {scenario:<50} {counts[0]}/{counts[1]}")


def say(words: str) -> None:
    print(f"conformance: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
