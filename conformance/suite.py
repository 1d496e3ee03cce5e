"""Runs the official suite against one address and reads the checks that it made."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.counts import Check

SCENARIO_MS: Final = 30_000
RUN_SECONDS: Final = 600.0
_FOLDER: Final = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


class SuiteFailed(Exception):
    """The suite ended without a result; the text says where its words are."""


@dataclass(frozen=True, slots=True)
class Suite:
    """The suite, ready to run: its command without arguments, and its environment."""

    command: tuple[str, ...]
    env: Mapping[str, str]

    async def run(self, url: str, version: str, folder: Path, scenario: str | None) -> dict[str, list[Check]]:
        """Run one wire's scenarios against `url`; results and words go to `folder`. Raises `SuiteFailed`."""
        results, log = folder / "results", folder / "suite.log"
        shutil.rmtree(results, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        asked = ["--scenario", scenario] if scenario else ["--suite", "all"]
        command = [*self.command, "server", "--url", url, *asked, "--spec-version", version]
        command += ["--output-dir", str(results), "--timeout", str(SCENARIO_MS)]
        await self.finish(command, log, "the suite", RUN_SECONDS)
        found = read_results(results)
        if not found:
            raise SuiteFailed(f"the suite left no results; {log} has its words")
        return found

    async def finish(
        self, command: Sequence[str], log: Path, named: str, seconds: float, cwd: Path | None = None
    ) -> None:
        """Run a command of the suite to its end, its words into `log`; nothing of it goes on afterwards.

        How it ends says only whether a check failed, which its results say better. Raises `SuiteFailed`
        for one that does not end in time.
        """
        with log.open("wb") as output:
            child = await asyncio.create_subprocess_exec(
                *command,
                cwd=cwd,
                env=self.env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                await asyncio.wait_for(child.wait(), seconds)
            except TimeoutError:
                words = f"{named} did not end within {seconds:.0f} s; {log} has its words"
                raise SuiteFailed(words) from None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)  # children that it left behind among them
                await child.wait()


def read_results(folder: Path) -> dict[str, list[Check]]:
    """Read the folder of results that the suite leaves: one folder a scenario, with `checks.json` in it.

    A scenario without that file was begun and not ended; it has no checks.
    """
    found: dict[str, list[Check]] = {}
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = _FOLDER.fullmatch(place.name)
        if name:
            found[name[1]] = read_checks(place / "checks.json")
    return found


def read_checks(path: Path) -> list[Check]:
    """Read the checks of one scenario."""
    if not path.exists():
        return []
    listed = json.loads(path.read_text(encoding="utf-8"))
    return [
        Check(one["id"], one["status"], one.get("errorMessage") or "", json.dumps(one.get("details") or {}))
        for one in listed
    ]
