"""A gateway in small that changes its key while it edits, and kills itself at a step that it is told."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

from coatcheck.app.real import SystemClock, SystemEntropy
from coatcheck.app.unsealing import key_files
from coatcheck.app.unsealing.key_files import FilesOfKey
from coatcheck.app.unsealing.keys import write_key
from coatcheck.app.unsealing.opening import unseal
from coatcheck.core.sealing.keys import Keys
from coatcheck.model.credential import Credential, Stage
from coatcheck.model.operator import LOCAL_ACTOR
from coatcheck.model.registry import Edit
from coatcheck.model.secret import Secret
from coatcheck.operations.calling.severing import Severing
from coatcheck.operations.cutting import Cutting
from coatcheck.operations.directory import Directory, Snapshot
from coatcheck.operations.inflight import Inflight
from coatcheck.operations.reaching.served import ListTimes
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.registry.book import Book
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.seen import SeenBook
from coatcheck.operations.registry.rekeying import Rekeying
from coatcheck.store.opening import open_database
from coatcheck.store.registry import store as stored
from coatcheck.store.registry.rekeying import replace_all, reseal
from coatcheck.store.registry.store import StoredRegistry
from doubles.declarations import EditedFile, MemoryServerIds
from doubles.registries import NoSessions, a_file
from doubles.upstreams import ScriptedUpstreams
from registered import a_change, a_grant

STEPS = ("prepared", "computed", "written", "committed", "kept", "settled")


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class DyingFiles(FilesOfKey):
    """Dies before or after a step of the files; else as it is."""

    step = ""

    def prepare(self, path: str | None) -> Keys:
        keys = super().prepare(path)
        if self.step == "prepared":
            die()
        return keys

    def settle(self, key_id: str) -> str | None:
        if self.has_next() and self.step == "committed":
            die()
        former = super().settle(key_id)
        if former is not None and self.step == "settled":
            die()
        return former


def arm(step: str) -> None:
    """Have the process die after a step that is inside of the store or of the files."""

    def computed(*given: Any) -> Any:
        made = reseal(*given)
        if step == "computed":
            die()
        return made

    def written(*given: Any) -> None:
        replace_all(*given)
        if step == "written":
            die()

    def kept(path: Path, text: str) -> None:
        write_key(path, text)
        if step == "kept" and ".former-" in path.name:
            die()

    vars(stored).update(reseal=computed, replace_all=written)
    vars(key_files).update(write_key=kept)


def rotated(credential: Credential) -> Credential:
    former = credential.versions[0]
    number = former.number + 1
    now = dataclasses.replace(former, number=number, material=Secret(f"planted-{credential.name}-{number}"))
    before = dataclasses.replace(former, stage=Stage.RETIRED, material=None)
    return dataclasses.replace(credential, version=credential.version + 1, versions=(now, before))


async def edit(book: Book, notes: int) -> None:
    """Issue grants and rotate credentials for ever; what was acknowledged is noted, and synced."""
    while True:
        name = uuid4().hex

        def make(snapshot: Snapshot, name: str = name) -> Edit:
            one = min(snapshot.registry.credentials.values(), key=lambda credential: credential.version)
            return Edit((a_grant(name, id=name), rotated(one)), (a_change(name),))

        await book.edit(make)
        os.write(notes, f"{name}\n".encode())
        os.fdatasync(notes)
        await asyncio.sleep(0)


def book_of(store: StoredRegistry) -> Book:
    clock = SystemClock()
    directory = Directory(EditedFile(a_file()), MemoryServerIds(), lambda _: lambda _: None, lambda *_: None)  # type: ignore[arg-type,return-value]
    servers = Servers(ScriptedUpstreams(), clock, ListTimes(5.0, 5.0, 30.0))
    return Book(store, directory, Cutting(Inflight(), Severing(), servers, NoSessions(), clock))


async def main(home: Path, notes: int, step: str) -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    _, store = await unseal(open_database(home), home, {}, entropy)
    book = book_of(store)
    await book.directory.open(await store.load())
    desk = Desk(
        book, Scribe(clock, entropy), clock, entropy, store.pepper, SeenBook(store, clock), store.print_key
    )
    files = DyingFiles(home, {}, entropy)
    editing = asyncio.create_task(edit(book, notes))
    await asyncio.sleep(0.05)
    DyingFiles.step = step
    arm(step)
    while not editing.done():
        await Rekeying(desk, files).rotate(LOCAL_ACTOR)
        os.write(notes, b"rotated\n")
    await editing


if __name__ == "__main__":
    file = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    asyncio.run(main(Path(sys.argv[1]), file, sys.argv[3]))
