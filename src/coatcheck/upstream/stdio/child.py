"""One child program: started in a group and environment of its own, spoken to by lines, stopped for good."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from coatcheck.core.wire.lines import LineReader, OversizedLine
from coatcheck.upstream.pace import MESSAGE, Pace, of_body
from coatcheck.upstream.stdio.pipes import Input, Output
from coatcheck.upstream.stdio.spawn import Launch, NotStarted, launched, start
from coatcheck.upstream.stdio.trouble import could_not_start, ending

_POLL: Final = 0.1


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """Bytes: the longest line of output, and what may wait for a child that does not read.

    Seconds: how long a child may take to end after its input closed, after SIGTERM and after SIGKILL, and
    how long the rest of its output is waited for (a stray grandchild may hold the pipes open). `pace` is
    shared by all children of a server; without one, each has its own.
    """

    line_bytes: int = 16 * 1024 * 1024
    backlog_bytes: int = 8 * 1024 * 1024
    after_eof: float = 2.0
    after_term: float = 3.0
    after_kill: float = 2.0
    rest_of_output: float = 0.2
    pace: Pace | None = None


class Listener(Protocol):
    """Hears what a child does. Called on the event loop; must not block or raise."""

    def on_line(self, line: bytes) -> bool:
        """Take one line of standard output, without its LF; True if it was an answer that was awaited."""
        ...

    def on_stderr(self, chunk: bytes) -> None:
        """Take a piece of standard error."""
        ...

    def on_gone(self, cause: str, *, oversized: bool) -> None:
        """Learn, once, that no further line will come. `oversized`: it was killed for an endless line."""
        ...


class Child:
    """A running child. Made by `spawn`; ends by itself, by `kill` or by `stop`, and is always reaped."""

    def __init__(self, popen: subprocess.Popen[bytes], limits: ChildLimits, listener: Listener) -> None:
        if popen.stdin is None or popen.stdout is None or popen.stderr is None:
            raise TypeError("a child needs all three of its pipes")
        self._popen = popen
        self._limits = limits
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._reader = LineReader(limits.line_bytes)
        self._input = Input(popen.stdin, limits.backlog_bytes, self._settle)
        pace = limits.pace or Pace()
        self._stdout = Output(popen.stdout, self._on_stdout, self._settle, pace)
        self._stderr = Output(popen.stderr, self._on_stderr, self._settle, pace)
        self._gone = False
        self._rest: asyncio.TimerHandle | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._exited: asyncio.Future[None] = self._loop.create_future()
        self._released: asyncio.Future[None] = self._loop.create_future()
        self._watch_exit()
        self.write = self._input.write
        """Sends one line; see `Input.write`."""

    @classmethod
    async def spawn(cls, launch: Launch, limits: ChildLimits, listener: Listener) -> Child:
        """Start a program and return once it runs.

        Call it on a thread that lives as long as the gateway: the kernel kills the child when it ends.

        Raises:
            UpstreamUnreachable: the command, the directory or the machine does not allow it.
        """
        try:
            report, popen = start(launch)
        except NotStarted as trouble:
            raise could_not_start(launch, trouble) from None
        child = cls(popen, limits, listener)
        try:
            await launched(report)
        except NotStarted as trouble:
            await child.stop()
            raise could_not_start(launch, trouble) from None
        except BaseException:
            child.kill()
            await child.stop()
            raise
        return child

    @property
    def pid(self) -> int:
        """The child's process id, which is also that of its group."""
        return self._popen.pid

    def _on_stdout(self, chunk: bytes) -> float:
        try:
            lines = self._reader.feed(chunk)
        except OversizedLine:
            self._stdout.close()
            self.kill()
            self._tell_gone("wrote a line longer than the limit", oversized=True)
            return 0.0
        take = self._listener.on_line
        unasked = sum(not take(line) for line in lines)
        return unasked * MESSAGE + (0.0 if lines else of_body(1, len(chunk)))

    def _on_stderr(self, chunk: bytes) -> float:
        self._listener.on_stderr(chunk)
        return of_body(1, len(chunk))

    # --- the end -------------------------------------------------------------------------------------

    def kill(self) -> None:
        """Kill the whole group at once."""
        self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Close the child's input, then ask it to end, then kill its group; returns when it is gone."""
        if self._stopping is None:
            self._stopping = self._loop.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        limits = self._limits
        self._input.close()
        for seconds, number in (
            (limits.after_eof, signal.SIGTERM),
            (limits.after_term, signal.SIGKILL),
            (limits.after_kill, None),
        ):
            await asyncio.wait([self._exited], timeout=seconds)
            if self._exited.done() or number is None:
                break
            self._signal(number)
        await asyncio.wait([self._released], timeout=limits.rest_of_output)
        self._tell_gone("was stopped")
        self._release()

    def _signal(self, number: signal.Signals) -> None:
        # Until we reap the leader its pid, and so the group's id, cannot belong to anyone else.
        if self._popen.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, number)

    def _watch_exit(self) -> None:
        try:
            pidfd = os.pidfd_open(self._popen.pid)
        except (AttributeError, OSError):
            self._loop.call_later(_POLL, self._poll_exit)  # no such thing on this system
            return
        self._loop.add_reader(pidfd, self._on_pidfd, pidfd)

    def _on_pidfd(self, pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        os.close(pidfd)
        self._on_exit()

    def _poll_exit(self) -> None:
        if os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            self._loop.call_later(_POLL, self._poll_exit)
        else:
            self._on_exit()

    def _on_exit(self) -> None:
        self._signal(signal.SIGKILL)  # what is left of its group
        self._popen.wait()
        self._exited.set_result(None)
        self._settle()

    def _settle(self) -> None:
        """Go on once the child has ended and said its last; wait for neither of the two for long."""
        exited = self._exited.done()
        if exited and not self._stdout.is_open:
            self._tell_gone(ending(self._popen.returncode))
            if not self._stderr.is_open:
                self._release()
                return
        useless = not self._stdout.is_open or not self._input.is_open
        if self._rest is None and (exited or (useless and self._stopping is None)):
            self._rest = self._loop.call_later(self._limits.rest_of_output, self._force)

    def _force(self) -> None:
        self._rest = None
        if self._exited.done():
            self._tell_gone(ending(self._popen.returncode))
            self._release()
        else:
            self.kill()
            self._tell_gone("closed its input or output and ran on")

    def _tell_gone(self, cause: str, *, oversized: bool = False) -> None:
        if not self._gone:
            self._gone = True
            self._listener.on_gone(cause, oversized=oversized)

    def _release(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._input.close()
        self._stdout.close()
        self._stderr.close()
        if not self._released.done():
            self._released.set_result(None)
