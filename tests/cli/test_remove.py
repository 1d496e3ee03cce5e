"""`coatcheck remove`: the server is gone, everything else stays, and a wrong name gets the right one."""

from __future__ import annotations

import json
from pathlib import Path

from cli.ran import Run
from cli.terminal import on_terminal

FILE = """{
  // what everyone needs
  "mcpServers": {
    "time": {"command": "uvx"}, // the clock
    "git": {"command": "uvx", "env": {"TOKEN": "canary-3310"}} // the other
  }
}
"""


def test_a_server_goes_and_the_rest_stays(data: Path, run: Run) -> None:
    file = data / "servers.json"
    file.write_text(FILE)
    file.chmod(0o640)
    ran = run("remove", "git")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {"server": "git", "file": str(file), "change": "removed", "live": None}
    assert file.read_text() == FILE.replace(
        '}, // the clock\n    "git": {"command": "uvx", "env": {"TOKEN": "canary-3310"}}',
        "} // the clock\n   ",
    )
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_terminal_gets_lines(data: Path) -> None:
    (data / "servers.json").write_text(FILE)
    code, shown = on_terminal(["remove", "time"])
    assert (code, shown) == (
        0,
        f"removed time from {data / 'servers.json'}\nno gateway is running; the next one reads it\n",
    )


def test_an_unknown_name_gets_the_right_one(data: Path, run: Run) -> None:
    (data / "servers.json").write_text(FILE)
    ran = run("remove", "tme")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"coatcheck: there is no server 'tme' in {data / 'servers.json'}\nfix: did you mean time?\n"
    )
    assert run("remove", "Time").code == 1
    assert "the servers are: time, git" in run("remove", "zzz").err
    assert (data / "servers.json").read_text() == FILE


def test_no_file_at_all(data: Path, run: Run) -> None:
    ran = run("remove", "time")
    assert (ran.code, ran.out) == (1, "")
    assert "there are no servers; `coatcheck add` declares one" in ran.err
    assert list(data.iterdir()) == []


def test_a_file_that_does_not_load_is_not_touched(data: Path, run: Run) -> None:
    bad = FILE.replace('"uvx"}', '"uvx",}')
    (data / "servers.json").write_text(bad)
    ran = run("remove", "git")
    assert (ran.code, ran.out) == (78, "")
    assert "line 4: there is a comma after the last entry" in ran.err
    assert (data / "servers.json").read_text() == bad


def test_what_needs_a_variable_can_go_too(data: Path, run: Run) -> None:
    (data / "servers.json").write_text(FILE.replace("canary-3310", "${ELSEWHERE}"))
    ran = run("remove", "time")
    assert ran.code == 0
    assert "ELSEWHERE is not set here" in ran.err
    assert run("remove", "git").err == ""
