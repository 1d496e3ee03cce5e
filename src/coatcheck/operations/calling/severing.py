"""Calls under way by server, so that taking a server away ends them, on both sides."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from coatcheck.errors import UpstreamLost
from coatcheck.model.server import Server


class Strand:
    """One call under way at a server. `left` is set when it has ended."""

    def __init__(self, task: asyncio.Task[object]) -> None:
        self.left = asyncio.Event()
        self.severed = False
        self._task = task
        self._cancelling = task.cancelling()

    def sever(self) -> None:
        """End the call where it stands."""
        if not self.severed:
            self.severed = True
            self._task.cancel()

    def is_ours(self) -> bool:
        """Tell whether a cancellation that arrived is this one alone, and nobody else's as well."""
        return self.severed and self._task.uncancel() <= self._cancelling


class Severing:
    """All calls under way at servers."""

    def __init__(self) -> None:
        self._strands: defaultdict[UUID, set[Strand]] = defaultdict(set)

    @contextmanager
    def under_way(self, server: Server) -> Iterator[None]:
        """Note a call while the block runs.

        Raises:
            UpstreamLost: the server was taken away meanwhile.
        """
        task: asyncio.Task[object] = asyncio.current_task()  # type: ignore[assignment]
        strand = Strand(task)
        self._strands[server.id].add(strand)
        try:
            yield
        except asyncio.CancelledError:
            if strand.is_ours():
                raise UpstreamLost(f"{server.name} was taken out of use", reached=True) from None
            raise
        except BaseException:
            strand.is_ours()  # the call ended otherwise at the same moment: nothing is left to cancel
            raise
        else:
            strand.is_ours()
        finally:
            self._strands[server.id].discard(strand)
            if not self._strands[server.id]:
                del self._strands[server.id]
            strand.left.set()

    def sever(self, server_ids: frozenset[UUID]) -> list[Strand]:
        """End every call under way at these servers, and return them."""
        found = [strand for server_id in server_ids for strand in self._strands.get(server_id, ())]
        for strand in found:
            strand.sever()
        return found
