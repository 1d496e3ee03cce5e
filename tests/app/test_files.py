"""Exported records whose lines are too long: each is named, and what comes after it is judged as well."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from coatcheck.app.keeping.files import verify_file
from coatcheck.app.keeping.proof import MOST_LINE, Proof
from coatcheck.core.recording.notes import SigningKey
from coatcheck.errors import ConfigError

LOG = "0123456789abcdef"
FIRST = json.dumps({"log": LOG, "first": 0, "before": 0}).encode() + b"\n"
PROOF = Proof([SigningKey(LOG, bytes(32)).public], None)


@pytest.mark.parametrize("rest", [b"", b"\n", b"\nnonsense\n"])
def test_a_line_that_is_too_long_is_named_as_such(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "record.jsonl.gz"
    path.write_bytes(gzip.compress(FIRST + b"x" * (2 * MOST_LINE + 5) + rest, 1))
    report = verify_file(path, PROOF)
    assert not report.sound
    found = [one.words for one in report.findings]
    assert found[0] == f"line 2 of {path} is longer than 16 MiB"
    assert found[1:] == ([f"line 3 of {path} is no JSON"] if b"nonsense" in rest else [])


def test_a_first_line_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl.gz"
    path.write_bytes(gzip.compress(b"x" * (MOST_LINE + 1), 1))
    with pytest.raises(ConfigError, match="is no exported record: the first line is longer than 16 MiB"):
        verify_file(path, PROOF)
    path.write_bytes(gzip.compress(FIRST))
    with pytest.raises(ConfigError, match="has no entry"):
        verify_file(path, PROOF)
