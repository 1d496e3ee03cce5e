"""The requests under way with one server, and which of them a message without an id belongs to."""

from __future__ import annotations

import asyncio
from typing import Final

from coatcheck.model.call import Reply
from coatcheck.ports import Notify

AFTERLIFE: Final = 30.0
"""Seconds for which a cancelled call may still speak: some servers work on, and log while they do."""
_MAX_CANCELLED: Final = 1024


class Request:
    """A request that waits for its answer.

    `caller_id` is the id that the caller gave it, None for one of our own; `token` the caller's progress
    token. `listens`: it asks for notifications until one of the two sides ends it (SEP-2575).
    """

    __slots__ = ("caller_id", "future", "listens", "notify", "token")

    def __init__(
        self,
        future: asyncio.Future[Reply],
        notify: Notify | None = None,
        token: bytes | None = None,
        caller_id: bytes | None = None,
        *,
        listens: bool = False,
    ) -> None:
        self.future = future
        self.notify = notify
        self.token = token
        self.caller_id = caller_id
        self.listens = listens


class Underway:
    """The requests that wait, by the id that we gave them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._requests: dict[bytes, Request] = {}
        self._cancelled: dict[bytes, float] = {}

    def add(self, id: bytes, request: Request) -> None:
        """Take a request that is about to be sent."""
        self._requests[id] = request

    def find(self, id: bytes) -> Request | None:
        """Return the request of this id, if it still waits."""
        return self._requests.get(id)

    def end(self, id: bytes) -> Request | None:
        """Forget a request, answered or given up; return it if it still waited."""
        self._cancelled.pop(id, None)
        return self._requests.pop(id, None)

    def cancel(self, id: bytes) -> bool:
        """Forget a request that the server may work on for a while; tell whether it still waited."""
        if self._requests.pop(id, None) is None:
            return False
        if len(self._cancelled) >= _MAX_CANCELLED:
            del self._cancelled[next(iter(self._cancelled))]
        self._cancelled[id] = self._loop.time() + AFTERLIFE
        return True

    def end_all(self) -> list[Request]:
        """Forget all requests and return them."""
        requests = list(self._requests.values())
        self._requests.clear()
        self._cancelled.clear()
        return requests

    def listening(self) -> list[bytes]:
        """Return the ids of the requests that listen."""
        return [id for id, request in self._requests.items() if request.listens]

    def only_ask(self) -> bytes | None:
        """Return the id of the only request there is, if it is one of our own."""
        if len(self._requests) != 1:
            return None
        id, request = next(iter(self._requests.items()))
        return id if request.caller_id is None and not request.listens else None

    def lone_call(self) -> Request | None:
        """Return the only call of a caller's that the server can be working on; None for none or several."""
        found: Request | None = None
        for request in self._requests.values():
            if request.caller_id is None or request.listens:
                continue
            if found is not None:
                return None
            found = request
        return None if self._is_haunted() else found

    def _is_haunted(self) -> bool:
        if self._cancelled:
            now = self._loop.time()
            self._cancelled = {id: until for id, until in self._cancelled.items() if until > now}
        return bool(self._cancelled)
