"""What a rotation costs, and whether anybody notices: 64 callers call while tokens are switched.

`python -m bench.rotation` puts a real server that checks its token behind a gateway, once over HTTP and once
as a child, rotates its credential again and again under load, and takes each old token back at the server
right after. It exits 1 if a call failed, or if one that began after a rotation had returned used an old
token.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import statistics
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.crowd import CALLERS, Crowd
from bench.door import Door, a_door
from bench.local import Local
from bench.machine import Others, load
from bench.programs import BUILD
from bench.registry import found_in, running

SERVER = "checked"


@dataclass
class Seen:
    """What came of the rotations over one transport. Times are in seconds."""

    effect: list[float] = field(default_factory=list)
    drain: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    late: int = 0
    """Calls with an old version that began after the rotation had returned, as callers were told."""
    noted: int = 0
    """The same as the server noted it."""
    left: int = 0
    """Rotations after which something still used the old version."""
    calls: int = 0
    failures: set[str] = field(default_factory=set)
    failed: int = 0

    @property
    def is_as_promised(self) -> bool:
        """Whether nobody noticed."""
        return not (self.failed or self.late or self.noted or self.left)


class Rotated:
    """One server behind a gateway, its tokens, and the credential that is rotated."""

    def __init__(self, state: Path, port: int, door: Door, transport: str) -> None:
        self._api = Local(state / "coatcheck.sock")
        self._door = door
        self._label, self._token = self._new(0)
        door.set({self._label: self._token})
        self.planted = [self._token]
        self._credential = self._add(transport)
        body = {"label": transport, "subject": "bench", "servers": None}
        self._crowd = Crowd(port, self._api.ask("POST", "/grants", body)["token"], f"{SERVER}__which")

    def _new(self, number: int) -> tuple[str, str]:
        return f"v{number}", f"planted-{number}-{secrets.token_urlsafe(24)}"

    def _add(self, transport: str) -> str:
        body: dict[str, Any] = {"name": SERVER, "default": "allow-all"}
        if transport == "http":
            body |= {"url": self._door.url, "headers": {"Authorization": f"Bearer {self._token}"}}
        else:
            probe = {"tool": "which", "arguments": {}}
            command, *args = self._door.command
            body |= {
                "command": command,
                "args": args,
                "env": {"TOKEN": self._token},
                "upkeep": {"probe": probe},
            }
        added = self._api.ask("POST", "/servers", body)
        return str(added["credentials"][0])

    def rotate(self, times: int) -> Seen:
        """Rotate so many times while the callers call."""
        seen = Seen()
        with closing(self._api), self._crowd.calling() as crowd:
            for number in range(1, times + 1):
                self._once(number, crowd, seen)
        seen.calls, seen.failed = len(crowd.calls), len(crowd.failures)
        seen.failures = crowd.kinds()
        return seen

    def _once(self, number: int, crowd: Crowd, seen: Seen) -> None:
        label, token = self._new(number)
        self.planted.append(token)
        self._door.set({self._label: self._token, label: token})
        began = time.monotonic()
        told = self._api.ask("POST", f"/credentials/{self._credential}/rotate", {"material": token})
        returned = time.monotonic()
        self._door.set({label: token})
        crowd.until(label)
        seen.whole.append(returned - began)
        seen.effect.append(told["effect_seconds"])
        seen.drain.append(told["drain_seconds"])
        seen.left += not told["drained"]
        seen.late += sum(count for one, count in crowd.labels(returned).items() if one != label)
        seen.noted += sum(count for one, count in self._door.noted(returned).items() if one != label)
        self._label, self._token = label, token


def measure(times: int, state: Path = BUILD / "rotation") -> bool:
    """Rotate over both transports; print what is seen, return whether all is as promised."""
    shutil.rmtree(state, ignore_errors=True)
    good = True
    others, before = Others(), load()
    for transport in ("http", "stdio"):
        place, data = state / transport, state / transport / "data"
        data.mkdir(parents=True, mode=0o700)
        with a_door(place) as door, running(data) as (_, port):
            rotated = Rotated(data, port, door, transport)
            began = time.monotonic()
            seen = rotated.rotate(times)
            put(transport, seen, time.monotonic() - began)
            places = found_in(data, rotated.planted)
        print(f"  {len(rotated.planted)} tokens searched for in 5 encodings: found in {places or 'no file'}")
        good = good and seen.is_as_promised and not places
    print(f"load average before: {before}; meanwhile other programs used {others.text()}")
    return good


def put(transport: str, seen: Seen, seconds: float) -> None:
    """Print what came of one transport."""
    print(f"{transport}: {len(seen.effect)} rotations, {CALLERS} callers over HTTP without a pause")
    for words, found in (
        ("time to effect", seen.effect),
        ("then until nothing used the old version", seen.drain),
        ("all of it, with staging and verifying", seen.whole),
    ):
        middle, most = statistics.median(found) * 1000, max(found) * 1000
        print(f"  {words}: p50 {middle:.0f} ms, most {most:.0f} ms")
    print(f"  calls: {seen.calls} ({seen.calls / seconds:.0f} a second), failed: {seen.failed}")
    late = f"{seen.late} told to callers, {seen.noted} noted by the server"
    print(f"  calls with an old version afterwards: {late}")
    for failure in sorted(seen.failures)[:5]:
        print(f"  failed: {failure[:200]}")


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rotations", type=int, default=20, help="over each transport")
    chosen = parser.parse_args()
    return 0 if measure(chosen.rotations) else 1


if __name__ == "__main__":
    sys.exit(main())
