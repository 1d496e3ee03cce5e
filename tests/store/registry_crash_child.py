"""A gateway in small, to be killed: commits edits, and notes what was acknowledged in a synced file."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from coatcheck.errors import ConfigError
from coatcheck.model.change import Change
from coatcheck.model.grant import IssuedGrant
from coatcheck.model.secret import Secret
from coatcheck.store.opening import open_database
from coatcheck.store.registry.store import StoredRegistry
from registered import KEYS, SystemEntropy, a_change, a_grant, a_subject, an_edit


def opened(directory: Path, url: Secret | None) -> Any:
    for _ in range(1000):
        try:
            return open_database(directory, url)
        except ConfigError:
            time.sleep(0.02)  # the server has not seen yet that the last one was killed
    raise SystemExit("the database stays taken")


async def main(directory: Path, notes: int, url: Secret | None) -> None:
    store = await StoredRegistry.open(opened(directory, url), KEYS, SystemEntropy())
    known = list((await store.load()).grants.values())

    def note(kind: str, name: str) -> None:
        os.write(notes, f"{kind} {name}\n".encode())
        os.fdatasync(notes)

    def change_of(grant: IssuedGrant, edit: str) -> Change:
        return a_change(edit, object_id=grant.id, after=json.dumps({"version": grant.version}))

    while True:
        name = uuid4().hex
        new = a_grant(name, subject=name)
        puts: list[Any] = [new, a_subject(name)]
        changes = [change_of(new, name)]
        if known:
            former = known.pop(0)
            again = dataclasses.replace(former, version=former.version + 1, note=name)
            puts.append(again)
            changes.append(change_of(again, name))
            known.append(again)
        known.append(new)
        note("tried", name)
        await store.commit(an_edit(puts, *changes))
        note("done", name)


if __name__ == "__main__":
    given = Secret(sys.argv[3]) if len(sys.argv) > 3 else None
    file = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    asyncio.run(main(Path(sys.argv[1]), file, given))
