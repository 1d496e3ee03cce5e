"""What holds for every command: help, versions, usage errors, pipes, interrupts, and no tracebacks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.fake_api import Canned, FakeApi, items
from cli.ran import Run
from cli.test_logs import ENTRY
from cli.test_servers import server
from coatcheck import __version__
from coatcheck.cli.exits import LOCKED, Exit, Stop, exit_of
from coatcheck.cli.lazy import LazyGroup
from coatcheck.cli.root import root
from coatcheck.errors import BadJson, Busy, CoatcheckError, ConfigError, UpstreamTimeout
from coatcheck.store.faults import DirectoryLocked
from docs import check

COMMAND = [sys.executable, "-m", "coatcheck"]


def commands(group: click.Group = root, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command there is."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_version(run: Run) -> None:
    assert run("--version") == run("--version")
    assert run("--version").out == f"coatcheck {__version__}\n"
    assert run("--version").code == 0


def test_start_up_imports_nothing_heavy() -> None:
    script = (
        "import sys; from coatcheck.cli import main; code = main(['--version']); "
        "print(*sorted(name for name in sys.modules if '.' not in name)); sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert "click" in loaded
    assert loaded.isdisjoint(
        {"rich", "sqlalchemy", "ssl", "uvicorn", "starlette", "asyncio", "msgspec", "http", "tomllib"}
    )


def test_help_everywhere(run: Run) -> None:
    every = list(commands())
    assert ("config", "check") in every
    for words in [(), *every]:
        for flag in ("--help", "-h"):
            ran = run(*words, flag)
            assert (ran.code, ran.err) == (0, "")
            assert ran.out.startswith(f"Usage: {' '.join(('coatcheck', *words))} ")


def test_every_help_ends_in_an_example_that_can_be_typed(run: Run) -> None:
    for words in [(), *commands()]:
        out = run(*words, "--help").out
        head, _, examples = out.partition("  Example")
        assert head, words
        lines = [line for line in examples.splitlines() if "coatcheck " in line]
        assert lines, f"{words} has no example"
        for line in lines:
            assert list(check.wrong_commands(line.strip())) == []
        assert any(f"coatcheck {' '.join(words)}".rstrip() in line for line in lines), words


def test_groups_tell_of_their_commands_what_these_tell_of_themselves() -> None:
    found = []
    for group in lazy_groups(root):
        for name, (_, told) in group.places.items():
            command = group.get_command(click.Context(group), name)
            assert command is not None
            assert isinstance(command, click.Group) or command.short_help in {told, None}, name
            found.append(name)
    assert len(found) > 30


def lazy_groups(group: LazyGroup) -> Iterator[LazyGroup]:
    yield group
    for name in group.places:
        command = group.get_command(click.Context(group), name)
        if isinstance(command, LazyGroup):
            yield from lazy_groups(command)


@pytest.mark.parametrize(
    ("words", "near"),
    [("grnat", "grant"), ("grant isue", "issue"), ("subject offbord", "offboard"), ("conifg", "config")],
)
def test_a_command_that_there_is_none_of_comes_with_near_ones(run: Run, words: str, near: str) -> None:
    ran = run(*words.split())
    assert ran.code == 2
    assert f"Did you mean {near}" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "nonsense",
        "--nonsense",
        "list --nonsense",
        "list extra",
        "config",
        "call one",
        "logs --limit many",
        "serve --stdio --http :1",
        "serve --log-level loud",
    ],
)
def test_usage_errors(run: Run, data: Path, arguments: str) -> None:
    ran = run(*arguments.split())
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: coatcheck" in ran.err
    assert not list(data.iterdir())


def test_python_minus_m() -> None:
    ran = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"coatcheck {__version__}\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 78),
        (DirectoryLocked("x"), 73),
        (UpstreamTimeout("x"), 69),
        (Busy("x"), 69),
        (BadJson("x"), 2),
        (CoatcheckError("x"), 1),
        (Stop("x", exit_code=Exit.NOT_PERMITTED), 77),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(error: CoatcheckError, code: int) -> None:
    assert exit_of(error) == code
    assert DirectoryLocked("x").code == LOCKED


def test_an_unforeseen_failure_is_one_line_and_a_traceback_only_on_demand(api: FakeApi, data: Path) -> None:
    api.answers["GET /servers"] = Canned({"canary-8843": 1})
    ran = subprocess.run([*COMMAND, "list"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (70, "")
    assert ran.stderr.startswith("coatcheck: unforeseen KeyError at servers.py:")
    assert ran.stderr.count("\n") == 1
    debug = {**os.environ, "COATCHECK_DEBUG": "1"}
    ran = subprocess.run([*COMMAND, "list"], capture_output=True, text=True, check=False, env=debug)
    assert ran.returncode == 70
    assert ran.stderr.startswith("Traceback")


def test_a_reader_that_leaves_early(api: FakeApi) -> None:
    api.answers["GET /records"] = items(*[{**ENTRY, "detail": "x" * 1000}] * 1000)
    child = subprocess.Popen([*COMMAND, "logs"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline().startswith(b'{"position"')
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait(10) == 141
    child.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written(api: FakeApi) -> None:
    api.answers["GET /servers"] = items(server("time"))
    with open("/dev/full", "wb") as full:
        ran = subprocess.run([*COMMAND, "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == "coatcheck: the output cannot be written: No space left on device\n"


def test_closed_output_is_survived(api: FakeApi) -> None:
    api.answers["GET /servers"] = items(server("time"))
    ran = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -m coatcheck list >&-"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_an_odd_locale_breaks_nothing(api: FakeApi, locale: str) -> None:
    api.answers["GET /servers"] = items(server("time", last_error="größer 漢"))
    odd = {**os.environ, "LC_ALL": locale, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ran = subprocess.run([*COMMAND, "list"], capture_output=True, text=True, check=False, env=odd)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "gr\\xf6\\xdfer" in ran.stdout


def test_ctrl_c_is_quiet(api: FakeApi) -> None:
    api.answers["GET /servers"] = Canned(stall=True)
    child = subprocess.Popen([*COMMAND, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while "GET /servers" not in api.paths():
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=10)
    assert (child.returncode, out, err) == (130, b"", b"")


@pytest.mark.parametrize(("wrong", "near"), [("lsit", "list"), ("sever", "serve"), ("dokter", "doctor")])
def test_a_command_that_there_is_not_names_the_one_probably_meant(wrong: str, near: str, run: Run) -> None:
    ran = run(wrong)
    assert (ran.code, ran.out) == (2, "")
    assert f"No such command '{wrong}'. Did you mean " in ran.err
    assert near in ran.err.partition("Did you mean")[2]
    assert "Did you mean" not in run("xyzzy").err


def test_no_command_takes_what_is_not_utf8(data: Path, run: Run) -> None:
    broken = os.fsdecode(b"caf\xe9")
    for words in [(), *commands()]:
        for more in ([broken], ["--grant", broken], [f"--name={broken}"]):
            ran = run(*words, *more)
            assert (ran.code, ran.out) == (2, ""), words
            assert f"word {len(words) + len(more)} after `coatcheck` is not UTF-8" in ran.err
            assert "fix: " in ran.err
    assert list(data.iterdir()) == []
