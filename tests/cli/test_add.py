"""`coatcheck add`, as a program: every option, what it writes and says, and what it never shows."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import coatcheck
from cli.fake_api import Canned, FakeApi
from cli.ran import Ran, Run
from cli.terminal import on_terminal

COMMAND = [sys.executable, "-m", "coatcheck"]
CANARY = "canary-7719"
URL = "https://mcp.example/x"
SOURCE = Path(coatcheck.__file__).parents[1]


def program(*arguments: str, stdin: bytes = b"", cwd: Path | None = None, **env: str) -> Ran:
    """Run the command as a program of its own."""
    ran = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=30,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(SOURCE), **env},
    )
    return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())


def servers(data: Path) -> Any:
    return json.loads((data / "servers.json").read_text())["mcpServers"]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{CANARY}\n")
    path.chmod(0o600)
    return path


# --- what is written and told -----------------------------------------------------------------------------------


def test_a_remote_server_with_its_credential_in_a_file(data: Path, secret: Path) -> None:
    header = "Authorization: Bearer @secret"
    ran = program("add", "sentry", "--url", URL, "--transport", "http", "--header", header, cwd=secret.parent)
    assert (ran.code, ran.err) == (0, "")
    reference = {"Authorization": f"Bearer ${{file:{secret}}}"}
    assert servers(data) == {"sentry": {"type": "http", "url": URL, "headers": reference}}
    told = json.loads(ran.out)
    line = "claude mcp add --scope user --transport http sentry http://127.0.0.1:8080/mcp/sentry/"
    assert told == {
        "server": "sentry",
        "file": str(data / "servers.json"),
        "change": "added",
        "live": None,
        "route": "/mcp/sentry/",
        "url": "http://127.0.0.1:8080/mcp/sentry/",
        "client": line,
    }
    assert CANARY not in (data / "servers.json").read_text()
    assert (data / "servers.json").stat().st_mode & 0o777 == 0o600


def test_a_child_with_variables_and_a_directory(data: Path, secret: Path) -> None:
    ran = program(
        *("add", "git", "--env", "TZ=UTC", "--env", f"TOKEN=@{secret}", "--env", "OTHER=@env:OTHER"),
        *("--cwd", "sub/dir", "--", sys.executable, "-m", "git", "--env", "a=${X}", "--url", "$HOME"),
        cwd=secret.parent,
    )
    assert ran.code == 0
    assert servers(data) == {
        "git": {
            "command": sys.executable,
            "args": ["-m", "git", "--env", "a=$${X}", "--url", "$HOME"],
            "env": {"TZ": "UTC", "TOKEN": f"${{file:{secret}}}", "OTHER": "${OTHER}"},
            "cwd": str(secret.parent / "sub" / "dir"),
        }
    }
    assert ran.err.splitlines() == [
        "coatcheck: ${ in the command is taken as it stands; in --env, @env:VARIABLE refers to a variable",
        f"coatcheck: its cwd {secret.parent}/sub/dir is not a directory",
        "coatcheck: the variable OTHER is not set here; the gateway needs it in its environment when it starts",
    ]


def test_a_credential_on_standard_input(data: Path) -> None:
    ran = program("add", "a", "--url", URL, "--header", "X-Key: @-", stdin=f"{CANARY}${{X}}\r\n".encode())
    assert (ran.code, ran.err) == (0, "")
    assert servers(data)["a"]["headers"] == {"X-Key": f"{CANARY}$${{X}}"}
    assert CANARY not in ran.out


def test_a_credential_in_a_variable(data: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    header = ("--url", URL, "--header", "X-Key: @env:SOME_KEY")
    ran = program("add", "a", *header, SOME_KEY=CANARY)
    assert (ran.code, ran.err) == (0, "")
    assert servers(data)["a"]["headers"] == {"X-Key": "${SOME_KEY}"}
    ran = run("add", "b", *header)
    assert ran.code == 0
    assert ran.err.count("SOME_KEY is not set here") == 1
    assert "the gateway needs it" in ran.err
    monkeypatch.setenv("SOME_KEY", "")
    ran = run("add", "c", *header)
    assert (ran.code, ran.err.count("SOME_KEY is not set here")) == (0, 1)
    monkeypatch.setenv("SOME_KEY", f"{CANARY}\n")
    ran = run("add", "d", *header)
    assert ran.code == 78
    assert "line break" in ran.err
    assert CANARY not in ran.err


def test_a_credential_on_the_command_line_is_taken_with_a_warning(data: Path, run: Run) -> None:
    ran = run("add", "a", "--url", URL, "--header", f"Authorization: Bearer {CANARY}")
    assert ran.code == 0
    assert servers(data)["a"]["headers"] == {"Authorization": f"Bearer {CANARY}"}
    assert "Authorization looks like a credential and stands on the command line" in ran.err
    assert all(word in ran.err for word in ("@FILE", "@env:VARIABLE", "@-"))
    assert "other accounts can read it: chmod" not in ran.err
    ran_too = run("add", "b", "--url", URL, "--header", "X-Team: platform")
    assert (ran_too.code, ran_too.err) == (0, "")
    (data / "servers.json").chmod(0o644)
    again = run("add", "c", "--env", f"API_KEY={CANARY}", "--", sys.executable, f"--token={CANARY}")
    assert "API_KEY looks like a credential" in again.err
    assert "an argument looks like a credential" in again.err
    assert f"other accounts can read it: chmod 600 {data / 'servers.json'}" in again.err
    url = run("add", "d", "--url", f"{URL}?api_key={CANARY}")
    assert "a parameter of the URL looks like a credential" in url.err
    assert CANARY not in "".join(each.out + each.err for each in (ran, again, url))


def test_a_terminal_gets_lines(data: Path) -> None:
    code, shown = on_terminal(["add", "time", "--url", URL])
    assert code == 0
    assert shown.splitlines() == [
        f"added time to {data / 'servers.json'}",
        "no gateway is running; the next one reads it",
        "route:  /mcp/time/, and on /mcp as time__TOOL",
        "client: claude mcp add --scope user --transport http time http://127.0.0.1:8080/mcp/time/",
    ]
    code, shown = on_terminal(["add", "time", "--json", "--replace", "--url", f"{URL}/new"])
    assert json.loads(shown)["change"] == "replaced"
    assert servers(data) == {"time": {"url": f"{URL}/new"}}
    code, shown = on_terminal(["add", "b", "--url", URL, "--header", "X-Key: @-"])
    assert (code, "standard input is a terminal" in shown) == (2, True)


def test_clients_bring_a_grant_where_callers_are_told(data: Path, run: Run) -> None:
    token = {"0123456789abcdef0123": "alice"}
    auth = {"serverAuth": {"providers": ["bearer"], "bearer": {"tokens": token}}}
    (data / "servers.json").write_text(json.dumps(auth))
    (data / "coatcheck.toml").write_text('public_url = "https://gate.example"\n')
    told = json.loads(run("add", "a", "--url", URL).out)
    assert told["url"] == "https://gate.example/mcp/a/"
    assert told["client"] == (
        "claude mcp add --scope user --transport http a https://gate.example/mcp/a/ "
        "--header 'Authorization: Bearer ${COATCHECK_GRANT}'"
    )


def test_replacing_tells_what_stays(data: Path, run: Run) -> None:
    (data / "servers.json").write_text('{"mcpServers": {"a": {"command": "x", "tool_acl": {"read": ["*"]}}}}')
    ran = run("add", "a", "--replace", "--url", URL)
    assert json.loads(ran.out)["change"] == "replaced"
    assert ran.err == "coatcheck: left as it was in its entry: tool_acl\n"


def test_oddities_of_the_server_are_told(data: Path, secret: Path, run: Run) -> None:
    secret.chmod(0o644)
    ran = run("add", "a", "--url", "http://mcp.example", "--header", f"X-Key: @{secret}")
    assert ran.code == 0
    assert f"other accounts can read {secret}: chmod 600 {secret}" in ran.err
    assert "headers go to this server unencrypted (use https://" in ran.err
    ran = run("add", "b", "--", "no-such-program-anywhere")
    assert (ran.code, ran.err) == (0, "coatcheck: no-such-program-anywhere is not found on this machine\n")
    ran = run("add", "c", "--url", URL, "--header", "Authorization: raw")
    assert "the value has no scheme" in ran.err
    assert "X-Key" not in ran.err


def test_a_relative_program_is_found_from_elsewhere(
    data: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("add", "a", "--", "./bin/x", "./y")
    run("add", "b", "--cwd", "/srv", "--", "./bin/x")
    assert servers(data)["a"] == {"command": str(tmp_path / "bin" / "x"), "args": ["./y"]}
    assert servers(data)["b"] == {"command": "./bin/x", "cwd": "/srv"}


def test_an_at_sign_at_the_beginning_is_written_twice(data: Path, run: Run) -> None:
    assert run("add", "a", "--url", URL, "--header", "X-Team: @@here").code == 0
    assert run("add", "b", "--env", "TEAM=@@-", "--", sys.executable).code == 0
    assert run("add", "c", "--url", URL, "--header", "authorization: Bearer  @@x").code == 0
    assert servers(data)["a"]["headers"] == {"X-Team": "@here"}
    assert servers(data)["c"]["headers"] == {"authorization": "Bearer @x"}
    assert servers(data)["b"]["env"] == {"TEAM": "@-"}


# --- where ------------------------------------------------------------------------------------------------------


def test_the_file_is_the_one_that_a_gateway_reads(
    data: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edited(*arguments: str) -> str:
        ran = run("add", "a", "--url", URL, *arguments)
        assert ran.code == 0, ran.err
        file = json.loads(ran.out)["file"]
        os.unlink(file)
        return str(Path(file).relative_to(tmp_path))

    home = tmp_path / "home" / ".config" / "mcp"
    assert edited() == "data/servers.json"
    home.mkdir(parents=True)
    (home / "servers.json").write_text("{}")
    assert edited() == "home/.config/mcp/servers.json"
    monkeypatch.setenv("MCP_CONFIG_PATH", str(tmp_path / "mcp"))
    assert edited() == "mcp"
    monkeypatch.setenv("MCP_SERVERS_CONFIG", '{"mcpServers": {}}')
    refused = run("add", "a", "--url", URL)
    assert (refused.code, refused.out) == (78, "")
    assert "MCP_SERVERS_CONFIG holds the declaration itself" in refused.err
    assert "--config" in refused.err
    assert run("remove", "a").code == 78
    monkeypatch.setenv("COATCHECK_CONFIG", str(tmp_path / "cc"))
    assert edited() == "cc"
    assert edited("--config", str(tmp_path / "given")) == "given"
    monkeypatch.delenv("COATCHECK_CONFIG")
    monkeypatch.delenv("MCP_SERVERS_CONFIG")
    monkeypatch.delenv("MCP_CONFIG_PATH")
    assert edited("--data", str(tmp_path / "new" / "data")) == "new/data/servers.json"
    assert (tmp_path / "new" / "data").stat().st_mode & 0o777 == 0o700


# --- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("a", "neither --url nor a command"),
        ("a --", "neither --url nor a command"),
        ("a https://mcp.example", "the command is a URL"),
        (f"a --url {URL} -- x", "a command has no meaning for a remote server"),
        (f"a --url {URL} --env A=b", "--env has no meaning for a remote server"),
        (f"a --url {URL} --cwd /", "--cwd has no meaning for a remote server"),
        ("a --transport sse -- x", "--transport has no meaning for a command"),
        (f"a --header A:{CANARY} -- x", "--header has no meaning for a command"),
        (f"a --url {URL} --transport stdio", "Invalid value for '--transport'"),
        ("", "Missing argument 'NAME'"),
        (f"a_ --url {URL}", "does not end in one"),
        ("a --url ftp://x", "url: the URL must start with"),
        ("a --url https://x/${X}", "the URL has ${"),
        (f"a --url {URL} --header {CANARY}", "a header has no colon"),
        (f"a --url {URL} --header {CANARY}@:x", "header name that is not one"),
        (f"a --url {URL} --header Host:{CANARY}", "frames the message"),
        (f"a --url {URL} --header A:", "the header value is empty"),
        (f"a --url {URL} --header A:x --header a:{CANARY}", "the header a is given twice"),
        (f"a --url {URL} --header A:{CANARY}${{X}}", "the value of A has ${"),
        (f"a --url {URL} --header A:${{env:X}}", "write @env:VARIABLE"),
        (f"a --url {URL} --header A:@", "no file name after the @"),
        (f"a --url {URL} --header A:@not-there", "not-there does not exist"),
        (f"a --url {URL} --header A:@/", "/ is not a regular file"),
        (f"a --url {URL} --header A:@/dev/null", "no file that stays"),
        (f"a --url {URL} --header A:@/proc/self/fd/0", "no file that stays"),
        (f"a --url {URL} --header A:@{{x}}", "a brace"),
        (f"a --url {URL} --header A:@env:1X", "the name of a variable"),
        (f"a --url {URL} --header A:@env:", "the name of a variable"),
        (f"a --url {URL} --header A:@- --header B:@-", "one value only"),
        (f"a --env {CANARY} -- x", "a variable has no name, or no ="),
        ("a --env =x -- x", "a variable has no name, or no ="),
        (f"a --env A=x --env A={CANARY} -- x", "the variable A is given twice"),
        ("a --env A=${B} -- x", "the value of A has ${"),
        ("a -- \udcff", "not UTF-8"),
    ],
)
def test_arguments_that_cannot_be_used(
    data: Path, run: Run, words: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x")))
    ran = run("add", *words.split())
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert CANARY not in ran.err
    assert list(data.iterdir()) == []


@pytest.mark.parametrize(
    ("stdin", "told"),
    [
        (b"", "standard input is empty"),
        (b"\n", "standard input is empty"),
        (b"\xff\n", "not UTF-8"),
        (b"x" * 65537, "larger than 64 KiB"),
        (b"two\nlines\n", "headers/Authorization: the header value has a line break"),
        (b"Bearer x\n", "the value says Bearer itself"),
    ],
)
def test_standard_input_that_cannot_be_used(
    data: Path, run: Run, stdin: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    ran = run("add", "a", "--url", URL, "--header", "Authorization: Bearer @-")
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert list(data.iterdir()) == []


def test_standard_input_that_says_nothing_is_waited_for_aloud(data: Path) -> None:
    arguments = ["add", "a", "--url", URL, "--header", "X-Key: @-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*COMMAND, *arguments], **pipes) as child:  # type: ignore[call-overload]
        assert child.stderr.readline() == b"coatcheck: reading the value from standard input\n"
        child.communicate(b"value", timeout=10)
        assert child.returncode == 0
    assert servers(data)["a"]["headers"] == {"X-Key": "value"}


@pytest.mark.parametrize("name", ["-", "--", "--help", "-rf"])
def test_a_name_that_other_commands_take_for_an_option(name: str, data: Path, run: Run) -> None:
    ran = run("add", "--url", URL, "--", name)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("coatcheck: a name that begins with a hyphen is an option to other commands\n")
    assert not (data / "servers.json").exists()
    assert run("add", "--url", URL, "--", "a-").code == 0


def test_a_taken_name(data: Path, run: Run) -> None:
    assert run("add", "a", "--url", URL).code == 0
    before = (data / "servers.json").read_bytes()
    ran = run("add", "a", "--url", URL)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"coatcheck: there is a server 'a' already ({data / 'servers.json'} line 3)\n"
        "fix: choose another name, or add --replace to change how it is reached\n"
    )
    assert run("add", "A", "--url", URL, "--replace").code == 1
    assert (data / "servers.json").read_bytes() == before


def test_a_file_that_does_not_load_is_told_whole_and_not_touched(data: Path, run: Run) -> None:
    bad = f'{{"mcpServers": {{"a": {{"command": 7}},\n "b": {{"nonsense": "{CANARY}"}}}}}}'
    (data / "servers.json").write_text(bad)
    ran = run("add", "c", "--url", URL)
    assert (ran.code, ran.out) == (78, "")
    assert "has 3 problems" in ran.err
    assert "line 1 /mcpServers/a/command" in ran.err
    assert "line 2 /mcpServers/b" in ran.err
    assert "fix: correct the file first; it was not touched" in ran.err
    assert CANARY not in ran.err
    assert (data / "servers.json").read_text() == bad


def test_a_file_that_may_not_be_written(data: Path, tmp_path: Path, run: Run) -> None:
    """A file with a second name stands for one that cannot be replaced: root may write everywhere."""
    (tmp_path / "one").write_text("{}")
    os.link(tmp_path / "one", data / "servers.json")
    ran = run("add", "c", "--url", URL)
    assert (ran.code, ran.out) == (78, "")
    assert "hard links" in ran.err


# --- the gateway that runs ----------------------------------------------------------------------------------------


def config_of(path: Path | None, error: str = "", problems: Any = ()) -> Any:
    return {
        "path": str(path) if path else None,
        "error": error or None,
        "problems": list(problems),
        "notices": [],
    }


def test_a_running_gateway_has_it_at_once(api: FakeApi, data: Path, run: Run) -> None:
    told = {"http": "http://127.0.0.1:9999", "config": config_of(data / "servers.json")}
    api.answers["GET /status"] = FakeApi.status(**told)
    ran = run("add", "a", "--url", URL, "--header", "X-Key: @env:ELSEWHERE")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out)["live"] is True
    assert json.loads(ran.out)["url"] == "http://127.0.0.1:9999/mcp/a/"
    assert api.paths() == ["GET /status"]
    removed = run("remove", "a")
    assert (removed.code, json.loads(removed.out)["live"]) == (0, True)


def test_a_running_gateway_that_refuses_it(api: FakeApi, data: Path, run: Run) -> None:
    problem = {
        "line": 5,
        "where": "/mcpServers/a/headers/X-Key",
        "message": "the variable K is not set",
        "fix": "set K",
    }
    config = config_of(data / "servers.json", "it has 1 problem", [problem])
    api.answers["GET /status"] = FakeApi.status(config=config)
    ran = run("add", "a", "--url", URL, "--header", "X-Key: @env:K")
    assert (ran.code, json.loads(ran.out)["live"]) == (78, False)
    assert "goes on with what the file said before" in ran.err
    assert f"{data / 'servers.json'}:5: the variable K is not set (set K)" in ran.err
    api.answers["GET /status"] = FakeApi.status(config=config_of(data / "servers.json", "not now"))
    ran = run("remove", "a")
    assert (ran.code, "not now" in ran.err) == (78, True)


def test_a_running_gateway_that_reads_another_file(
    api: FakeApi, data: Path, tmp_path: Path, run: Run
) -> None:
    for path, told in ((tmp_path / "other", str(tmp_path / "other")), (None, "no file")):
        api.answers["GET /status"] = FakeApi.status(config=config_of(path))
        ran = run("add", "a", "--url", URL, "--replace")
        assert (ran.code, json.loads(ran.out)["live"]) == (0, False)
        assert f"the running gateway reads {told}, so nothing changes for it" in ran.err


def test_a_running_gateway_that_does_not_say(api: FakeApi, data: Path, run: Run) -> None:
    api.answers["GET /status"] = Canned(raw=b"{")
    ran = run("add", "a", "--url", URL)
    assert (ran.code, json.loads(ran.out)["live"]) == (0, None)
    assert "whether it is live is not known" in ran.err


# --- at once --------------------------------------------------------------------------------------------------------


def test_several_at_once_all_land(data: Path) -> None:
    children = [
        subprocess.Popen(
            [*COMMAND, "add", f"s{number}", "--url", URL], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for number in range(4)
    ]
    said = [child.communicate(timeout=30)[1] for child in children]
    assert ([child.returncode for child in children], said) == ([0] * 4, [b""] * 4)
    assert sorted(servers(data)) == [f"s{number}" for number in range(4)]
    assert [path.name for path in data.iterdir()] == ["servers.json"]
