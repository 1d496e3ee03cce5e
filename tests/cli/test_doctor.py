"""`coatcheck doctor`: what each check says of good and bad, and what it tells to do next."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.fake_api import Canned, FakeApi, items, refusal
from cli.objects import due
from cli.ran import Ran, Run
from cli.test_servers import server, tool
from coatcheck.cli.looking.doctor.finding import Finding, Status, fail, next_step, ok, warn
from coatcheck.cli.looking.doctor.machine import (
    LEAST_FREE,
    LOW_FREE,
    check_directory,
    check_python,
    check_space,
)
from coatcheck.cli.looking.doctor.running import check_name_lengths, check_server
from coatcheck.cli.looking.doctor.settings import check_command
from coatcheck.model.secret import Secret
from coatcheck.model.server import StdioReach

LAST_WORDS = [f"line {n}\x1b" for n in range(9)]
SERVERS = json.dumps({"mcpServers": {"here": {"command": sys.executable}}})


@pytest.fixture
def well(api: FakeApi, data: Path) -> FakeApi:
    """A machine on which nothing is wrong."""
    (data / "servers.json").write_text(SERVERS)
    api.answers["GET /servers"] = items(server("here"))
    api.answers["GET /tools"] = items(tool("here", "now"), failing=[])
    api.answers["GET /credentials/plan"] = items()
    api.answers["GET /key"] = Canned({"id": "0a1b2c3d", "origin": ""})
    (data / "coatcheck.key").write_text("")
    return api


def found(ran: Ran, *statuses: str) -> list[dict[str, Any]]:
    return [each for each in json.loads(ran.out)["items"] if each["status"] in statuses]


def test_all_is_well(well: FakeApi, run: Run) -> None:
    ran = run("doctor")
    assert ran.code == 0
    assert found(ran, "warn", "fail") == []
    assert [each["check"] for each in found(ran, "ok")] == [
        "python",
        "settings",
        "data directory",
        "disk space",
        "servers file",
        "address",
        "command of here",
        "gateway",
        "record",
        "server here",
        "credentials",
        "tool names",
    ]
    assert "connect a client" in json.loads(ran.out)["next_step"]


def test_no_gateway_is_a_warning_and_starts_nothing(data: Path, run: Run) -> None:
    (data / "servers.json").write_text(SERVERS)
    before = sorted(path.name for path in data.iterdir())
    ran = run("doctor")
    assert ran.code == 0
    (only,) = found(ran, "warn", "fail")
    assert only["check"] == "gateway"
    assert "coatcheck serve" in json.loads(ran.out)["next_step"]
    assert sorted(path.name for path in data.iterdir()) == before


def test_a_machine_where_nothing_was_set_up(tmp_path: Path, run: Run) -> None:
    ran = run("doctor", "--data", str(tmp_path / "not" / "yet"))
    assert ran.code == 0
    assert [each["check"] for each in found(ran, "warn")] == ["data directory", "servers file", "gateway"]
    assert not (tmp_path / "not").exists()


def test_settings_that_do_not_load(well: FakeApi, run: Run, data: Path) -> None:
    assert run("doctor").code == 0
    (data / "coatcheck.toml").write_text("nonsense = 1\n")
    ran = run("doctor")
    assert ran.code == 1
    (only,) = found(ran, "fail")
    assert only["check"] == "settings"
    assert "nonsense" in only["message"]


def test_problems_and_notices_of_the_file(well: FakeApi, run: Run, data: Path) -> None:
    (data / "servers.json").write_text('{"mcpServers": {\n"a": {"command": 1},\n"b": {"url": 2}}}')
    ran = run("doctor")
    assert ran.code == 1
    fails = found(ran, "fail")
    assert [each["check"] for each in fails] == ["servers file", "servers file"]
    assert ":2: /mcpServers/a/command" in fails[0]["message"]
    (data / "servers.json").write_text('{"mcpServers": {"a": {"command": "sh", "alwaysAllow": []}}}')
    ran = run("doctor")
    assert ran.code == 0
    assert [each["check"] for each in found(ran, "warn")] == ["servers file"]


def test_an_address_open_to_strangers(well: FakeApi, run: Run, data: Path) -> None:
    assert run("doctor").code == 0
    (data / "coatcheck.toml").write_text('http = "0.0.0.0:8080"\n')
    ran = run("doctor")
    assert (ran.code, [each["check"] for each in found(ran, "fail")]) == (1, ["address"])


def test_a_bad_edit_is_told_with_its_problems(well: FakeApi, run: Run) -> None:
    problem = {"line": 4, "where": "/mcpServers/x", "message": "unknown key 'y'", "fix": "remove it"}
    edit = {"path": "/d/servers.json", "error": "1 problem", "problems": [problem], "notices": []}
    well.answers["GET /status"] = well.status(config=edit)
    ran = run("doctor")
    assert ran.code == 1
    (only,) = found(ran, "fail")
    assert only["check"] == "last edit"
    assert only["detail"] == ["/d/servers.json:4: /mcpServers/x: unknown key 'y'"]
    assert json.loads(ran.out)["next_step"] == "remove it"


def test_a_key_file_that_is_gone(well: FakeApi, run: Run, data: Path) -> None:
    assert found(run("doctor"), "warn", "fail") == []
    (data / "coatcheck.key").unlink()
    ran = run("doctor")
    (only,) = found(ran, "warn", "fail")
    assert (ran.code, only["check"]) == (0, "key")
    assert "next start will be sealed" in only["message"]
    well.answers["GET /key"] = Canned({"id": "0a1b2c3d", "origin": "COATCHECK_KEY"})
    assert found(run("doctor"), "warn", "fail") == [], "it is given from outside"


def test_stored_rows_that_were_changed_outside(well: FakeApi, run: Run) -> None:
    well.answers["GET /status"] = well.status(damaged=[])
    assert run("doctor").code == 0
    well.answers["GET /status"] = well.status(damaged=["grant alice-laptop"])
    ran = run("doctor")
    assert ran.code == 1
    (only,) = [each for each in json.loads(ran.out)["items"] if each["status"] == "fail"]
    assert only["check"] == "store"
    assert "grant alice-laptop" in only["message"]


def test_a_record_that_cannot_be_written(well: FakeApi, run: Run) -> None:
    well.answers["GET /status"] = well.status(ready=False, ledger={"healthy": False, "error": "disk full"})
    ran = run("doctor")
    assert ran.code == 1
    (only,) = found(ran, "fail")
    assert "disk full" in only["message"]


def test_not_ready_and_another_version_are_warnings(well: FakeApi, run: Run) -> None:
    well.answers["GET /status"] = well.status(ready=False, version="0.0.9")
    ran = run("doctor")
    assert ran.code == 0
    assert [each["check"] for each in found(ran, "warn")] == ["gateway", "record"]


@pytest.mark.parametrize(
    "answer", [Canned({}), Canned([]), Canned("text"), Canned({"version": "1"}), refusal(500, "x", "y")]
)
def test_a_gateway_that_answers_otherwise(well: FakeApi, run: Run, answer: Canned) -> None:
    assert run("doctor").code == 0
    well.answers["GET /status"] = answer
    ran = run("doctor")
    assert ran.code == 1
    assert [each["check"] for each in found(ran, "fail")] == ["gateway"]


def test_a_failing_server_tells_its_last_words(well: FakeApi, run: Run) -> None:
    bad = server("here", state="failing", last_error="it exited with 7", stderr=LAST_WORDS)
    well.answers["GET /servers"] = items(bad)
    ran = run("doctor")
    assert ran.code == 1
    (only,) = found(ran, "fail")
    assert only["message"] == "it exited with 7"
    assert [line[:6] for line in only["detail"]] == [f"line {n}" for n in range(4, 9)]
    assert next(asked for asked in well.asked if asked.path == "/servers").query == {"probe": "true"}


def test_credentials_that_fail_and_that_are_late(well: FakeApi, run: Run) -> None:
    plan = [
        due("a", "failing", "never verified"),
        due("b", "lacking", used_by=[]),
        due("c", "overdue"),
        due("d", "due"),
    ]
    well.answers["GET /credentials/plan"] = items(*plan)
    ran = run("doctor")
    assert ran.code == 1
    (bad,) = found(ran, "fail")
    assert (bad["check"], bad["fix"]) == ("credential a", "coatcheck credential rotate a")
    assert [each["check"] for each in found(ran, "warn")] == ["credential b", "credential c"]
    assert json.loads(ran.out)["next_step"] == "coatcheck credential rotate a"


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({}, Status.OK, "2 tools"),
        ({"state": "idle", "tools": None}, Status.OK, "not asked for"),
        ({"state": "stopped"}, Status.OK, "stopped"),
        ({"degraded": True, "last_error": "timed out"}, Status.WARN, "timed out"),
        ({"quarantined": ["p\u0430ypal"]}, Status.WARN, "p\u0430ypal"),
        ({"state": "failing"}, Status.FAIL, "does not answer"),
        ({"state": "failing", "transport": "http", "reach": "http://x/mcp"}, Status.FAIL, "does not answer"),
    ],
)
def test_each_state_of_a_server(changes: dict[str, Any], status: Status, says: str) -> None:
    finding = check_server(server("x", **changes))
    assert finding.status is status
    assert says in finding.message
    assert bool(finding.fix) == (status is not Status.OK)


def test_names_too_long_with_a_prefix() -> None:
    assert check_name_lengths([]).status is Status.OK
    assert check_name_lengths(["x" * 53]).status is Status.OK
    finding = check_name_lengths(["x" * 54, *(f"{n}" * 60 for n in range(7)), "short"])
    assert finding.status is Status.WARN
    assert "8 are over 64" in finding.message
    assert "and 3 more" in finding.message


def test_python() -> None:
    assert check_python((3, 11)).status is Status.OK
    assert check_python((3, 10)).status is Status.FAIL


@pytest.mark.parametrize(
    ("free", "status"),
    [
        (LOW_FREE, Status.OK),
        (LOW_FREE - 1, Status.WARN),
        (LEAST_FREE, Status.WARN),
        (LEAST_FREE - 1, Status.FAIL),
    ],
)
def test_space(free: int, status: Status) -> None:
    assert check_space(free, Path("/d")).status is status


@pytest.mark.parametrize(
    ("mode", "status"), [(0o700, Status.OK), (0o750, Status.WARN), (0o705, Status.WARN), (0o770, Status.FAIL)]
)
def test_modes_of_the_data_directory(tmp_path: Path, mode: int, status: Status) -> None:
    tmp_path.chmod(mode)
    try:
        first = next(check_directory(tmp_path))
        assert first.status is status
        assert stat.S_IMODE(tmp_path.stat().st_mode) == mode
    finally:
        tmp_path.chmod(0o700)


def test_a_data_directory_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert [each.status for each in check_directory(file)] == [Status.FAIL]
    assert [each.status for each in check_directory(file / "below")] == [Status.FAIL]


def test_commands_are_looked_for_where_the_child_will(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "clerk"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    path = {"PATH": str(program.parent)}

    def status(reach: StdioReach, environment: dict[str, str]) -> Status:
        return check_command("x", reach, environment).status

    assert status(StdioReach("clerk"), path) is Status.OK
    assert status(StdioReach("clerk"), {"PATH": os.defpath}) is Status.FAIL
    assert status(StdioReach("clerk"), {}) is Status.FAIL
    assert status(StdioReach("clerk", env={"PATH": Secret(path["PATH"])}), {}) is Status.OK
    assert status(StdioReach(str(program)), {}) is Status.OK
    assert status(StdioReach("bin/clerk", cwd=str(tmp_path)), {}) is Status.OK
    assert status(StdioReach("bin/clerk", cwd=str(tmp_path / "bin")), {}) is Status.FAIL
    assert status(StdioReach("clerk", cwd=str(tmp_path / "absent")), path) is Status.FAIL
    program.chmod(0o600)
    assert status(StdioReach("clerk"), path) is Status.FAIL


def test_the_next_step_is_the_first_failure_before_any_warning() -> None:
    findings: list[Finding] = [ok("a", "fine"), warn("b", "odd", "look")]
    findings += [fail("c", "bad", "mend"), fail("d", "bad", "more")]
    assert next_step(findings, "rest") == "mend"
    assert next_step(findings[:2], "rest") == "look"
    assert next_step(findings[:1], "rest") == "rest"
