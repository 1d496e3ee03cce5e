"""What the measurement of rotations makes of what it saw."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.crowd import Crowd, Made
from bench.door import Door
from bench.rotation import Seen


@pytest.mark.parametrize("broken", [{"failed": 1}, {"late": 1}, {"noted": 1}, {"left": 1}])
def test_one_call_that_noticed_is_one_too_many(broken: dict[str, Any]) -> None:
    seen = Seen(effect=[0.01], calls=1000)
    assert seen.is_as_promised
    assert not replace(seen, **broken).is_as_promised


def test_calls_count_from_when_they_began() -> None:
    crowd = Crowd(0, "", "")
    crowd.calls += [Made(1.0, 9.0, "old"), Made(5.0, 6.0, "new"), Made(6.0, 7.0, "new")]
    assert crowd.labels(5.0) == {"new": 2}
    assert crowd.labels() == {"new": 2, "old": 1}


def test_a_server_that_is_not_there_fails_calls() -> None:
    crowd = Crowd(1, "", "x", callers=2)
    with crowd.calling():
        time.sleep(0.02)
    assert (crowd.calls, len(crowd.failures) > 2) == ([], True)
    assert all(one.startswith("ConnectionRefusedError") for one in crowd.kinds())


def test_a_door_writes_whom_it_lets_in_and_counts_who_came(tmp_path: Path) -> None:
    door = Door(tmp_path / "door.json")
    door.set({"new": "token"}, slow=2.0)
    assert json.loads(door.file.read_text()) == {"tokens": {"token": "new"}, "open": False, "slow": 2.0}
    log = "old 1.0 which\nnew 2.0 which\nrefused 3.0 tools/call\nnew 4.0 which\n"
    Path(f"{door.file}.log").write_text(log)
    assert door.noted() == {"old": 1, "new": 2}
    assert door.noted(2.0) == {"new": 2}
    assert door.noted(method="tools/call") == {"refused": 1}
