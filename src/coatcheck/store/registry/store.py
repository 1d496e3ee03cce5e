"""The registry in the database: read whole and checked by the row; edits of it are whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Self

from sqlalchemy import Connection, delete, insert, select

from coatcheck.core.keys import Keys, Purpose
from coatcheck.core.row_macs import row_fits, row_mac
from coatcheck.core.sealed_values import BrokenSeal
from coatcheck.errors import ConfigError, Unfit
from coatcheck.model.change import Change, ChangeEntry, ChangeFilter
from coatcheck.model.grant import Seen
from coatcheck.model.registry import Edit, Object, Registry
from coatcheck.ports import Entropy
from coatcheck.store.engines.database import Database
from coatcheck.store.registry.changes import insert_changes, list_changes
from coatcheck.store.registry.kinds import Kind, kinds_for
from coatcheck.store.registry.putting import put_rows
from coatcheck.store.registry.rows import Row
from coatcheck.store.registry.secrets_of_servers import ReachSeal
from coatcheck.store.registry.seen import list_seen, note_seen
from coatcheck.store.registry.whole import NOT_WHOLE, WholeSum, sum_of
from coatcheck.store.server_ids import IdRows, called
from coatcheck.store.tables import sealing_key

_FIELDS: Final = ("grants", "subjects", "servers", "operators", "overrides")


class StoredRegistry:
    """Implements `ports.RegistryStore`. Each row has a MAC over all its columns; the key is elsewhere."""

    def __init__(self, database: Database, keys: Keys, entropy: Entropy) -> None:
        self._database = database
        self._mac_key = keys.of(Purpose.ROW_MAC)
        self._key_id = keys.id
        self._whole = WholeSum(self._mac_key, keys.id)
        self._kinds = kinds_for(ReachSeal(keys, entropy))
        self._ids = IdRows(keys)

    @classmethod
    async def open(cls, database: Database, keys: Keys, entropy: Entropy) -> Self:
        """Return the registry of a database, which belongs to its first key from then on.

        Raises:
            ConfigError: it belongs to another key; the message names both by their ids.
            StoreUnavailable: the database cannot be read or written.
        """
        store = cls(database, keys, entropy)
        known = await database.read(key_id_of)
        if known is None:
            await database.write(store._begin)
        elif known != keys.id:
            raise ConfigError(
                f"the store belongs to the key {known}, and the key given is {keys.id}",
                fix="give the key that the store was made with; without it, what is sealed there is lost",
            )
        return store

    async def load(self) -> Registry:
        """Return everything, each row checked against its MAC; rows that fail are named, and not used.

        Where rows were removed or older ones put back, `NOT_WHOLE` is among the `damaged`: what is returned
        was all written here once, and a revocation may be missing from it. So it is `uncertain` then, as it
        is where a row is damaged that takes something away from callers.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        return await self._database.read(self._load)

    async def commit(self, edit: Edit) -> None:
        """Make an edit durable together with its admin records, or nothing of it.

        Raises:
            Stale: an object is not at the version before the one given (another operator was faster).
            Taken: a live grant has the label, a server or subject the name.
            Unfit: a text holds characters that cannot be stored.
            StoreUnavailable: nothing was written; if the connection to a server broke in the very commit,
                only reading the registry again tells.
        """
        rows = [self._sealed(put) for put in sorted(edit.puts, key=_is_live)]
        for change in edit.changes:
            _require_writable(vars_of(change))

        def write(writing: Connection) -> None:
            self._whole.add(writing, put_rows(writing, rows))
            insert_changes(writing, edit.changes)

        await self._database.write(write)

    async def accept(self, change: Change) -> tuple[str, ...]:
        """Remove the rows that are damaged and take the rest as the whole registry; return what was removed.

        The way out for an operator who has looked at what is damaged. `change` is its admin record.

        Raises:
            StoreUnavailable: nothing was changed.
        """

        def write(writing: Connection) -> tuple[str, ...]:
            removed = self._accept(writing)
            insert_changes(writing, [change])
            return tuple(removed)

        return await self._database.write(write)

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

    # --- rows ------------------------------------------------------------------------------------------

    def _begin(self, writing: Connection) -> None:
        writing.execute(insert(sealing_key).values(key_id=self._key_id))
        self._whole.start(writing, self._ids.adopt(writing))

    def _load(self, reading: Connection) -> Registry:
        found: dict[str, Any] = {}
        damaged: list[str] = []
        macs: list[str] = []
        uncertain = False
        for field, kind in zip(_FIELDS, self._kinds.values(), strict=True):
            objects: dict[Any, Any] = {}
            for row, noun in self._rows(reading, kind):
                macs.append(row["mac"])
                if noun is None:
                    damaged.append(kind.name_of(row))
                    uncertain |= kind.restricts
                else:
                    objects[kind.key_of(noun)] = noun
            found[field] = MappingProxyType(objects)
        for _, name, _, mac, fits in self._ids.read(reading):
            macs.append(mac)
            if not fits:  # whom a server is disabled for, and whom a grant reaches, hangs on it
                damaged.append(called(name))
                uncertain = True
        if not self._whole.fits(reading, sum_of(macs)):
            damaged.append(NOT_WHOLE)
            uncertain = True
        return Registry(**found, damaged=tuple(damaged), uncertain=uncertain)

    def _accept(self, writing: Connection) -> list[str]:
        """Remove what is damaged and take the rest as the whole."""
        removed, macs = self._ids.remove_damaged(writing)
        for kind in self._kinds.values():
            for row, noun in list(self._rows(writing, kind)):
                if noun is None:
                    removed.append(kind.name_of(row))
                    writing.execute(delete(kind.table).where(*(key == row[key.name] for key in kind.keys)))
                else:
                    macs.append(row["mac"])
        self._whole.start(writing, sum_of(macs))
        return removed

    def _rows(self, reading: Connection, kind: Kind) -> Iterator[tuple[dict[str, Any], Object | None]]:
        names = [column.name for column in kind.table.columns]
        for values in reading.execute(select(kind.table)):
            row = dict(zip(names, values, strict=True))
            yield row, self._noun(kind, row)

    def _noun(self, kind: Kind, row: dict[str, Any]) -> Object | None:
        covered = row.copy()
        del covered["mac"]
        if not row_fits(self._mac_key, kind.table.name, covered, self._key_id, row["mac"]):
            return None
        try:
            noun: Object = kind.noun_of(row)
        except (BrokenSeal, ValueError, KeyError, TypeError):  # ours, and yet not to be read: never used
            return None
        return noun

    def _sealed(self, put: Object) -> tuple[Kind, Row]:
        if put.version < 1:
            raise ValueError("an object that is stored has a version from 1")
        kind = self._kinds[type(put)]
        row = kind.row_of(put)
        _require_writable(row)
        row["mac"] = row_mac(self._mac_key, kind.table.name, row, self._key_id)
        return kind, row


def key_id_of(reading: Connection) -> str | None:
    """Return the id of the key that the database belongs to; None before there was one."""
    return reading.execute(select(sealing_key.c.key_id)).scalar_one_or_none()


def vars_of(noun: Any) -> dict[str, Any]:
    """Return the fields of a noun by name."""
    return {name: getattr(noun, name) for name in noun.__slots__}


def _is_live(put: Object) -> bool:
    """What ends goes first, so that one edit can end an object and give its name to another."""
    return getattr(put, "revoked_at", None) is None and getattr(put, "ended_at", None) is None


def _require_writable(row: Mapping[str, object]) -> None:
    for name, value in row.items():
        if isinstance(value, str) and ("\x00" in value or not _is_text(value)):
            raise Unfit(f"{name} holds characters that cannot be stored", fix="leave them out")


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
