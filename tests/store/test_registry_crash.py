"""A gateway killed at any moment in the middle of admin writes: what was acknowledged is there, and nothing half."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coatcheck.model.change import ChangeFilter
from coatcheck.model.secret import Secret
from coatcheck.store.opening import open_database
from coatcheck.store.registry.store import StoredRegistry
from registered import KEYS, SystemEntropy

KILLS = 6
CHILD = Path(__file__).with_name("registry_crash_child.py")


def run_and_kill(directory: Path, notes: Path, acknowledged: int, url: Secret | None) -> None:
    paths = [str(CHILD.parents[1]), *(path for path in sys.path if path)]
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(directory), str(notes), *([url.reveal()] if url else [])],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    try:
        deadline = time.monotonic() + 30
        while len(noted(notes)[1]) < acknowledged and time.monotonic() < deadline:
            assert child.poll() is None, "the child ended by itself"
            time.sleep(0.002)
    finally:
        child.kill()
        child.wait()


def noted(path: Path) -> tuple[set[str], set[str]]:
    """Return the edits that were tried and those that were acknowledged."""
    words = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    tried, done = (
        {word[1] for word in words if len(word) == 2 and word[0] == kind} for kind in ("tried", "done")
    )
    return tried, done


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_killed_again_and_again_no_edit_is_lost_or_half(
    kind: str, directory: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("emptied_url") if kind == "postgresql" else None
    notes = tmp_path / "notes"
    for kill in range(1, KILLS + 1):
        run_and_kill(directory, notes, kill * 15 + kill, url)
    tried, done = noted(notes)
    assert len(done) >= KILLS * 15

    database = opened_when_free(directory, url)
    store = await StoredRegistry.open(database, KEYS, SystemEntropy())
    loaded = await store.load()
    logged = [entry.change for entry in await store.list_changes(ChangeFilter(limit=10_000))]
    database.close()
    assert loaded.damaged == ()
    edits = {change.object_name for change in logged}
    assert done - edits == set(), "nothing acknowledged is lost"
    assert edits - tried == set()
    # Each edit makes a grant and a subject, and changes one grant of before: all of it, or nothing.
    assert {grant.label for grant in loaded.grants.values()} == edits
    assert set(loaded.subjects) == edits
    for grant in loaded.grants.values():
        own = [change for change in logged if change.object_id == grant.id]
        assert len(own) == grant.version
        assert {json.loads(change.after)["version"] for change in own} == set(range(1, grant.version + 1))


def opened_when_free(directory: Path, url: Secret | None):  # type: ignore[no-untyped-def]
    """Open the database; a server may need a moment to see that the one before was killed."""
    from coatcheck.errors import ConfigError

    deadline = time.monotonic() + 20
    while True:
        try:
            return open_database(directory, url)
        except ConfigError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
