"""The suite's scenarios of authorization, with a gateway as the client: `make conformance ARGS="--auth"`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.counts import FAILURE, SUCCESS, Check
from conformance.suite import Suite, SuiteFailed, read_checks
from demo.environments import ROOT

RUN_SECONDS: Final = 60.0
COMMAND: Final = (sys.executable, "-m", "conformance.authorizing")

SCENARIOS: Final[dict[str, int]] = {
    "metadata-default": 19,
    "metadata-var1": 19,
    "metadata-var2": 19,
    "metadata-var3": 19,
    "basic-cimd": 14,
    "scope-from-www-authenticate": 15,
    "scope-from-scopes-supported": 15,
    "scope-omitted-when-undefined": 15,
    "scope-step-up": 24,
    "scope-retry-limit": 28,
    "token-endpoint-auth-basic": 20,
    "token-endpoint-auth-post": 20,
    "token-endpoint-auth-none": 20,
    "pre-registration": 14,
    "2025-03-26-oauth-metadata-backcompat": 13,
    "resource-mismatch": 2,
    "offline-access-scope": 15,
    "offline-access-not-supported": 14,
    "authorization-server-migration": 29,
    "iss-supported": 14,
    "iss-not-advertised": 14,
    "iss-supported-missing": 8,
    "iss-wrong-issuer": 8,
    "iss-unexpected": 8,
    "iss-normalized": 8,
    "metadata-issuer-mismatch": 3,
    "client-credentials-jwt": 9,
    "client-credentials-basic": 9,
}
"""By name, how many checks each passes: pinned, so that a suite that asks less is noticed."""

NOT_ASKED: Final[dict[str, str]] = {
    "2025-03-26-oauth-endpoint-fallback": "without metadata a server announces no PKCE, and gets no user",
    "enterprise-managed-authorization": "an extension that is not spoken",
    "dpop": "an extension that is not spoken",
    "dpop-nonce": "an extension that is not spoken",
    "wif-jwt-bearer": "an extension that is not spoken",
}
"""By name, why a scenario is left out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one scenario ended."""

    scenario: str
    checks: Sequence[Check]

    @property
    def passed(self) -> int:
        """How many checks passed."""
        return sum(check.status == SUCCESS for check in self.checks)

    @property
    def failed(self) -> list[Check]:
        """The checks that did not."""
        return [check for check in self.checks if check.status == FAILURE]

    @property
    def complete(self) -> bool:
        """Whether as much passed as must, and nothing failed."""
        return not self.failed and self.passed >= SCENARIOS.get(self.scenario, 1)


async def run_clients(suite: Suite, folder: Path, scenario: str | None) -> bool:
    """Run the scenarios one after the other, print a line for each, and tell whether none is short."""
    good = True
    for name in SCENARIOS if scenario is None else (scenario.removeprefix("auth/"),):
        outcome = await _run(suite, folder / name, name)
        of = SCENARIOS.get(name, outcome.passed)
        print(f"auth/{name:<38} {outcome.passed}/{of} checks", flush=True)
        for check in outcome.failed:
            print(f"    {check.id}: {check.message}")
        good &= outcome.complete
    if scenario is None:
        for name, reason in NOT_ASKED.items():
            print(f"    not applicable: auth/{name}: {reason}")
    return good


async def _run(suite: Suite, folder: Path, name: str) -> Outcome:
    results, log = folder / "results", folder / "suite.log"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [*suite.command, "client", "--command", " ".join(COMMAND), "--scenario", f"auth/{name}"]
    command += ["--output-dir", str(results), "--verbose"]
    await suite.finish(command, log, f"auth/{name}", RUN_SECONDS, ROOT)
    found = sorted(results.glob("**/checks.json"))
    if not found:
        raise SuiteFailed(f"auth/{name} left no results; {log} has the suite's words")
    return Outcome(name, read_checks(found[-1]))
