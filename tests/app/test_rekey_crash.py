"""Killed at each step of a change of keys, in the middle of edits: everything opens, and no edit is lost.

`COATCHECK_TEST_ROWS` says how many grants there are; a fifth of that are credentials.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coatcheck.app.real import SystemEntropy
from coatcheck.app.unsealing.key_files import NEXT_FILE, id_in
from coatcheck.app.unsealing.keys import KEY_FILE
from coatcheck.app.unsealing.opening import unseal
from coatcheck.model.credential import Stage
from coatcheck.model.registry import Registry
from coatcheck.store.opening import open_database
from registered import a_credential, a_grant, a_version, an_edit

CHILD = Path(__file__).with_name("rekey_crash_child.py")
ROWS = int(os.environ.get("COATCHECK_TEST_ROWS", "500"))
STEPS = ("prepared", "computed", "written", "committed", "kept", "settled")
RANDOM_KILLS = 2


async def seed(home: Path) -> str:
    database = open_database(home)
    _, store = await unseal(database, home, {}, SystemEntropy())
    credentials = [a_credential(f"c{number}", versions=(a_version(1),)) for number in range(ROWS // 5)]
    await store.commit(an_edit([*(a_grant(f"g{number}") for number in range(ROWS)), *credentials]))
    proof = store.pepper.prove("token")
    database.close()
    return proof


def run_until_dead(home: Path, notes: Path, step: str, chance: random.Random) -> None:
    """Run the child until it killed itself; with no step, kill it at some moment of a change."""
    paths = [str(CHILD.parents[1]), *(path for path in sys.path if path)]
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(home), str(notes), step],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    try:
        limit = time.monotonic() + 50
        begun = len(notes.read_bytes()) if notes.exists() else 0
        while child.poll() is None and time.monotonic() < limit:
            time.sleep(0.005)
            if not step and notes.exists() and len(notes.read_bytes()) > begun:
                time.sleep(chance.random() * (0.3 + ROWS / 5_000))
                break
        assert step == "" or child.poll() == -9, "it did not come to its step"
    finally:
        child.kill()
        child.wait()


async def look(home: Path, proof: str) -> tuple[str, Registry]:
    """Open the store as a start does; return the key in force and what it opens."""
    database = open_database(home)
    try:
        keys, store = await unseal(database, home, {}, SystemEntropy())
        assert (keys.id, id_in(home / KEY_FILE)) == (store.key_id, store.key_id)
        assert not (home / NEXT_FILE).exists()
        assert store.pepper.prove("token") == proof
        return keys.id, await store.load()
    finally:
        database.close()


@pytest.mark.timeout(600 if ROWS > 1_000 else 60)
async def test_killed_at_every_step_everything_opens_and_no_edit_is_lost(tmp_path: Path) -> None:
    home, notes = tmp_path / "home", tmp_path / "notes"
    proof = await seed(home)
    former, _ = await look(home, proof)
    chance, turns = random.Random(20261121), 0
    for step in (*STEPS, *[""] * RANDOM_KILLS):
        run_until_dead(home, notes, step, chance)
        key, loaded = await look(home, proof)
        assert loaded.damaged == ()
        if step:
            assert (key != former) == (step in {"committed", "kept", "settled"}), step
        turns += key != former
        former = key
        words = notes.read_text().split()
        done = [word for word in words if word != "rotated"]
        labels = {grant.label for grant in loaded.grants.values()}
        assert set(done) <= labels, "nothing acknowledged is lost"
        edits = len(labels) - ROWS
        rotations = sum(one.version - 1 for one in loaded.credentials.values())
        assert rotations == edits, "each edit is whole"
        for one in loaded.credentials.values():
            active = one.at(Stage.ACTIVE)
            assert active is not None
            assert active.material is not None, "and opens"
            assert active.number == one.version
            if one.version > 1:
                assert active.material.reveal() == f"planted-{one.name}-{one.version}"
    assert len(done) > 0
    assert turns >= 3
    kept = [path.name for path in home.glob("coatcheck.key.former-*")]
    assert len(kept) >= turns
