"""One key's hold on the registry: rows sealed and authenticated with it, their sum, and the pepper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select

from coatcheck.core.sealing.keys import Keys, Purpose
from coatcheck.core.sealing.row_macs import row_fits, row_mac
from coatcheck.core.sealing.sealed_values import BrokenSeal, ValueSeal
from coatcheck.core.sealing.states import NONCE_BYTES
from coatcheck.errors import Unfit
from coatcheck.model.registry import Object
from coatcheck.ports import Entropy
from coatcheck.store.registry.id_rows import IdRows
from coatcheck.store.registry.kinds import Kind, kinds_for
from coatcheck.store.registry.rows import Row
from coatcheck.store.registry.rows_of_credentials import CredentialSeal
from coatcheck.store.registry.secrets_of_servers import ReachSeal
from coatcheck.store.registry.whole import WholeSum
from coatcheck.store.tables import sealing_key

_PEPPER_PLACE: Final = (sealing_key.name, "pepper")


@dataclass(frozen=True, slots=True)
class Found:
    """A row as it is stored, and what it says; None where it is damaged."""

    kind: Kind
    row: dict[str, Any]
    noun: Object | None


class Sealing:
    """What follows from one key. `kinds` are in the order of the fields of `Registry`."""

    def __init__(self, keys: Keys, entropy: Entropy) -> None:
        self.key_id = keys.id
        self._mac_key = keys.of(Purpose.ROW_MAC)
        self.whole = WholeSum(self._mac_key, keys.id)
        self.kinds = kinds_for(ReachSeal(keys, entropy), CredentialSeal(keys, entropy))
        self.ids = IdRows(keys)
        self._seal = ValueSeal(keys.of(Purpose.SECRET_SEAL))
        self._entropy = entropy

    def found(self, reading: Connection) -> Iterator[Found]:
        """Yield every row of the registry, kind by kind."""
        for kind in self.kinds.values():
            names = [column.name for column in kind.table.columns]
            for values in reading.execute(select(kind.table)):
                row = dict(zip(names, values, strict=True))
                yield Found(kind, row, self._noun(kind, row))

    def sealed(self, put: Object) -> tuple[Kind, Row]:
        """Return the row of an object, with its MAC.

        Raises:
            Unfit: a text holds characters that cannot be stored.
        """
        if put.version < 1:
            raise ValueError("an object that is stored has a version from 1")
        kind = self.kinds[type(put)]
        row = kind.row_of(put)
        require_writable(row)
        row["mac"] = row_mac(self._mac_key, kind.table.name, row, self.key_id)
        return kind, row

    def close_pepper(self, pepper: bytes) -> str:
        """Return the pepper sealed with this key."""
        return self._seal.seal(pepper.hex(), (*_PEPPER_PLACE, self.key_id), self._entropy.token(NONCE_BYTES))

    def open_pepper(self, sealed: str) -> bytes:
        """Return the pepper that was sealed with this key.

        Raises:
            BrokenSeal: it was not.
        """
        return bytes.fromhex(self._seal.open(sealed, (*_PEPPER_PLACE, self.key_id)))

    def _noun(self, kind: Kind, row: dict[str, Any]) -> Object | None:
        covered = {name: value for name, value in row.items() if value is not None or name not in kind.later}
        del covered["mac"]
        if not row_fits(self._mac_key, kind.table.name, covered, self.key_id, row["mac"]):
            return None
        try:
            noun: Object = kind.noun_of(row)
        except (BrokenSeal, ValueError, KeyError, TypeError):  # ours, and yet not to be read: never used
            return None
        return noun


def require_writable(row: Mapping[str, object]) -> None:
    """Refuse text that not every database holds.

    Raises:
        Unfit: the message names the column.
    """
    for name, value in row.items():
        if isinstance(value, str) and ("\x00" in value or not _is_text(value)):
            raise Unfit(f"{name} holds characters that cannot be stored", fix="leave them out")


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
