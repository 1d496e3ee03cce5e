"""`coatcheck backup` from a gateway elsewhere, and what it never leaves behind; restore and migrate offline."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.fake_api import Canned, FakeApi, refusal, serving_at_port
from cli.ran import Run


@pytest.fixture
def made(data: Path, run: Run) -> Path:
    """A data directory with a store in it."""
    assert run("migrate").code == 0
    return data


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeApi, str]]:
    monkeypatch.setenv("COATCHECK_OPERATOR_TOKEN", "ccka_x")
    fake = FakeApi()
    with serving_at_port(fake) as url:
        yield fake, url


def test_with_no_gateway_and_none_overwritten(made: Path, run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    ran = run("backup", str(copy))
    assert (ran.code, json.loads(ran.out)) == (0, {"file": str(copy), "bytes": copy.stat().st_size})
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    before = copy.read_bytes()
    assert run("backup", str(copy)).code == 78
    assert copy.read_bytes() == before


def test_a_file_is_named_from_where_one_stands(
    made: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("backup", "copy").code == 0
    assert run("restore", "copy", "--data", "new").code == 0
    assert (tmp_path / "new" / "coatcheck.sqlite3").exists()


def test_there_is_nothing_to_back_up(data: Path, run: Run, tmp_path: Path) -> None:
    ran = run("backup", str(tmp_path / "copy"))
    assert ran.code == 78
    assert "there is no database" in ran.err


def test_from_elsewhere(far: tuple[FakeApi, str], made: Path, run: Run, tmp_path: Path) -> None:
    fake, url = far
    here, there = tmp_path / "here", tmp_path / "there"
    assert run("backup", str(here)).code == 0
    fake.answers["GET /backup"] = Canned(raw=here.read_bytes())
    assert run("backup", str(there), "--url", url).code == 0
    assert there.read_bytes() == here.read_bytes()
    assert stat.S_IMODE(there.stat().st_mode) == 0o600
    assert run("backup", str(there), "--url", url).code == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Canned(raw=b"<html>no</html>"), 78),
        (Canned(raw=b"half", length=9000), 69),
        (refusal(403, "role_lacks", "A viewer may not."), 77),
    ],
)
def test_what_is_not_whole_is_not_kept(
    far: tuple[FakeApi, str], run: Run, tmp_path: Path, answer: Canned, code: int
) -> None:
    fake, url = far
    fake.answers["GET /backup"] = answer
    ran = run("backup", str(tmp_path / "copy"), "--url", url)
    assert ran.code == code
    assert not (tmp_path / "copy").exists()


def test_restore_into_an_empty_directory_alone(made: Path, run: Run, tmp_path: Path) -> None:
    copy, place = tmp_path / "copy", tmp_path / "place"
    assert run("backup", str(copy)).code == 0
    ran = run("restore", str(copy), "--data", str(place))
    assert (ran.code, json.loads(ran.out)["data"]) == (0, str(place))
    assert json.loads(run("migrate", "--check", "--data", str(place)).out)["current"] is True
    assert run("restore", str(copy), "--data", str(place)).code == 78
    assert run("restore", str(tmp_path / "none"), "--data", str(tmp_path / "other")).code == 78
    assert not (tmp_path / "other").exists()


def test_migrate(data: Path, run: Run) -> None:
    ran = run("migrate", "--check")
    assert (ran.code, json.loads(ran.out)["revision"]) == (1, None)
    ran = run("migrate")
    assert (ran.code, json.loads(ran.out)["from"]) == (0, None)
    assert run("migrate", "--check").code == 0
    told = json.loads(run("migrate").out)
    assert told["from"] == told["to"]
