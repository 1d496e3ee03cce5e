"""The registry in the database: read whole and checked by the row; edits of it are whole or not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Self

from sqlalchemy import Connection, delete, insert, select, update

from coatcheck.core.sealing.keys import Keys, Purpose
from coatcheck.core.sealing.sealed_values import BrokenSeal
from coatcheck.core.tokens import Pepper
from coatcheck.errors import ConfigError, Sealed, Unavailable
from coatcheck.model.change import Change, ChangeEntry, ChangeFilter
from coatcheck.model.credential import Credential
from coatcheck.model.grant import Seen
from coatcheck.model.registry import Edit, Object, Registry
from coatcheck.model.server import StoredServer
from coatcheck.ports import Entropy
from coatcheck.store.chain import Growth
from coatcheck.store.engines.database import Database
from coatcheck.store.registry.changes import insert_changes, list_changes
from coatcheck.store.registry.id_rows import called
from coatcheck.store.registry.putting import put_rows
from coatcheck.store.registry.rekeying import replace_all, reseal
from coatcheck.store.registry.sealing import Sealing, require_writable
from coatcheck.store.registry.seen import last_uses, list_seen, note_seen
from coatcheck.store.registry.whole import NOT_WHOLE, sum_of
from coatcheck.store.tables import sealing_key

log = logging.getLogger(__name__)

_FIELDS: Final = (
    "grants",
    "subjects",
    "servers",
    "operators",
    "overrides",
    "credentials",
    "policies",
    "policy_uses",
    "policy_versions",
    "pins",
)


class StoredRegistry:
    """Implements `ports.RegistryStore`. Each row has a MAC over all its columns; the key is elsewhere."""

    def __init__(self, database: Database, keys: Keys, entropy: Entropy) -> None:
        self._database = database
        self._entropy = entropy
        self._sealing = Sealing(keys, entropy)
        self._following: Sealing | None = None
        """The key of a rekeying of which nobody knows whether it happened."""
        self._pepper = keys.of(Purpose.GRANT_PEPPER)
        self._turn = asyncio.Lock()
        self._scrubbing: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, database: Database, keys: Keys, entropy: Entropy) -> Self:
        """Return the registry of a database, which belongs to its first key from then on.

        Raises:
            Sealed: it belongs to another key; the message names both by their ids.
            ConfigError: the pepper in it was changed outside of the gateway.
            StoreUnavailable: the database cannot be read or written.
        """
        store = cls(database, keys, entropy)
        known = await database.read(_kept_key)
        if known is None:
            await database.write(store._begin)
        elif known[0] != keys.id:
            raise Sealed(
                f"the store belongs to the key {known[0]}, and the key given is {keys.id}",
                fix="give the key that the store was made with; without it, what is sealed there is lost",
            )
        elif known[1] is None:
            await database.write(store._keep_pepper)
        else:
            store._pepper = _opened(store._sealing, known[1])
        return store

    @property
    def sealing(self) -> Sealing:
        """What follows from the key in force."""
        return self._sealing

    @property
    def key_id(self) -> str:
        """The id of the key that the store belongs to."""
        return self._sealing.key_id

    @property
    def pepper(self) -> Pepper:
        """What tokens are proven with; the same under every key that the store ever has."""
        return Pepper(self._pepper)

    @property
    def print_key(self) -> bytes:
        """What materials are fingerprinted with, so that fingerprints outlive a change of the key as well."""
        return self.lasting_key(Purpose.CREDENTIAL_PRINT)

    def lasting_key(self, purpose: Purpose) -> bytes:
        """Return the key for one purpose that stays the same when the key of the store is changed."""
        return Keys(self._pepper).of(purpose)

    async def load(self) -> Registry:
        """Return everything, each row checked against its MAC; rows that fail are named, and not used.

        Where rows were removed or older ones put back, `NOT_WHOLE` is among the `damaged`: what is returned
        was all written here once, and a revocation may be missing from it. So it is `uncertain` then, as it
        is where a row is damaged that takes something away from callers.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        async with self._turn:
            await self._find_out()
            return await self._database.read(self._load)

    async def commit(self, edit: Edit) -> None:
        """Make an edit durable together with its admin records, or nothing of it.

        Raises:
            Stale: an object is not at the version before the one given (another operator was faster).
            Taken: a live grant has the label; a server, subject or credential the name.
            Unfit: a text holds characters that cannot be stored.
            StoreUnavailable: nothing was written; if the connection to a server broke in the very commit,
                only reading the registry again tells.
        """
        for change in edit.changes:
            require_writable(vars_of(change))
        async with self._turn:
            await self._find_out()
            rows = [self._sealing.sealed(put) for put in sorted(edit.puts, key=_is_live)]

            def write(writing: Connection, growth: Growth) -> None:
                self._sealing.whole.add(writing, put_rows(writing, rows))
                insert_changes(writing, growth, edit.changes)

            await self._database.write_chained(write)
        if edit.changes and any(_may_have_dropped(put) for put in edit.puts):
            self._scrub_soon()

    def _scrub_soon(self) -> None:
        """Have what was overwritten leave the files; whoever waits for the edit does not wait for that."""
        task = asyncio.get_running_loop().create_task(self._scrub())
        self._scrubbing.add(task)
        task.add_done_callback(self._scrubbing.discard)

    async def _scrub(self) -> None:
        if not await self._database.scrub():
            log.warning(
                "sealed secrets that were replaced are in the write-ahead log until nobody reads the database"
            )

    async def rekey(self, keys: Keys, change: Change) -> None:
        """Seal everything with another key, all of it or nothing.

        Calls go on, edits wait. The pepper stays, so every token is as good as before.

        Raises:
            Damaged: a row was changed outside of the gateway, so that nothing can be said for it.
            StoreUnavailable: nothing was changed; or the connection broke in the very commit: then `key_id`
                tells once the store can be read again.
        """
        async with self._turn:
            await self._find_out()
            former, following = self._sealing, Sealing(keys, self._entropy)
            made = await self._database.read(lambda reading: reseal(reading, former, following))

            def write(writing: Connection, growth: Growth) -> None:
                replace_all(writing, made, former, following, self._pepper)
                insert_changes(writing, growth, [change])

            self._following = following
            try:
                await self._database.write_chained(write)
            except Unavailable:
                await self._find_out()
                if self._sealing is not following:
                    raise
            except BaseException:
                self._following = None  # refused inside of the transaction
                raise
            self._sealing, self._following = following, None
        await self._scrub()

    async def accept(self, change: Change) -> tuple[str, ...]:
        """Remove the rows that are damaged and take the rest as the whole registry; return what was removed.

        The way out for an operator who has looked at what is damaged. `change` is its admin record.

        Raises:
            StoreUnavailable: nothing was changed.
        """

        def write(writing: Connection, growth: Growth) -> tuple[str, ...]:
            removed = self._accept(writing)
            insert_changes(writing, growth, [change])
            return tuple(removed)

        async with self._turn:
            await self._find_out()
            return await self._database.write_chained(write)

    async def list_changes(self, wanted: ChangeFilter) -> Sequence[ChangeEntry]:
        """Return entries of the admin log, newest first.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        return await self._database.read(lambda reading: list_changes(reading, wanted))

    async def note_seen(self, seen: Sequence[Seen]) -> None:
        """Keep when and by what grants were last used, and which clients each has had; not urgent.

        Raises:
            StoreUnavailable: nothing was written.
        """
        if seen:
            await self._database.write(lambda writing: note_seen(writing, seen))

    async def list_seen(self, grant_ids: Sequence[str]) -> Sequence[Seen]:
        """Return the last use of each (grant, client), newest first.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        return await self._database.read(lambda reading: list_seen(reading, grant_ids))

    async def last_uses(self) -> Mapping[str, datetime]:
        """Return when each grant was last used, by id. Raises as `list_seen`."""
        return await self._database.read(last_uses)

    # --- rows ------------------------------------------------------------------------------------------

    def _begin(self, writing: Connection) -> None:
        pepper = self._sealing.close_pepper(self._pepper)
        writing.execute(insert(sealing_key).values(key_id=self.key_id, pepper=pepper))
        self._sealing.whole.start(writing, self._sealing.ids.adopt(writing))

    def _keep_pepper(self, writing: Connection) -> None:
        """Keep what a store of before proved its tokens with: it followed from the key until now."""
        writing.execute(update(sealing_key).values(pepper=self._sealing.close_pepper(self._pepper)))

    async def _find_out(self) -> None:
        """Read which key the store has, where a rekeying broke off and nobody knows whether it happened."""
        if self._following is not None:
            if await self._database.write(settled_key_id_of) == self._following.key_id:
                self._sealing = self._following
            self._following = None

    def _load(self, reading: Connection) -> Registry:
        kinds = self._sealing.kinds.values()
        objects: dict[str, dict[Any, Any]] = {kind.table.name: {} for kind in kinds}
        damaged: list[str] = []
        macs: list[str] = []
        uncertain = False
        for one in self._sealing.found(reading):
            macs.append(one.row["mac"])
            if one.noun is None:
                damaged.append(one.kind.name_of(one.row))
                uncertain |= one.kind.restricts
            else:
                objects[one.kind.table.name][one.kind.key_of(one.noun)] = one.noun
        for _, name, _, mac, fits in self._sealing.ids.read(reading):
            macs.append(mac)
            if not fits:  # whom a server is disabled for, and whom a grant reaches, hangs on it
                damaged.append(called(name))
                uncertain = True
        if not self._sealing.whole.fits(reading, sum_of(macs)):
            damaged.append(NOT_WHOLE)
            uncertain = True
        kept = map(MappingProxyType[Any, Any], objects.values())
        found: dict[str, Any] = dict(zip(_FIELDS, kept, strict=True))
        return Registry(**found, damaged=tuple(damaged), uncertain=uncertain)

    def _accept(self, writing: Connection) -> list[str]:
        """Remove what is damaged and take the rest as the whole."""
        removed, macs = self._sealing.ids.remove_damaged(writing)
        for one in list(self._sealing.found(writing)):
            if one.noun is None:
                kind, row = one.kind, one.row
                removed.append(kind.name_of(row))
                writing.execute(delete(kind.table).where(*(key == row[key.name] for key in kind.keys)))
            else:
                macs.append(one.row["mac"])
        self._sealing.whole.start(writing, sum_of(macs))
        return removed


