"""What every use case of the registry works with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from coatcheck.core.tokens import Pepper
from coatcheck.errors import Missing, Stale
from coatcheck.model.server import Server
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.book import Book, Edited
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.registry.granting.seen import SeenBook
from coatcheck.operations.registry.views import Ended, GrantView
from coatcheck.ports import Clock, Entropy


@dataclass(frozen=True, slots=True)
class Desk:
    """The book and what is needed to write in it."""

    book: Book
    scribe: Scribe
    clock: Clock
    entropy: Entropy
    pepper: Pepper
    seen: SeenBook
    print_key: bytes
    """What the fingerprints of credentials are made with."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot in force."""
        return self.book.snapshot

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return self.clock.now()

    async def ended(
        self, edited: Edited, started: float, grants: tuple[GrantView, ...] = (), revoked: Iterable[str] = ()
    ) -> Ended:
        """Wait until what an edit cut off has ended, and say what that was. `started` is monotonic."""
        sessions, calls, streams = len(edited.ending.sessions), edited.ending.calls, edited.ending.streams
        left = await edited.ending.wait()
        return Ended(
            grants, frozenset(revoked), calls, streams, sessions, self.clock.monotonic() - started, left
        )


def check_version(found: int, wanted: int | None, what: str) -> None:
    """Refuse to change what somebody else changed meanwhile.

    Raises:
        Stale: the object is not at the version that the caller knows.
    """
    if wanted is not None and wanted != found:
        raise Stale(f"{what} was changed meanwhile", fix="read it again, then change it")


def server_id_of(snapshot: Snapshot, key: str) -> UUID:
    """Return the UUID of a server by name or UUID: one in use, disabled, or of the file.

    Raises:
        Missing: there is none.
    """
    declared = snapshot.declared.servers.get(key)
    if declared is not None:
        return declared.id
    for server in snapshot.declared.servers.values():
        if str(server.id) == key:
            return server.id
    for stored in snapshot.registry.servers.values():
        if stored.ended_at is None and key in {stored.name, str(stored.id)}:
            return stored.id
    raise Missing(f"there is no server {key!r}", fix="`coatcheck list` names the servers")


def server_in_use(snapshot: Snapshot, key: str) -> Server:
    """Return a server that is in use, by name or UUID.

    Raises:
        Missing: there is none.
    """
    found = snapshot.find_server(key)
    if found is None:
        raise Missing(f"there is no server {key!r} in use", fix="`coatcheck list` names the servers")
    return found


def server_name_of(snapshot: Snapshot, id: UUID) -> str:
    """Return the name of a server, in use or not; its UUID if it is known no more."""
    stored = snapshot.registry.servers.get(id)
    if stored is not None:
        return stored.name
    names = (server.name for server in snapshot.declared.servers.values() if server.id == id)
    return next(names, str(id))
