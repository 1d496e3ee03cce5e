"""The outside of a server that checks tokens (`bench.checked`): lets them in, and counts whose calls came."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHECKED: Final = Path(__file__).with_name("checked.py")
WAIT_SECONDS: Final = 30.0


@dataclass
class Door:
    """The file by which a checked server knows good tokens, and what it noted."""

    file: Path
    url: str = ""

    @property
    def command(self) -> list[str]:
        """How the server is run as a child; its token is in `TOKEN`."""
        return [sys.executable, str(CHECKED), str(self.file), "--stdio"]

    def set(
        self, labels: Mapping[str, str], *, is_open: bool = False, slow: float = 0.0, held: str = ""
    ) -> None:
        """Let in these tokens, given by their labels, and from the next request on no others.

        `held`: `lists`, or calls that `linger`, are answered once it is set otherwise.
        """
        tokens = {token: label for label, token in labels.items()}
        rules = {"tokens": tokens, "open": is_open, "slow": slow, **({"held": held} if held else {})}
        unfinished = self.file.with_suffix(".new")
        unfinished.write_text(json.dumps(rules))
        unfinished.rename(self.file)

    def noted(self, since: float = 0.0, method: str = "which") -> Counter[str]:
        """Count the labels that requests of a method came with since a moment."""
        lines = [line.split() for line in Path(f"{self.file}.log").read_text().splitlines()]
        return Counter(label for label, at, what in lines if float(at) >= since and what == method)

    def await_note(self, label: str, method: str, since: float) -> None:
        """Return when a request of this method came with this label."""
        limit = time.monotonic() + WAIT_SECONDS
        while not self.noted(since, method)[label]:
            if time.monotonic() > limit:
                raise TimeoutError(f"no {method} of {label}: {self.noted(since, method)}")
            time.sleep(0.002)


@contextmanager
def a_door(place: Path) -> Iterator[Door]:
    """Run a checked server over HTTP."""
    door = Door(place / "door.json")
    door.set({})
    command = [sys.executable, str(CHECKED), str(door.file), "--http"]
    with (place / "checked.log").open("wb") as log:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True
        )
    try:
        port = child.stdout.readline().strip() if child.stdout else ""
        if not port:
            raise SystemExit(f"the server does not start: {(place / 'checked.log').read_text()[-2000:]}")
        door.url = f"http://127.0.0.1:{port}/mcp"
        yield door
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()
