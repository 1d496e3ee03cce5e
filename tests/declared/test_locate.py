"""Where `servers.json` is looked for, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coatcheck.declared.locate import Found, locate


@pytest.fixture
def places(tmp_path: Path) -> Any:
    """Return an environment and a data directory in which every place has a file, best first by removal."""
    home, data = tmp_path / "home", tmp_path / "data"
    for path in (home / ".config/mcp/servers.json", data / "servers.json"):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    environment = {
        "COATCHECK_CONFIG": str(tmp_path / "own.json"),
        "MCP_SERVERS_CONFIG": "{}",
        "MCP_CONFIG_PATH": str(tmp_path / "theirs.json"),
        "HOME": str(home),
    }
    return environment, data


def test_the_order(places: tuple[dict[str, str], Path], tmp_path: Path) -> None:
    environment, data = places
    assert locate(tmp_path / "given.json", environment, data) == Found(
        tmp_path / "given.json", origin="config"
    )
    assert locate(None, environment, data) == Found(tmp_path / "own.json", origin="COATCHECK_CONFIG")
    del environment["COATCHECK_CONFIG"]
    assert locate(None, environment, data) == Found(text="{}", origin="MCP_SERVERS_CONFIG")
    environment["MCP_SERVERS_CONFIG"] = " \n"
    assert locate(None, environment, data) == Found(tmp_path / "theirs.json", origin="MCP_CONFIG_PATH")
    environment["MCP_CONFIG_PATH"] = ""
    assert locate(None, environment, data).path == data / "servers.json"
    (data / "servers.json").unlink()
    assert locate(None, environment, data).path == tmp_path / "home/.config/mcp/servers.json"
    (tmp_path / "home/.config/mcp/servers.json").unlink()
    found = locate(None, environment, data)
    assert (found.path, found.text) == (None, None)
    assert found.awaited == (data / "servers.json", tmp_path / "home/.config/mcp/servers.json")


def test_a_link_to_nowhere_is_a_place_that_was_chosen(places: tuple[dict[str, str], Path]) -> None:
    environment: dict[str, str] = {}
    data = places[1]
    (data / "servers.json").unlink()
    assert locate(None, environment, data).path is None
    (data / "servers.json").symlink_to("gone")
    assert locate(None, environment, data).path == data / "servers.json"


def test_without_a_home_there_is_the_data_directory(tmp_path: Path) -> None:
    assert locate(None, {}, tmp_path).awaited == (tmp_path / "servers.json",)


def test_paths_are_whole_whatever_the_directory_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate(None, {"MCP_CONFIG_PATH": "x.json"}, tmp_path).path == tmp_path / "x.json"
