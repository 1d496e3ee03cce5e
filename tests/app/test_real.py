"""Randomness that is drawn for many identifiers at once: never the same twice, in a forked copy neither."""

from __future__ import annotations

import subprocess
import sys

from coatcheck.app.real import DRAWN_BYTES, ID_BYTES, SystemEntropy

FORKED = """
import os
from coatcheck.app.real import SystemEntropy
entropy = SystemEntropy()
before = entropy.token(16)
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, entropy.token(16))
    os._exit(0)
print(before.hex(), entropy.token(16).hex(), os.read(reading, 16).hex())
os.wait()
"""


def test_no_identifier_is_given_twice() -> None:
    entropy, other = SystemEntropy(), SystemEntropy()
    count = 3 * DRAWN_BYTES // ID_BYTES + 1
    given = [source.token(ID_BYTES) for _ in range(count) for source in (entropy, other)]
    assert {len(one) for one in given} == {ID_BYTES}
    assert len(set(given)) == 2 * count


def test_other_sizes_are_not_drawn_beforehand() -> None:
    entropy = SystemEntropy()
    entropy.token(ID_BYTES)
    drawn = entropy._drawn
    given = [entropy.token(size) for size in (0, 1, 12, 24, 32, DRAWN_BYTES + 1)]
    assert [len(one) for one in given] == [0, 1, 12, 24, 32, DRAWN_BYTES + 1]
    assert all(len(one) < 12 or one not in drawn for one in given)
    assert (entropy._drawn, entropy._given) == (drawn, ID_BYTES)


def test_a_forked_copy_gives_its_own() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=30, check=True
    )
    given = ended.stdout.split()
    assert [len(one) for one in given] == [32, 32, 32]
    assert len(set(given)) == 3
