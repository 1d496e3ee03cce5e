"""What operators made, kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from coatcheck.core.sealing.keys import Keys
from coatcheck.model.change import Change, ChangeEntry, ChangeFilter
from coatcheck.model.grant import Seen
from coatcheck.model.registry import Edit, Registry


class ServerIds(Protocol):
    """Remembers the UUID that a declared server got at first sight."""

    async def assign(self, names: Sequence[str]) -> Mapping[str, UUID]:
        """Return the UUID of each name, making and storing those never seen before."""
        ...


class RegistryStore(Protocol):
    """What operators made: grants, subjects, servers, credentials, operators, and their word on the file.

    `key_id` names the key that all of it is sealed with.
    """

    @property
    def key_id(self) -> str:
        """The id of the key that the store belongs to."""
        ...

    async def load(self) -> Registry:
        """Return everything, each row checked against its MAC; rows that fail are named, and not used.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        ...

    async def commit(self, edit: Edit) -> None:
        """Make an edit durable together with its admin records, or nothing of it.

        Raises:
            Stale: an object is not at the version before the one given (another operator was faster).
            Taken: a live grant has the label, a server or subject the name.
            StoreUnavailable: nothing was written; or the connection broke in the very commit, and only `load`
                tells whether it happened.
        """
        ...

    async def rekey(self, keys: Keys, change: Change) -> None:
        """Seal everything with another key, all of it or nothing. Calls go on, edits wait.

        Raises:
            Damaged: a row was changed outside of the gateway; nothing happened.
            StoreUnavailable: nothing happened; or the connection broke in the very commit, and after the
                next `load` that succeeds `key_id` tells.
        """
        ...

    async def list_changes(self, wanted: ChangeFilter) -> Sequence[ChangeEntry]:
        """Return entries of the admin log, newest first."""
        ...

    async def note_seen(self, seen: Sequence[Seen]) -> None:
        """Keep when and by what grants were last used, and which clients each has had; not urgent."""
        ...

    async def list_seen(self, grant_ids: Sequence[str]) -> Sequence[Seen]:
        """Return the last use of each (grant, client), newest first."""
        ...

    async def last_uses(self) -> Mapping[str, datetime]:
        """Return when each grant was last used, by id; those that never were are not in it."""
        ...
