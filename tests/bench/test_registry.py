"""What the measurement of many grants makes of what it saw."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import pytest

from bench.registry import NO_ANSWER, Revoked, environment, found_in

SECRET = 'planted-\u00e9/+"value'


@pytest.mark.parametrize(
    "written",
    [
        SECRET.encode(),
        *(base64.b64encode(b"a" * before + SECRET.encode() + b"zz") for before in range(4)),
        SECRET.encode().hex().encode(),
        quote(SECRET, safe="").encode(),
        json.dumps({"key": SECRET}).encode(),
    ],
)
def test_a_secret_is_found_however_it_was_written(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "innocent").write_bytes(b"planted-value")
    assert found_in(tmp_path, [SECRET]) == []
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_bytes(b"before" * 100 + written + b"after")
    assert found_in(tmp_path, [SECRET]) == [str(tmp_path / "sub" / "file")]


def test_every_answer_but_a_refusal_counts_as_passed() -> None:
    told = Revoked(after=Counter({401: 90, 200: 3, 503: 2}))
    assert (told.passed, told.after[NO_ANSWER]) == (5, 0)
    assert Revoked(after=Counter({401: 90})).passed == 0


def test_shares_of_the_revokings() -> None:
    told = Revoked(seconds=[number / 1000 for number in range(200, 0, -1)])
    assert [round(told.at(share)) for share in (0.5, 0.99, 1.0)] == [101, 199, 200]
    assert Revoked(seconds=[0.004]).at(0.99) == 4


def test_the_program_has_bytecode_as_an_installed_one_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("COATCHECK_DATA", "/elsewhere")
    found = environment()
    assert "PYTHONPYCACHEPREFIX" in found
    assert not {"PYTHONDONTWRITEBYTECODE", "COATCHECK_DATA"} & set(found)