def key_id_of(reading: Connection) -> str | None:
    """Return the id of the key that the database belongs to; None before there was one."""
    return reading.execute(select(sealing_key.c.key_id)).scalar_one_or_none()


def settled_key_id_of(writing: Connection) -> str | None:
    """Return the same once no transaction of a gateway that died is under way that would change it."""
    writing.execute(update(sealing_key).values(key_id=sealing_key.c.key_id))
    return key_id_of(writing)


def _kept_key(reading: Connection) -> tuple[str, str | None] | None:
    row = reading.execute(select(sealing_key.c.key_id, sealing_key.c.pepper)).one_or_none()
    return None if row is None else (row[0], row[1])


def _opened(sealing: Sealing, pepper: str) -> bytes:
    try:
        return sealing.open_pepper(pepper)
    except (BrokenSeal, ValueError):
        raise ConfigError(
            "what the tokens of grants are proven with was changed outside of the gateway",
            fix="restore a backup; without it, every grant has to be issued anew",
        ) from None


def vars_of(noun: Any) -> dict[str, Any]:
    """Return the fields of a noun by name."""
    return {name: getattr(noun, name) for name in noun.__slots__}


def _may_have_dropped(put: Object) -> bool:
    """Tell whether putting an object may have replaced or removed sealed secrets."""
    return isinstance(put, Credential | StoredServer) and put.version > 1


def _is_live(put: Object) -> bool:
    """What ends goes first, so that one edit can end an object and give its name to another."""
    return getattr(put, "revoked_at", None) is None and getattr(put, "ended_at", None) is None
