"""Calls under way by server, so that taking a server away ends them, on both sides."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from types import TracebackType
from uuid import UUID

from coatcheck.errors import UpstreamLost
from coatcheck.model.server import Server
from coatcheck.operations.leaving import Leaving


class Strand:
    """One call under way at a server, for as long as the block runs. `left` is set when it has ended.

    Raises at the end of the block:
        UpstreamLost: the server was taken away meanwhile.
    """

    __slots__ = ("_among", "_cancelling", "_server", "_task", "left", "severed")

    def __init__(self, among: defaultdict[UUID, set[Strand]], server: Server) -> None:
        task: asyncio.Task[object] = asyncio.current_task()  # type: ignore[assignment]
        self.left = Leaving()
        self.severed = False
        self._among = among
        self._server = server
        self._task = task
        self._cancelling = task.cancelling()

    def sever(self) -> None:
        """End the call where it stands."""
        if not self.severed:
            self.severed = True
            self._task.cancel()

    def __enter__(self) -> None:
        self._among[self._server.id].add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        strands = self._among[self._server.id]
        strands.discard(self)
        if not strands:
            del self._among[self._server.id]
        self.left.set()
        # A call that ended otherwise at the same moment leaves nothing to cancel.
        if self.severed and self._is_ours() and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise UpstreamLost(f"{self._server.name} was taken out of use", reached=True) from None

    def _is_ours(self) -> bool:
        """Tell whether a cancellation that arrived is this one alone, and nobody else's as well."""
        return self._task.uncancel() <= self._cancelling


class Severing:
    """All calls under way at servers."""

    def __init__(self) -> None:
        self._strands: defaultdict[UUID, set[Strand]] = defaultdict(set)

    def under_way(self, server: Server) -> Strand:
        """Return the block of a call: it is noted while the block runs."""
        return Strand(self._strands, server)

    def sever(self, server_ids: frozenset[UUID]) -> list[Strand]:
        """End every call under way at these servers, and return them."""
        found = [strand for server_id in server_ids for strand in self._strands.get(server_id, ())]
        for strand in found:
            strand.sever()
        return found
