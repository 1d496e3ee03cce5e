"""The legs of a conformance run, and what a leg over stdio cannot be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from conformance.counts import Excuse, Tally

Era = Literal["legacy", "modern"]
Transport = Literal["http", "stdio"]


@dataclass(frozen=True, slots=True)
class Wire:
    """A version of the protocol as the suite speaks it, with the size of its direct run.

    The sizes are pinned: a suite that runs fewer scenarios, or a fixture that is asked less, is noticed.
    """

    version: str
    era: Era
    scenarios: int
    checks: int


LEGACY: Final = Wire("2025-11-25", "legacy", scenarios=33, checks=84)
MODERN: Final = Wire("2026-07-28", "modern", scenarios=40, checks=152)
WIRES: Final = (LEGACY, MODERN)


@dataclass(frozen=True, slots=True)
class Leg:
    """One way through the gateway: the suite's wire, and how the gateway reaches the server."""

    wire: Wire
    transport: Transport

    @property
    def name(self) -> str:
        """What `--leg` calls it."""
        return f"{self.wire.version}-{self.transport}"

    @property
    def excuses(self) -> tuple[Excuse, ...]:
        """What this leg is not asked for."""
        return NOT_OVER_STDIO.get(self.wire.version, ()) if self.transport == "stdio" else ()


TRANSPORTS: Final[tuple[Transport, ...]] = ("http", "stdio")
LEGS: Final = tuple(Leg(wire, transport) for wire in WIRES for transport in TRANSPORTS)

NOT_OVER_STDIO: Final[dict[str, tuple[Excuse, ...]]] = {
    "2025-11-25": (
        Excuse(
            "server-sse-polling",
            "server-sse-disconnect-resume",
            "the server cuts its own HTTP stream in the middle of the call; on a pipe it has none to cut",
        ),
    ),
}
"""By wire: what only a server that speaks HTTP itself can do. Everything else is asked of stdio as well."""


def row(leg: Leg, tally: Tally) -> dict[str, Any]:
    """Return a leg's entry in `build/conformance.json`."""
    return {
        "wire": leg.wire.version,
        "server_era": leg.wire.era,
        "transport": leg.transport,
        "scenarios": f"{tally.scenarios}/{tally.of_scenarios}",
        "checks": f"{tally.checks}/{tally.of_checks}",
    }


def line(version: str, era: str, way: str, tally: Tally) -> str:
    """Return the line that is printed for a run."""
    scenarios = f"{tally.scenarios}/{tally.of_scenarios} scenarios"
    return f"{version}  {era:<6}  {way:<6}  {scenarios:>15}  {tally.checks}/{tally.of_checks} checks"
