"""`coatcheck config`: every problem in one go, and where each setting comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.ran import Run

SOUND = '{"mcpServers": {"time": {"command": "uvx", "env": {"KEY": "canary-5417"}}}}'
BROKEN = """{
  "mcpServers": {
    "time": {"command": 7},
    "git": {"command": "uvx", "nonsense": true},
    "web": {"url": "https://mcp.example", "headers": {"A": "${NOT_SET_ANYWHERE}"}}
  }
}"""


def test_a_sound_file(data: Path, run: Run) -> None:
    (data / "servers.json").write_text(SOUND)
    ran = run("config", "check")
    assert (ran.code, json.loads(ran.out)) == (0, {"items": [], "next": None})
    assert f"{data / 'servers.json'} is sound: 1 server" in ran.err


def test_no_file_at_all(data: Path, run: Run) -> None:
    ran = run("config", "check")
    assert (ran.code, json.loads(ran.out)["items"]) == (0, [])
    assert "there is no servers file" in ran.err


def test_every_problem_in_one_go(data: Path, run: Run) -> None:
    file = data / "servers.json"
    file.write_text(SOUND)
    assert run("config", "check").code == 0
    file.write_text(BROKEN)
    ran = run("config", "check")
    assert ran.code == 78
    items = json.loads(ran.out)["items"]
    assert [(each["severity"], each["file"], each["line"]) for each in items] == [
        ("error", str(file), line) for line in (3, 4, 5)
    ]
    assert "NOT_SET_ANYWHERE" in items[2]["message"]
    assert all(set(each) == {"severity", "file", "line", "where", "message", "fix"} for each in items)
    assert "3 errors" in ran.err


def test_a_named_file_is_judged_instead(data: Path, tmp_path: Path, run: Run) -> None:
    (data / "servers.json").write_text(BROKEN)
    other = tmp_path / "other.json"
    other.write_text(SOUND)
    assert run("config", "check", str(other)).code == 0
    assert run("config", "check", "--config", str(other)).code == 0
    ran = run("config", "check", str(tmp_path / "absent.json"))
    assert ran.code == 78
    assert "absent.json" in ran.out


def test_notices_do_not_fail(data: Path, run: Run) -> None:
    (data / "servers.json").write_text('{"mcpServers": {"time": {"command": "uvx", "autoApprove": []}}}')
    ran = run("config", "check")
    assert ran.code == 0
    assert [each["severity"] for each in json.loads(ran.out)["items"]] == ["notice"]


def test_text_that_is_not_json_has_its_line(data: Path, run: Run) -> None:
    (data / "servers.json").write_text('{\n  "mcpServers": {\n    "a": }\n}')
    ran = run("config", "check")
    assert ran.code == 78
    assert json.loads(ran.out)["items"][0]["line"] == 3


def test_the_json_of_the_environment(data: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_SERVERS_CONFIG", SOUND)
    assert run("config", "check").code == 0
    monkeypatch.setenv("MCP_SERVERS_CONFIG", BROKEN)
    ran = run("config", "check")
    assert ran.code == 78
    assert {each["file"] for each in json.loads(ran.out)["items"]} == {"MCP_SERVERS_CONFIG"}


def test_settings_are_checked_too(data: Path, run: Run) -> None:
    file = data / "servers.json"
    file.write_text(BROKEN)
    (data / "coatcheck.toml").write_text('http = "nowhere:99999"\ncall_timeuot = "3s"\n')
    ran = run("config", "check", str(file))
    assert ran.code == 78
    items = json.loads(ran.out)["items"]
    assert [each["file"] for each in items] == ["settings", "settings", *[str(file)] * 3]
    assert any("call_timeout" in each["message"] for each in items[:2])


def test_an_open_address_without_authentication(data: Path, run: Run) -> None:
    (data / "servers.json").write_text(SOUND)
    assert run("config", "check").code == 0
    (data / "coatcheck.toml").write_text('http = "0.0.0.0:8080"\n')
    ran = run("config", "check")
    assert ran.code == 78
    messages = [each["message"] for each in json.loads(ran.out)["items"]]
    assert len(messages) == 2
    assert "--insecure" in messages[0]
    (data / "servers.json").unlink()
    assert run("config", "check").code == 78


def test_show_names_value_and_source(data: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "servers.json").write_text(SOUND)
    (data / "coatcheck.toml").write_text('call_timeout = "5s"\n')
    monkeypatch.setenv("COATCHECK_LOG_LEVEL", "debug")
    ran = run("config", "show")
    assert ran.code == 0
    shown = json.loads(ran.out)
    by_name = {each["name"]: (each["value"], each["source"]) for each in shown["items"]}
    assert by_name["call_timeout"] == (5.0, f"{data / 'coatcheck.toml'} line 1")
    assert by_name["log_level"] == ("debug", "COATCHECK_LOG_LEVEL")
    assert by_name["http"] == ("127.0.0.1:8080", "default")
    assert by_name["data"][1] == "COATCHECK_DATA"
    assert shown["servers_file"] == {"path": str(data / "servers.json"), "source": "the usual place"}
    assert run("config", "show", "--data", str(data)).out.count('"--data"') == 1


def test_show_and_check_tell_no_secret(data: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_SERVERS_CONFIG", SOUND)
    for command in (["config", "show"], ["config", "check"], ["doctor"]):
        ran = run(*command)
        assert ran.out
        assert "canary-5417" not in ran.out + ran.err


@pytest.mark.parametrize("command", ["config show", "list", "tools", "call a b {}", "logs", "serve"])
def test_bad_settings_end_every_command_alike(
    data: Path, run: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COATCHECK_LOG_LEVEL", "loud")
    ran = run(*command.split())
    assert (ran.code, ran.out) == (78, "")
    assert "COATCHECK_LOG_LEVEL" in ran.err
    assert "Traceback" not in ran.err


def test_the_debug_switch_is_no_unknown_setting(
    data: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COATCHECK_DEBUGG", "1")
    assert run("config", "show").code == 78
    monkeypatch.delenv("COATCHECK_DEBUGG")
    monkeypatch.setenv("COATCHECK_DEBUG", "1")
    assert run("config", "show").code == 0
