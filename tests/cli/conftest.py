"""Gives the tests of this folder a data directory with a fake gateway in it, and a way to run commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # so that tests can import `cli.fake_api`, as mypy does

from cli.fake_api import FakeApi, serving
from cli.ran import Ran, Run
from coatcheck.cli import main


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test finds the configuration of the machine it runs on."""
    for name in list(os.environ):
        if name.startswith(("COATCHECK_", "MCP_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory, named by the environment."""
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("COATCHECK_DATA", str(directory))
    return directory


@pytest.fixture
def api(data: Path) -> Iterator[FakeApi]:
    """A fake gateway that runs in the data directory."""
    fake = FakeApi()
    fake.answers["GET /status"] = fake.status()
    with serving(data / "coatcheck.sock", fake):
        yield fake


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, its output a pipe."""

    def run_command(*arguments: str) -> Ran:
        capfd.readouterr()
        code = main(list(arguments))
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return run_command
