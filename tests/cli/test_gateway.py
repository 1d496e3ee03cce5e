"""The commands with the real gateway, running or started for one command, in front of a real server."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.ran import Ran
from coatcheck.cli import main
from coatcheck.cli.reaching import gateway as gateway_of_commands
from coatcheck.store.engines.directory import DirectoryLock

CLERK = Path(__file__).parent / "children" / "clerk.py"
COMMAND = [sys.executable, "-m", "coatcheck"]


@pytest.fixture
def home(data: Path) -> Path:
    """A data directory whose servers file declares the clerk."""
    clerk = {"command": sys.executable, "args": [str(CLERK)], "env": {"HANGING": str(data / "hanging")}}
    (data / "servers.json").write_text(json.dumps({"mcpServers": {"clerk": clerk}}))
    return data


def run(*arguments: str, stdin: str | None = None) -> Ran:
    done = subprocess.run(
        [*COMMAND, *arguments], input=stdin or "", capture_output=True, text=True, check=False, timeout=30
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `coatcheck serve` until the block ends; the socket answers when it begins."""
    child = subprocess.Popen(
        [*COMMAND, "serve", "--http", "127.0.0.1:0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stderr is not None
        for line in child.stderr:
            if "listening on" in line:
                break
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        child.communicate(timeout=15)


def until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def text_of(ran: Ran) -> str:
    content: list[dict[str, Any]] = json.loads(ran.out)["content"]
    return str(content[0]["text"])


def test_each_command_without_a_gateway(home: Path) -> None:
    listed = run("list")
    assert (listed.code, listed.err) == (0, "")
    (clerk,) = json.loads(listed.out)["items"]
    assert (clerk["name"], clerk["transport"], clerk["state"], clerk["tools"]) == (
        "clerk",
        "stdio",
        "ready",
        4,
    )
    assert is_gone(clerk["pid"])
    tools = run("tools", "clerk")
    assert tools.code == 0
    assert [each["name"] for each in json.loads(tools.out)["items"]] == ["echo", "refuse", "pid", "hang"]
    pid = run("call", "clerk", "pid")
    assert (pid.code, pid.err) == (0, "")
    assert is_gone(int(text_of(pid)))
    logged = run("logs")
    assert [json.loads(line)["tool"] for line in logged.out.splitlines()] == ["pid"]
    assert not (home / "coatcheck.sock").exists()


def test_calls_without_a_gateway(home: Path) -> None:
    echoed = run("call", "clerk", "echo", stdin='{"text": "ö", "n": 1.10}')
    assert echoed.code == 0
    assert '"n": 1.10' in echoed.out
    refused = run("call", "clerk", "refuse", "{}")
    assert (refused.code, text_of(refused)) == (1, "no such luck")
    unknown = run("call", "clerk", "eco", "{}")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err == "coatcheck: server 'clerk' has no tool 'eco'\nfix: did you mean echo?\n"
    unknown = run("call", "clark", "echo", "{}")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err == "coatcheck: there is no server 'clark'\nfix: did you mean clerk?\n"


def test_a_server_that_cannot_start(home: Path) -> None:
    (home / "servers.json").write_text('{"mcpServers": {"gone": {"command": "no-such-program-here"}}}')
    listed = run("list")
    assert listed.code == 0
    assert json.loads(listed.out)["items"][0]["state"] == "failing"
    for command in (["tools"], ["tools", "gone"], ["call", "gone", "x", "{}"]):
        ran = run(*command)
        assert ran.code == 69
        assert "gone" in ran.err
        assert "fix: " in ran.err
        assert "Traceback" not in ran.err


def test_a_broken_file_without_a_gateway(home: Path) -> None:
    assert run("tools").code == 0
    (home / "servers.json").write_text('{"mcpServers": {"clerk": {"command": 7}}}')
    ran = run("tools")
    assert (ran.code, ran.out) == (78, "")
    assert "line 1 /mcpServers/clerk/command" in ran.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_that_is_ended_leaves_no_server_behind(home: Path, number: int, code: int) -> None:
    child = subprocess.Popen(
        [*COMMAND, "call", "clerk", "hang", "{}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    hanging = home / "hanging"
    until(lambda: hanging.exists() and hanging.read_text().endswith("\n"))
    pid = int(hanging.read_text().rpartition(" ")[2])
    assert not is_gone(pid)
    child.send_signal(number)
    out, err = child.communicate(timeout=15)
    assert (child.returncode, out) == (code, "")
    assert "Traceback" not in err
    until(lambda: is_gone(pid))


def test_commands_side_by_side_wait_for_each_other(home: Path) -> None:
    children = [
        subprocess.Popen([*COMMAND, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for child in children:
        out, err = child.communicate(timeout=30)
        assert (child.returncode, err) == (0, "")
        assert json.loads(out)["items"][0]["state"] == "ready"


def test_with_a_running_gateway(home: Path) -> None:
    with serving() as gateway:
        first, second = run("call", "clerk", "pid"), run("call", "clerk", "pid")
        assert first.code == 0
        assert text_of(first) == text_of(second)
        assert not is_gone(int(text_of(first)))
        assert json.loads(run("list").out)["items"][0]["pid"] == int(text_of(first))
        follower = subprocess.Popen([*COMMAND, "logs", "-f"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert follower.stdout is not None
        assert [json.loads(follower.stdout.readline())["tool"] for _ in range(2)] == ["pid", "pid"]
        assert run("call", "clerk", "refuse", "{}").code == 1
        assert json.loads(follower.stdout.readline())["outcome"] == "tool_error"
        errors = run("logs", "--errors", "--since", "10m", "--server", "clerk")
        assert [json.loads(line)["tool"] for line in errors.out.splitlines()] == ["refuse"]
        healthy = run("doctor")
        assert healthy.code == 0
        assert [each["status"] for each in json.loads(healthy.out)["items"]].count("fail") == 0
        again = run("serve", "--http", "127.0.0.1:0")
        assert (again.code, again.out) == (73, "")
        assert f"process {gateway.pid}" in again.err
        gateway.send_signal(signal.SIGTERM)
        assert follower.wait(15) == 69
        follower.communicate()
        gateway.wait(15)
    assert gateway.returncode == 0
    assert is_gone(int(text_of(first)))
    assert not (home / "coatcheck.sock").exists()


def test_a_bad_edit_of_a_running_gateway_is_told(home: Path) -> None:
    with serving():
        assert run("doctor").code == 0
        (home / "servers.json").write_text('{"mcpServers": {"clerk": {"command": 7}}}')
        ran = run("doctor")
        assert ran.code == 1
        fails = [each["check"] for each in json.loads(ran.out)["items"] if each["status"] == "fail"]
        assert fails == ["servers file", "last edit"]
        assert run("call", "clerk", "pid").code == 0


def test_serve_without_configuration_says_how_to_begin(data: Path) -> None:
    child = subprocess.Popen(
        [*COMMAND, "serve", "--http", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    first, second, third = (child.stderr.readline() for _ in range(3))
    assert first == "coatcheck: no servers yet. Add one in another terminal:\n"
    assert third == f"It goes to {data / 'servers.json'}, which is read by itself.\n"
    added = subprocess.run(
        [*COMMAND, *shlex.split(second)[1:]], capture_output=True, text=True, check=True, timeout=20
    )
    assert json.loads(added.stdout)["file"] == str(data / "servers.json")
    (data / "servers.json").unlink()
    socket = data / "coatcheck.sock"
    until(socket.exists)
    assert json.loads(run("list").out)["items"] == []
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=15)
    assert (child.returncode, out) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--http", "nowhere:99999"], "--http"),
        (["--http", "0.0.0.0:0"], "--insecure"),
        (["--http", "0.0.0.0:0", "--insecure"], "serverAuth"),
        (["--allow-private", "169.254.0.0/16"], "--allow-private"),
        (["--config", "/does/not/exist.json"], "/does/not/exist.json"),
        (["--data", "/dev/null/x"], "/dev/null"),
        (["--stdio", "--call-timeout", "never"], "--call-timeout"),
    ],
)
def test_serve_refuses_what_it_must_not_run_with(home: Path, arguments: list[str], says: str) -> None:
    ran = run("serve", *arguments)
    assert (ran.code, ran.out) == (78, "")
    assert says in ran.err
    assert "Traceback" not in ran.err


def test_serve_over_standard_input_ends_with_it(home: Path) -> None:
    ran = run("serve", "--stdio")
    assert (ran.code, ran.out) == (0, "")
    assert "Traceback" not in ran.err


def test_a_data_directory_that_stays_locked(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_of_commands, "_ATTEMPTS", 2)
    lock = DirectoryLock.take(home)
    try:
        assert main(["list", "--json"]) == 73
    finally:
        lock.release()
    captured = capfd.readouterr()
    assert captured.out == ""
    assert f"in use by process {os.getpid()}" in captured.err
    assert "fix: " in captured.err
