"""A thread of its own for a sink whose writes can block: a hung receiver holds up that thread alone."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from coatcheck.errors import SinkFailed

WAITING: Final = 2
"""Pieces of work that may wait for one that hangs; the follower gives one at a time, a test one more."""

_Done = TypeVar("_Done")
_Piece = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Lane:
    """Runs blocking work, one piece after the other. The thread dies with the process, whatever it does."""

    def __init__(self, name: str) -> None:
        self._pieces: queue.Queue[_Piece | None] = queue.Queue(WAITING)
        self._name = name
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[[], _Done]) -> _Done:
        """Return what the work returns, or raise what it raises.

        Raises:
            SinkFailed: what was given before still hangs.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"coatcheck-{self._name}", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_Done] = loop.create_future()
        try:
            self._pieces.put_nowait((loop, done, work))
        except queue.Full:
            raise SinkFailed("the receiver does not take what was written before") from None
        return await done

    def close(self) -> None:
        """Let the thread end once it has done what it was given."""
        with suppress(queue.Full):
            self._pieces.put_nowait(None)
        self._thread = None

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            loop, done, work = piece
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # it is the waiter's
                _tell(loop, _fail, done, error)
            else:
                _tell(loop, _succeed, done, result)


def _tell(
    loop: asyncio.AbstractEventLoop, how: Callable[..., None], done: asyncio.Future[Any], what: Any
) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(how, done, what)


def _succeed(done: asyncio.Future[Any], result: Any) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
