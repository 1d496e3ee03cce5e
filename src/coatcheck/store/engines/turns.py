"""A lock whose holders come in the order in which they asked.

SQLite's own waiting is a poll that a busy writer can outrun for seconds; a revocation must not wait that long
behind the record of calls.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Self


class Turns:
    """Held with `with`. One thread must not take a second turn while it has one."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def __enter__(self) -> Self:
        with self._guard:
            if not self._taken:
                self._taken = True
                return self
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        called.acquire()  # until the one before hands its turn over
        return self

    def __exit__(self, *_: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
