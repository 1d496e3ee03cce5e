"""How long one call may take: so long without a sign of life, and so long in all, people's time aside."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Seconds: without a sign of life, and in all. The time that a client takes to answer does not count."""

    quiet: float = 120.0
    longest: float = 1800.0


class Patience:
    """A context: cancels the task in it when patience has run out, and raises `TimeoutError` at its end.

    `renew` is called at each sign of life; between `hold` and `release` the client is being asked, which
    takes as long as people take. Like `asyncio.timeout`, but that a sign of life only stores a number, and
    entering and leaving take no coroutine: both are on the path of every call.
    """

    __slots__ = (
        "_cancelling",
        "_due",
        "_end",
        "_held",
        "_held_since",
        "_loop",
        "_ran_out",
        "_task",
        "_timer",
        "_times",
    )

    def __init__(self, times: CallTimes) -> None:
        self._times = times
        self._loop = asyncio.get_running_loop()
        self._held = 0
        self._held_since = 0.0
        self._ran_out = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        task: asyncio.Task[object] = asyncio.current_task()  # type: ignore[assignment]
        self._task = task
        self._cancelling = task.cancelling()
        now = self._loop.time()
        self._end = now + self._times.longest
        self._due = now + min(self._times.quiet, self._times.longest)
        self._timer = self._loop.call_at(self._due, self._look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._ran_out:
            return
        ours = self._task.uncancel() <= self._cancelling  # else somebody else cancelled as well
        if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def renew(self) -> None:
        """Take note of a sign of life."""
        self._due = min(self._loop.time() + self._times.quiet, self._end)

    def hold(self) -> None:
        """Stop the clock; `release` must follow."""
        self._held += 1
        if self._held == 1:
            self._held_since = self._loop.time()

    def release(self) -> None:
        """Let the clock go on where `hold` stopped it."""
        self._held -= 1
        if not self._held:
            self._end += self._loop.time() - self._held_since
            self.renew()
            if self._timer is not None:  # it may look too late by now
                self._timer.cancel()
                self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        """Cancel if it is time; else look again when it will be, which signs of life put off."""
        now = self._loop.time()
        if self._held or now < self._due:
            later = now + self._times.quiet if self._held else self._due
            self._timer = self._loop.call_at(later, self._look)
            return
        self._ran_out = True
        self._timer = None
        self._task.cancel()
