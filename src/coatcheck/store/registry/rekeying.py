"""The registry under another key: made beside the calls, and put in place in one short transaction."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, update

from coatcheck.errors import Damaged
from coatcheck.store.registry.id_rows import called
from coatcheck.store.registry.rows import Row
from coatcheck.store.registry.sealing import Found, Sealing
from coatcheck.store.registry.whole import NOT_WHOLE, Sum, sum_of
from coatcheck.store.tables import sealing_key, server_id

_BREATH: Final = 64
"""Rows after which a thread that computes lets the others go first."""
_BREATH_SECONDS: Final = 0.0005

Columns = tuple[str, ...]


@dataclass(slots=True)
class Resealed:
    """Everything under the other key: for each table and set of columns that differ, the rows of those."""

    before: Sum
    after: Sum = field(default_factory=Sum)
    groups: dict[tuple[Table, Columns], list[Row]] = field(default_factory=lambda: defaultdict(list))


def reseal(reading: Connection, former: Sealing, following: Sealing) -> Resealed:
    """Return all rows under the following key; nothing is written.

    Raises:
        Damaged: a row was changed outside of the gateway, or is missing.
    """
    found: list[Found] = []
    damaged: list[str] = []
    for number, one in enumerate(former.found(reading)):
        _breathe(number)
        found.append(one)
        if one.noun is None:
            damaged.append(one.kind.name_of(one.row))
    ids = list(former.ids.read(reading))
    damaged += [called(name) for _, name, _, _, fits in ids if not fits]
    before = sum_of(one.row["mac"] for one in found) + sum_of(mac for *_, mac, _ in ids)
    if not former.whole.fits(reading, before):
        damaged.append(NOT_WHOLE)
    _refuse(damaged)
    made = Resealed(before)
    macs = [_add(made, number, one, following) for number, one in enumerate(found)]
    for folded, name, uuid, _, _ in ids:
        macs.append(following.ids.mac(folded, name, uuid))
        made.groups[server_id, ("mac",)].append({"new_mac": macs[-1], "key_folded": folded})
    made.after = sum_of(macs)
    return made


def replace_all(
    writing: Connection, made: Resealed, former: Sealing, following: Sealing, pepper: bytes
) -> None:
    """Put everything that was resealed in the place of what is there, in the transaction given.

    Raises:
        Damaged: what is there is not what was resealed.
    """
    if not former.whole.fits(writing, made.before):
        _refuse([NOT_WHOLE])
    for (table, columns), rows in made.groups.items():
        keys = [key == bindparam(f"key_{key.name}") for key in table.primary_key.columns]
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
        changed = writing.execute(update(table).where(*keys).values(values), rows)
        if changed.rowcount not in {-1, len(rows)}:
            _refuse([NOT_WHOLE])
    following.whole.start(writing, made.after)
    writing.execute(
        update(sealing_key).values(key_id=following.key_id, pepper=following.close_pepper(pepper))
    )


def _add(made: Resealed, number: int, one: Found, following: Sealing) -> str:
    _breathe(number)
    assert one.noun is not None, "damaged rows were refused"  # noqa: S101
    kind, row = following.sealed(one.noun)
    columns = tuple(name for name, value in row.items() if value != one.row[name])
    changed: dict[str, Any] = {f"new_{name}": row[name] for name in columns}
    changed |= {f"key_{key.name}": row[key.name] for key in kind.keys}
    made.groups[kind.table, columns].append(changed)
    return str(row["mac"])


def _breathe(number: int) -> None:
    """Let calls go on: whoever computes keeps the interpreter for 5 ms at a time."""
    if number % _BREATH == 0:
        time.sleep(_BREATH_SECONDS)


def _refuse(damaged: Sequence[str]) -> None:
    if damaged:
        more = f" and {len(damaged) - 3} more" if len(damaged) > 3 else ""
        raise Damaged(
            f"stored rows were changed outside of the gateway: {', '.join(damaged[:3])}{more}",
            fix="restore a backup, or take the store as it is: coatcheck migrate --accept-damage WHY",
        )
