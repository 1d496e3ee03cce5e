from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from coatcheck.errors import UpstreamUnreachable
from coatcheck.upstream.stdio.child import Child, ChildLimits
from coatcheck.upstream.stdio.pipes import Backlogged
from coatcheck.upstream.stdio.spawn import Launch
from upstream.stdio_permits import CHILDREN, QUICK_CHILD, children_of_ours, is_alive, open_fds

ENV = {"PATH": os.environ["PATH"], "HOME": "/", "LANG": "C.UTF-8"}
Body = Callable[[Path], Awaitable[None]]


def on_both_loops(body: Body) -> Callable[..., None]:
    """Run an async test under asyncio and under uvloop, and see that it leaves nothing behind."""

    @pytest.mark.parametrize(
        "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
    )
    @functools.wraps(body)
    def test(loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(asyncio.sleep(0))  # what a loop opens once and for all
        before = open_fds(), children_of_ours()
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(asyncio.wait_for(body(tmp_path), 30))
        assert (open_fds(), children_of_ours()) == before

    del test.__wrapped__  # pytest must see the parameters above
    return test


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.stderr = 0
        self.last_stderr = b""
        self.causes: list[str] = []
        self.oversized = False
        self.news = asyncio.Event()

    def on_line(self, line: bytes) -> bool:
        self.lines.append(line)
        self.news.set()
        return False

    def on_stderr(self, chunk: bytes) -> None:
        self.stderr += len(chunk)
        self.last_stderr = (self.last_stderr + chunk)[-1000:]
        self.news.set()

    def on_gone(self, cause: str, *, oversized: bool) -> None:
        self.causes.append(cause)
        self.oversized = oversized
        self.news.set()

    async def until(self, true: Callable[[], object]) -> None:
        while not true():
            self.news.clear()
            await self.news.wait()

    async def gone(self) -> str:
        await self.until(lambda: self.causes)
        return self.causes[0]


async def spawn(
    command: str,
    *args: str,
    limits: ChildLimits = QUICK_CHILD,
    env: dict[str, str] = ENV,
    cwd: str | None = None,
) -> tuple[Child, Heard]:
    heard = Heard()
    return await Child.spawn(Launch("box", command, args, env, cwd), limits, heard), heard


async def spawn_script(script: str, *args: str, limits: ChildLimits = QUICK_CHILD) -> tuple[Child, Heard]:
    return await spawn(sys.executable, "-S", "-E", str(CHILDREN / script), *args, limits=limits)


async def is_dead(pid: int) -> None:
    """Wait until a process is dead: a signal is sent before it is felt."""
    while is_alive(pid):
        await asyncio.sleep(0.005)


def tool(name: str, arguments: str = "{}") -> bytes:
    return b'{"id":1,"method":"tools/call","params":{"name":"%b","arguments":%b}}' % (
        name.encode(),
        arguments.encode(),
    )


# --- talk ------------------------------------------------------------------------------------------------


@on_both_loops
async def test_lines_go_in_and_come_out_in_order(tmp_path: Path) -> None:
    child, heard = await spawn("cat")
    lines = [b"%d" % number + b"x" * (number % 7 * 1000) for number in range(500)]
    for line in lines:
        child.write(line)
    await heard.until(lambda: len(heard.lines) == 500)
    assert heard.lines == lines
    await child.stop()
    assert heard.causes == ["exited with code 0"]


@on_both_loops
async def test_a_line_of_megabytes_passes_both_ways(tmp_path: Path) -> None:
    child, heard = await spawn("cat")
    lines = [b"a" * 2**20, b"b" * (5 * 2**20), b"c"]
    for line in lines:
        child.write(line)
    await heard.until(lambda: len(heard.lines) == 3)
    assert heard.lines == lines
    await child.stop()


@on_both_loops
async def test_a_child_that_reads_nothing_stops_writers_at_the_limit_and_nobody_else(tmp_path: Path) -> None:
    child, heard = await spawn("sleep", "60")
    other, other_heard = await spawn("cat")
    megabyte = b"x" * 2**20
    for _ in range(8):
        child.write(megabyte)
        await asyncio.sleep(0)
    with pytest.raises(Backlogged):  # 64 KiB are in the pipe, the rest waits with us
        child.write(megabyte)
    other.write(b"ping")
    await other_heard.until(lambda: other_heard.lines)
    assert not heard.causes
    await asyncio.gather(child.stop(), other.stop())
    assert heard.causes == ["was ended by SIGTERM"]


@on_both_loops
async def test_ten_megabytes_on_stderr_hold_up_nothing(tmp_path: Path) -> None:
    child, heard = await spawn_script("server.py")
    child.write(tool("flood-stderr", '{"mib":10}'))
    await heard.until(lambda: heard.lines)
    await heard.until(lambda: heard.stderr == 10 * 2**20)
    await child.stop()


@on_both_loops
async def test_a_line_without_end_gets_the_child_killed(tmp_path: Path) -> None:
    child, heard = await spawn_script("server.py", limits=ChildLimits(line_bytes=2**20))
    child.write(tool("endless", '{"mib":64}'))
    assert await heard.gone() == "wrote a line longer than the limit"
    assert heard.oversized
    await child.stop()
    assert not is_alive(child.pid)


# --- start -----------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_child_sees_its_three_pipes_its_own_group_and_default_signals(tmp_path: Path) -> None:
    child, heard = await spawn("cat", "/proc/self/status", "/proc/self/limits")
    await heard.gone()
    status = {line.split()[0]: line.split() for line in heard.lines if line.strip()}
    assert status[b"NSpgid:"][1:] == status[b"NSsid:"][1:] == status[b"Pid:"][1:] == [b"%d" % child.pid]
    ours_alone = 0b11 << 31  # 32 and 33 are the C library's own, and some parents leave them ignored
    assert int(status[b"SigIgn:"][1], 16) & ~ours_alone == 0
    assert int(status[b"SigBlk:"][1], 16) == 0
    assert b" ".join(next(line for line in heard.lines if b"core file" in line).split()[4:6]) == b"0 0"
    await child.stop()
    child, heard = await spawn("ls", "/proc/self/fd")
    await heard.gone()
    assert heard.lines == [b"0", b"1", b"2", b"3"]  # 3 is the directory that ls reads
    await child.stop()


@on_both_loops
async def test_the_environment_is_what_was_given(tmp_path: Path) -> None:
    child, heard = await spawn("env", env={**ENV, "NÄME": "vä\nlue"})
    await heard.gone()
    assert sorted(heard.lines) == sorted(
        "\n".join(f"{k}={v}" for k, v in {**ENV, "NÄME": "vä\nlue"}.items()).encode().split(b"\n")
    )
    await child.stop()


@on_both_loops
async def test_the_working_directory_is_entered_first(tmp_path: Path) -> None:
    script = tmp_path / "here.sh"
    script.write_text("#!/bin/sh\npwd\n")
    script.chmod(0o755)
    child, heard = await spawn("./here.sh", cwd=str(tmp_path))
    await heard.gone()
    assert heard.lines == [str(tmp_path.resolve()).encode()]
    await child.stop()


@on_both_loops
async def test_what_cannot_be_started_is_named_with_its_fix(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    garbage = tmp_path / "garbage"
    garbage.write_text("no program")
    garbage.chmod(0o755)
    for command, cwd, env, kind, detail, fix in [
        ("no-such-thing", None, ENV, "its command was not found", f"PATH={ENV['PATH']}", "install it"),
        (
            "/no/such/thing",
            None,
            ENV,
            "its command was not found",
            "'/no/such/thing' does not exist",
            "`command`",
        ),
        (str(plain), None, ENV, "its command cannot be run", "Permission denied", "executable"),
        (str(garbage), None, ENV, "its command cannot be run", "Exec format error", "executable"),
        ("cat", "/no/such/dir", ENV, "its working directory cannot be entered", "'/no/such/dir'", "`cwd`"),
        ("cat", str(plain), ENV, "its working directory cannot be entered", "Not a directory", "`cwd`"),
        ("cat", None, {**ENV, "A": "x\0y"}, "no process could be made for it", "NUL", "`env`"),
        ("cat", None, {**ENV, "A=B": "x"}, "no process could be made for it", "impossible", "`env`"),
    ]:
        with pytest.raises(UpstreamUnreachable) as caught:
            await spawn(command, cwd=cwd, env=env)
        error = caught.value
        assert error.message == f"box could not be started: {kind}"
        assert detail in error.detail
        assert fix in error.fix
        assert not error.reached


def test_a_child_dies_with_the_gateway() -> None:
    program = f"""
import asyncio, sys
sys.path[:0] = {sys.path!r}
from upstream.test_child import spawn
async def main():
    child, _ = await spawn("sleep", "60")
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout is not None
        pid = int(gateway.stdout.readline())
        assert is_alive(pid)
        gateway.kill()
        gateway.wait()
        asyncio.run(asyncio.wait_for(is_dead(pid), 10))


# --- the end ---------------------------------------------------------------------------------------------


@on_both_loops
async def test_the_cause_of_an_end_is_told_once_and_the_last_words_are_kept(tmp_path: Path) -> None:
    child, heard = await spawn_script("crasher.py")
    assert await heard.gone() == "exited with code 7"
    await child.stop()
    assert heard.last_stderr == b"no such configuration\n"
    child, heard = await spawn("sleep", "60")
    os.kill(child.pid, signal.SIGSEGV)
    assert await heard.gone() == "was ended by SIGSEGV"
    await child.stop()
    assert heard.causes == ["was ended by SIGSEGV"]


@on_both_loops
async def test_an_answer_written_just_before_the_end_is_heard_before_it(tmp_path: Path) -> None:
    child, heard = await spawn("sh", "-c", "echo one; echo two")
    await heard.gone()
    assert heard.lines == [b"one", b"two"]
    await child.stop()


@on_both_loops
async def test_stopping_asks_politely_first(tmp_path: Path) -> None:
    child, heard = await spawn_script("exits_on_term.py")
    await heard.until(lambda: heard.lines)
    await child.stop()
    assert heard.last_stderr == b"got SIGTERM\n"
    assert heard.causes == ["exited with code 0"]


@on_both_loops
async def test_one_that_ignores_it_is_killed_with_its_grandchildren(tmp_path: Path) -> None:
    child, heard = await spawn_script("stubborn.py")
    child.write(tool("fork"))
    await heard.until(lambda: heard.lines)
    grandchild = int(heard.lines[0].split(b'"text": "')[1].split(b'"')[0])
    assert is_alive(grandchild)
    await asyncio.gather(child.stop(), child.stop())
    assert b"input ended" in heard.last_stderr
    assert heard.causes == ["was ended by SIGKILL"]
    assert not is_alive(child.pid)
    await is_dead(grandchild)


@on_both_loops
async def test_a_grandchild_with_the_pipes_in_hand_holds_up_nothing(tmp_path: Path) -> None:
    for options in ('{"s":5}', '{"s":5,"setsid":true}'):  # within the group, and out of it
        child, heard = await spawn_script("server.py")
        child.write(tool("fork", options))
        await heard.until(lambda: heard.lines)  # noqa: B023
        os.kill(child.pid, signal.SIGKILL)
        assert await heard.gone() == "was ended by SIGKILL"
        await child.stop()
        grandchild = int(heard.lines[0].split(b'"text": "')[1].split(b'"')[0])
        if "setsid" in options:  # out of our reach: it ends by itself
            os.kill(grandchild, signal.SIGKILL)
        await is_dead(grandchild)


@on_both_loops
async def test_a_child_that_closes_its_output_is_ended(tmp_path: Path) -> None:
    child, heard = await spawn_script("server.py")
    child.write(tool("close-stdout"))
    assert await heard.gone() == "closed its input or output and ran on"
    await child.stop()
    assert not is_alive(child.pid)


@on_both_loops
async def test_a_child_that_closes_its_input_is_ended(tmp_path: Path) -> None:
    child, heard = await spawn("sh", "-c", "exec <&-; echo closed; sleep 60")
    await heard.until(lambda: heard.lines)
    child.write(b"anyone there?")
    assert await heard.gone() == "closed its input or output and ran on"
    with pytest.raises(Backlogged):
        child.write(b"hello?")
    await child.stop()


@on_both_loops
async def test_a_start_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    task = asyncio.create_task(spawn("sleep", "60"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@on_both_loops
async def test_two_hundred_deaths_leave_no_zombie_and_no_descriptor(tmp_path: Path) -> None:
    before = open_fds(), children_of_ours()
    for _round in range(20):
        born = await asyncio.gather(*(spawn("false") for _ in range(9)), return_exceptions=True)
        failed = await asyncio.gather(spawn("no-such-thing"), return_exceptions=True)
        assert isinstance(failed[0], UpstreamUnreachable)
        for one in born:
            assert not isinstance(one, BaseException)
            child, heard = one
            assert await heard.gone() == "exited with code 1"
            await child.stop()
    assert (open_fds(), children_of_ours()) == before


def test_where_there_are_no_pidfds_children_are_reaped_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")

    async def body() -> None:
        child, heard = await spawn("cat")
        child.write(b"hello")
        await heard.until(lambda: heard.lines)
        await child.stop()
        assert heard.causes == ["exited with code 0"]
        child, heard = await spawn("false")
        assert await heard.gone() == "exited with code 1"
        await child.stop()

    before = open_fds(), children_of_ours()
    asyncio.run(body())
    assert (open_fds(), children_of_ours()) == before
