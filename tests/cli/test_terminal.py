"""What a person sees on a terminal: tables and text, nothing a server could steer it with."""

from __future__ import annotations

import re
from pathlib import Path

from cli.fake_api import Canned, FakeApi, items
from cli.terminal import on_terminal
from cli.test_logs import ENTRY
from cli.test_servers import server, tool

EVIL = "\x1b[2J\x9b31m\u202e\x07"
OWN_STYLE = re.compile("\x1b\\[[0-9;]*m")


def steering(shown: str) -> set[str]:
    """Return characters that steer, but for the bold of our own headings."""
    return {char for char in OWN_STYLE.sub("", shown) if ord(char) < 32 and char != "\n"} | (
        set(shown) & {"\x9b", "\u202e", "\x7f"}
    )


def test_tables_of_servers_and_tools(api: FakeApi) -> None:
    api.answers["GET /servers"] = items(
        server("time"), server("git", state="failing", last_error=f"gone{EVIL}\nfor good")
    )
    code, shown = on_terminal(["list"])
    assert code == 0
    assert steering(shown) == set()
    lines = [line.split() for line in OWN_STYLE.sub("", shown).splitlines()]
    assert lines[0] == ["SERVER", "TRANSPORT", "STATE", "TOOLS", "LAST", "ERROR"]
    assert lines[1] == ["time", "stdio", "ready", "2"]
    assert lines[2] == ["git", "stdio", "failing", "2", "gone[2J31m", "for", "good"]
    schema = {"properties": {"zone": {}}, "required": ["zone"]}
    api.answers["GET /tools"] = items(tool("time", f"now{EVIL}", input_schema=schema), failing=[])
    code, shown = on_terminal(["tools"])
    assert code == 0
    assert steering(shown) == set()
    assert re.search(r"time +now\[2J31m +ambiguous +zone\* +Does it\.", shown)


def test_json_on_a_terminal_is_spread_out_and_safe(api: FakeApi) -> None:
    api.answers["GET /servers"] = items(server("git", last_error=f"gone{EVIL}"))
    code, shown = on_terminal(["list", "--json"])
    assert code == 0
    assert steering(shown) == set()
    assert '\n      "name": "git",\n' in shown
    assert "\\u001b[2J\\u009b31m\\u202e" in shown


def test_the_text_of_a_result(api: FakeApi) -> None:
    content = [
        {"type": "text", "text": f"noon{EVIL}\nsharp"},
        {"type": "image", "data": "aGk=", "mimeType": "a/b"},
    ]
    api.answers["POST /calls"] = Canned({"result": {"content": content}})
    code, shown = on_terminal(["call", "time", "now"])
    assert (code, shown) == (0, "noon[2J31m\nsharp\n[image: a/b, 2 bytes]\n")
    assert api.asked[-1].body == b'{"server": "time", "tool": "now", "arguments": {}}'
    code, shown = on_terminal(["call", "time", "now", "--json"])
    assert code == 0
    assert steering(shown) == set()
    assert shown.startswith('{\n  "content": [\n')


def test_the_record(api: FakeApi, data: Path) -> None:
    entry = {**ENTRY, "reason": f"because{EVIL}", "decision": "denied", "repeats": 3}
    api.answers["GET /records"] = items(entry)
    code, shown = on_terminal(["logs"])
    assert code == 0
    assert steering(shown) == set()
    assert re.search(r"ada +time +now +denied +ok +3 +because\[2J31m \(x3\)", shown)
    api.answers["GET /records"] = lambda asked: (
        Canned(lines=[{**entry, "position": 8}]) if "follow" in asked.query else items()
    )
    code, shown = on_terminal(["logs", "-f"])
    assert code == 69
    assert steering(shown) == set()
    assert "  ada  time  now  denied  ok  3  because[2J31m (x3)\n" in shown


def test_doctor_ends_in_the_next_step(data: Path) -> None:
    (data / "servers.json").write_text('{"mcpServers": {"x": {"command": "no-such-program-here"}}}')
    code, shown = on_terminal(["doctor"])
    assert code == 1
    assert steering(shown) == set()
    lines = OWN_STYLE.sub("", shown).splitlines()
    assert "fail    command of x: no-such-program-here is not found on this machine" in lines
    assert lines[-1].startswith("next: install no-such-program-here")


def test_configuration(data: Path) -> None:
    file = data / "servers.json"
    file.write_text('{"mcpServers": {\n"x": {"command": 1}}}')
    code, shown = on_terminal(["config", "check"])
    assert code == 78
    assert f"{file}:2: /mcpServers/x/command: must be a string" in shown
    code, shown = on_terminal(["config", "show"])
    assert code == 0
    assert re.search(r"call_timeout +120 s +default", shown)
    assert f"servers file: {file} (from the usual place)" in shown
