"""A gateway killed at each step of a rotation: the old version serves or the new one, and what is told is true."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from bench.door import Door, a_door
from bench.local import Local
from journeys.rotating import WAIT_SECONDS, Stand, Told, standing

AROUND_THE_SWITCH = (0.0, 0.006)
"""Seconds from the last answer of the server to the kill: about the time in which the switch is made."""


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with a_door(tmp_path) as found:
        yield found


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with standing(tmp_path) as made:
        yield made


class Rotating:
    """Rotations through the real command line, from one token to the next; the door knows all of them."""

    def __init__(self, stand: Stand, door: Door) -> None:
        self.stand, self.door = stand, door
        self.tokens: dict[str, str] = {}
        self.told: list[Told] = []
        self.began = 0.0

    def next(self) -> tuple[str, str]:
        """Make another token that is good, and return its label and itself."""
        label = f"t{len(self.tokens)}"
        self.tokens[label] = f"tok-{label}-{secrets.token_urlsafe(18)}"
        self.stand.planted.append(self.tokens[label])
        self.door.set(self.tokens)
        return label, self.tokens[label]

    def begin(self, token: str) -> threading.Thread:
        """Rotate in a thread, as the gateway will die before it is over."""
        self.began = time.monotonic()
        words = ("credential", "rotate", self.stand.name)
        thread = threading.Thread(target=lambda: self.told.append(self.stand.run(*words, stdin=token)))
        thread.start()
        return thread

    def kill(self, thread: threading.Thread) -> Told:
        """Kill the gateway, start it again, and return what the command said of that."""
        os.kill(self.stand.gateway.pid, signal.SIGKILL)
        self.stand.gateway.stop(signal.SIGKILL)
        thread.join(WAIT_SECONDS)
        self.stand.gateway.start()
        told = self.told.pop()
        assert "Nothing changed" not in told.stderr
        assert "Traceback" not in told.stderr
        return told

    def labels(self) -> dict[str, str]:
        """Return the label of the token that is at each stage, as the gateway tells it by number."""
        by_number = {number: f"t{number - 1}" for number in range(1, len(self.tokens) + 1)}
        return {stage: by_number[number] for number, stage in self.stand.stages().items()}


def wait_for(seen: Callable[[], Any]) -> None:
    limit = time.monotonic() + WAIT_SECONDS
    while not seen():
        assert time.monotonic() < limit
        time.sleep(0.002)


def cut_off(stand: Stand) -> None:
    """Make a long call, which ends with the gateway."""
    with pytest.raises((OSError, HTTPException)):
        stand.label("linger", seconds=20.0)


def active_at(credential: dict[str, Any]) -> int:
    """Return the number of the version in use."""
    return next(int(one["number"]) for one in credential["versions"] if one["stage"] == "active")


def test_killed_at_each_step_one_version_serves_and_the_operator_can_go_on(stand: Stand, door: Door) -> None:
    work = Rotating(stand, door)
    serving, token = work.next()
    stand.add("srv", door, token)
    assert stand.label() == serving

    # Staged: the old one serves, and the new one can be activated.
    label, token = work.next()
    assert stand.run("credential", "stage", stand.name, stdin=token).returncode == 0
    stand.gateway.stop(signal.SIGKILL)
    stand.gateway.start()
    assert (work.labels(), stand.label()) == ({"active": serving, "staged": label}, serving)
    assert stand.asked("credential", "activate", stand.name)["assurance"] == "proven"
    serving, former = label, serving
    assert (work.labels(), stand.label()) == ({"active": serving, "previous": former}, serving)

    # Verifying: the same, and the new one can be discarded.
    label, token = work.next()
    door.set(work.tokens, slow=20.0)
    thread = work.begin(token)
    door.await_note(label, "server/discover", work.began)
    assert work.kill(thread).returncode != 0
    door.set(work.tokens)
    assert work.labels() == {"active": serving, "staged": label, "previous": former}
    assert stand.label() == serving
    assert stand.run("credential", "discard", stand.name).returncode == 0
    assert (work.labels(), stand.label()) == ({"active": serving, "previous": former}, serving)

    # At some moment around the switch: whichever is told to be active is the one that serves.
    for moment in AROUND_THE_SWITCH:
        label, token = work.next()
        thread = work.begin(token)
        door.await_note("refused", "server/discover", work.began)
        time.sleep(moment)
        work.kill(thread)
        found = work.labels()
        assert found["active"] == stand.label()
        assert (found["active"], found.get("staged")) in {(serving, label), (serving, None), (label, None)}
        if "staged" in found:
            stand.asked("credential", "activate", stand.name)
        serving, former = stand.label(), serving

    # Draining: the new one serves, and the old one can be had back.
    serving = work.labels()["active"]
    label, token = work.next()
    caller = threading.Thread(target=cut_off, args=(stand,))
    begun = time.monotonic()
    caller.start()
    door.await_note(serving, "which", begun)
    thread = work.begin(token)
    with closing(Local(stand.gateway.directory / "coatcheck.sock")) as api:
        wait_for(lambda: active_at(api.ask("GET", f"/credentials/{stand.name}")) == len(work.tokens))
    work.kill(thread)
    caller.join(WAIT_SECONDS)
    assert active_at(stand.asked("credential", "show", stand.name)) == len(work.tokens)
    assert (work.labels(), stand.label()) == ({"active": label, "previous": serving}, label)
    stand.asked("credential", "rollback", stand.name)
    assert (work.labels(), stand.label()) == ({"active": serving, "previous": label}, serving)


def test_the_key_is_changed_while_64_callers_call(stand: Stand, door: Door) -> None:
    work = Rotating(stand, door)
    label, token = work.next()
    stand.add("srv", door, token)
    home = stand.gateway.directory
    first = stand.asked("key", "show")["id"]
    crowd = stand.crowd()
    with crowd.calling():
        told = [stand.asked("key", "rotate") for _ in range(2)]
        crowd.until(label)
        follower, token = work.next()
        stand.rotate(token)
        crowd.until(follower)
    assert crowd.failures == []
    ids = [first, *(one["new_id"] for one in told)]
    assert [one["old_id"] for one in told] == ids[:2]
    assert len(set(ids)) == 3
    kept = {path.name: path.stat().st_mode & 0o777 for path in home.glob("coatcheck.key*")}
    former = {Path(one["former_path"]).name for one in told}
    assert former == {f"coatcheck.key.former-{id}" for id in ids[:2]}
    assert kept == dict.fromkeys({"coatcheck.key", *former}, 0o600)
    # As the documents advise: former keys go elsewhere, and nothing misses them.
    for name in former:
        (home / name).rename(home.parent / name)
    stand.gateway.restart()
    assert stand.asked("key", "show")["id"] == ids[-1]
    assert (stand.label(), work.labels()) == (follower, {"active": follower, "previous": label})
