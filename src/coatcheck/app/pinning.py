"""Composition of what pins tools, judges lists by it, and takes the word of operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coatcheck.model.pin import Quarantine
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.pinning.keeping import Keeping
from coatcheck.operations.pinning.pinning import Pinning
from coatcheck.operations.pinning.reviewing import Reviewing
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.registry.desk import Desk


@dataclass(frozen=True, slots=True)
class Pinned:
    """What pins tools: `close` it before the servers."""

    servers: Servers
    pinning: Pinning
    keeping: Keeping
    reviewing: Reviewing

    def follow(self) -> None:
        """Judge lists again by what the snapshot in force says was accepted."""
        changed = self.pinning.follow()
        if changed:
            self.servers.judge_again(changed)

    def told(self) -> dict[str, int]:
        """Return what `status` and `/health` show."""
        waiting = self.reviewing.waiting()
        return {"waiting": waiting.tools, "quarantined": waiting.quarantined}


def pinned(desk: Desk, servers: Servers, snapshot: Callable[[], Snapshot], quarantine: Quarantine) -> Pinned:
    """Return the parts, and have them judge what the servers list from now on."""
    pinning = Pinning(snapshot, desk.now, quarantine)
    servers.pins = pinning
    return Pinned(servers, pinning, Keeping(desk, pinning), Reviewing(desk, pinning, servers))
