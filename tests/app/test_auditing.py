"""What was signed before is compared at each start: a store put back, or changed, is an alarm."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chains import a_change, fill
from coatcheck.app.auditing import checkpointing_of, seed_in, seed_of
from coatcheck.app.keeping.proof import Proof
from coatcheck.app.keeping.verifying import verify_store
from coatcheck.app.real import SystemClock, SystemEntropy
from coatcheck.audit import checkpoint_file
from coatcheck.config import Config, load_config
from coatcheck.core.recording.notes import PublicKey, notes_in
from coatcheck.errors import ConfigError, Unavailable, Unfit
from coatcheck.model.chain import Strange
from coatcheck.model.change import Change
from coatcheck.operations import checkpointing
from coatcheck.operations.checkpointing import Checkpointing
from coatcheck.store.engines.directory import DATABASE_FILE
from coatcheck.store.engines.sqlite import SqliteDatabase


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config({"data": str(tmp_path / "data")}, {"HOME": str(tmp_path)})


@asynccontextmanager
async def signing_of(config: Config, calls: int = 0) -> AsyncIterator[Checkpointing]:
    database = SqliteDatabase.open(config.data)
    signing = await checkpointing_of(config, database, SystemClock(), SystemEntropy())
    try:
        if calls:
            await fill_without_signing(database, calls)
        yield signing
        await signing.close()
    finally:
        database.close()


async def fill_without_signing(database: SqliteDatabase, calls: int, **fields: object) -> None:
    from coatcheck.store.records.ledger import StoredLedger
    from ledgers import TickingClock, a_record, its_settlement

    ledger = await StoredLedger.open(database, TickingClock())
    for _ in range(calls):
        record = a_record(**fields)
        await ledger.record_settled(record, its_settlement(record))
    await ledger.close()


async def until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not there():
            await asyncio.sleep(0.01)


def outside(config: Config) -> list[str]:
    path = config.data / "checkpoints.log"
    return list(notes_in(path.read_text("utf-8").splitlines(keepends=True)))


async def test_it_signs_what_is_new_and_the_end_is_signed(config: Config) -> None:
    async with signing_of(config, 3) as signing:
        assert signing.alarms == ()
        made = await signing.now()
        assert made.seq == 6
        assert await signing.now() == made
        assert signing.told()["signed"] == 6
    assert outside(config)[1:] == [made.note]  # the first was made at once, of an empty record
    async with signing_of(config, 2) as signing:
        assert (signing.alarms, signing.last) == ((), made)
    assert [signing.key.public.open(note).seq for note in outside(config)] == [0, 6, 10]


async def test_an_older_store_put_back_is_an_alarm_at_every_start(config: Config, tmp_path: Path) -> None:
    async with signing_of(config, 2):
        pass
    shutil.copy(config.data / DATABASE_FILE, tmp_path / "old")
    async with signing_of(config, 2):
        pass
    before = outside(config)
    shutil.copy(tmp_path / "old", config.data / DATABASE_FILE)
    async with signing_of(config) as signing:
        (alarm,) = signing.alarms
        assert "the record ends at entry 4, and entry 8 was signed" in alarm
        assert "an older store was put back" in alarm
    async with signing_of(config, 10) as signing:  # it has grown beyond meanwhile
        assert len(signing.alarms) == 1
    async with signing_of(config) as signing:
        (alarm,) = signing.alarms
        assert "entry 8 is not the one that was signed" in alarm
    assert outside(config) == before  # what was kept stays as it is


async def test_another_store_and_another_key_are_alarms(config: Config) -> None:
    async with signing_of(config, 2):
        pass
    (config.data / DATABASE_FILE).unlink()
    async with signing_of(config, 2) as signing:
        assert "another store was put in its place" in signing.alarms[0]
    (config.data / "checkpoints.log").unlink()
    async with signing_of(config) as signing:
        assert "checkpoints are gone from" in signing.alarms[0]
        old = signing.key.public.text
        await signing.accept(lambda _: a_change(1))
        assert signing.alarms == ()
    assert len(outside(config)) == 3
    (config.data / "audit.key").unlink()
    shutil.copytree(config.data, config.data.parent / "known")
    async with signing_of(config, 2) as signing:
        assert any("was signed with another key" in alarm for alarm in signing.alarms)
    known = dataclasses.replace(config, data=config.data.parent / "known")
    (known.data / "audit.key.old").write_text(old + "\n")
    async with signing_of(known, 2) as signing:
        assert signing.alarms == ()


async def test_checkpoints_that_were_removed_are_alarms(config: Config) -> None:
    async with signing_of(config, 2):
        pass
    edited = ("DELETE FROM checkpoint WHERE seq = 4", "DELETE FROM checkpoint")
    for statement in edited:
        write(config, statement)
        async with signing_of(config) as signing:
            assert "the checkpoint of entry 4, which is in" in signing.alarms[0]
            assert "was removed from the store" in signing.alarms[0]
    write(config, "DELETE FROM checkpoint")
    (config.data / "checkpoints.log").unlink()
    async with signing_of(config) as signing:
        assert signing.alarms == ("no checkpoint is left of the 4 entries of the record: all were removed",)


async def test_a_checkpoint_of_what_is_not_there_yet_does_not_stop_the_signing(config: Config) -> None:
    async with signing_of(config, 2):
        pass
    write(config, "INSERT INTO checkpoint SELECT 999999, hash, at, note FROM checkpoint WHERE seq = 4")
    async with signing_of(config, 2) as signing:
        assert "is kept as one of entry 999999, and is another" in signing.alarms[0]
    assert [signing.key.public.open(note).seq for note in outside(config)] == [0, 4, 4, 8]


async def test_a_store_that_was_never_signed_and_is_new_is_no_alarm(config: Config) -> None:
    database = SqliteDatabase.open(config.data)
    await fill_without_signing(database, 2, at=datetime.now(UTC))
    database.close()
    async with signing_of(config) as signing:
        assert (signing.alarms, signing.troubles) == ((), ())
    assert [signing.key.public.open(note).seq for note in outside(config)] == [4]


async def test_a_place_outside_that_cannot_be_read_is_told_of_and_looked_at_once_it_can_be(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointing, "_LOOK", 0.01)
    monkeypatch.setattr(checkpoint_file, "RETRY", 0.01)
    elsewhere = dataclasses.replace(config, checkpoints=tmp_path / "mount" / "checkpoints.log")
    async with signing_of(elsewhere, 2) as signing:
        assert signing.alarms == ()  # and no word of what would be gone
        assert signing.troubles == (
            f"checkpoints cannot be kept in {elsewhere.checkpoints}: there is no folder {tmp_path / 'mount'}",
        )
        running = asyncio.create_task(signing.run())
        (tmp_path / "mount").mkdir()
        await until(lambda: not signing.troubles and (tmp_path / "mount" / "checkpoints.log").exists())
        running.cancel()
    for odd in ("pipe", "folder"):
        path = tmp_path / odd
        os.mkfifo(path) if odd == "pipe" else path.mkdir()
        async with signing_of(dataclasses.replace(config, checkpoints=path)) as signing:
            assert signing.alarms == ()
            assert signing.troubles == (f"checkpoints cannot be kept in {path}: it is no regular file",)


def write(config: Config, statement: str) -> None:
    with closing(sqlite3.connect(config.data / DATABASE_FILE)) as writing, writing:
        writing.execute(statement)


async def test_the_key_is_made_once_and_private(config: Config) -> None:
    config.data.mkdir(mode=0o700)
    seed = seed_of(config, SystemEntropy())
    assert seed_of(config, SystemEntropy()) == seed
    path = config.data / "audit.key"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="other users may read"):
        seed_in(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(ConfigError, match="no key that can be used"):
        seed_in(path)


async def test_checkpoints_of_a_store_are_its_own(config: Config) -> None:
    database = SqliteDatabase.open(config.data)
    try:
        key, made, _ = await fill(database)
        signing = await checkpointing_of(config, database, SystemClock(), SystemEntropy())
        assert key.public.log == signing.key.public.log
        assert any("was signed with another key" in alarm for alarm in signing.alarms)
        assert signing.last == made[-1]
    finally:
        database.close()


async def test_a_chain_that_something_else_moved_is_not_signed_and_stays_an_alarm(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointing, "_LOOK", 0.01)
    async with signing_of(config, 3) as signing:
        running = asyncio.create_task(signing.run())
        await move_back(config)
        async with asyncio.timeout(20):
            while not signing.alarms or len(outside(config)) < 2:
                await asyncio.sleep(0.01)
        running.cancel()
        (alarm,) = signing.alarms
        assert "the record ends at entry 5" in alarm
        assert "this gateway left it at entry 6" in alarm
        assert signing.told()["moved"]
        with pytest.raises(Unavailable, match="something else wrote"):
            await signing.now()
    assert [signing.key.public.open(note).seq for note in outside(config)] == [0, 6]
    async with signing_of(config) as signing:  # whoever starts it anew is told as well
        assert any("entry 6 was signed" in alarm for alarm in signing.alarms)


async def test_nothing_is_accepted_where_nothing_moved(config: Config) -> None:
    async with signing_of(config, 1) as signing:
        with pytest.raises(Unfit, match="nothing to accept"):
            await signing.accept(lambda _: a_change(1))
        await move_back(config)
        with pytest.raises(Unavailable):
            await signing.now()
        await signing.accept(lambda _: a_change(1))
        assert not signing.told()["moved"]
        assert any("entry 2" in alarm for alarm in signing.alarms)
        assert (await signing.now()).seq == 2
    async with signing_of(config, 1) as signing:
        with closing(sqlite3.connect(config.data / DATABASE_FILE)) as writing, writing:
            writing.execute("DELETE FROM chain")
        with pytest.raises(Unavailable):
            await signing.now()
        with pytest.raises(Unfit, match="does not say any more"):
            await signing.accept(lambda _: a_change(1))


async def move_back(config: Config) -> None:
    """Set the chain to the entry before its last, as somebody with the database can."""
    with closing(sqlite3.connect(config.data / DATABASE_FILE)) as writing, writing:
        (seq,) = writing.execute("SELECT seq FROM chain").fetchone()
        (hash,) = writing.execute("SELECT hash FROM record WHERE position = ?", (seq - 1,)).fetchone()
        writing.execute("DELETE FROM settlement WHERE sequence = ?", (seq,))
        writing.execute("UPDATE chain SET seq = ?, hash = ?", (seq - 1, hash))


def end(config: Config) -> None:
    (config.data / "checkpoints.log").unlink()


def cut(first: int, last: int | None = None) -> Callable[[Config], None]:
    def edit(config: Config) -> None:
        kept = outside(config)[first:last]
        (config.data / "checkpoints.log").write_text("".join(kept))

    return edit


def cut_in_the_middle_of_a_note(config: Config) -> None:
    path = config.data / "checkpoints.log"
    text = path.read_bytes()
    path.write_bytes(text[len(text) // 2 + 30 :])


def write_anew(config: Config) -> None:
    """Put a file of the same size in its place, in which one note is another one twice."""
    path, notes = config.data / "checkpoints.log", outside(config)
    path.unlink()
    path.write_text("".join([notes[0], notes[2], *notes[2:]]))


REMOVALS = [
    end,
    cut(0, 0),
    cut(1),
    cut(2),
    cut(0, 2),
    cut_in_the_middle_of_a_note,
    write_anew,
]


async def several(config: Config) -> list[str]:
    """Have five checkpoints in both places; return them."""
    for _ in range(4):
        async with signing_of(config, 1):
            pass
    return outside(config)


def found_in(config: Config, key: PublicKey) -> set[str]:
    now = datetime.now(UTC) + timedelta(minutes=5)
    proof = Proof([key], config.data / "checkpoints.log", may_lack=True)
    report = verify_store(config.data, None, proof, now=now)
    return {finding.what.value for finding in report.findings}


@pytest.mark.parametrize("remove", REMOVALS)
async def test_what_is_removed_outside_while_it_runs_is_an_alarm_and_a_finding(
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    remove: Callable[[Config], None],
) -> None:
    monkeypatch.setattr(checkpointing, "_LOOK", 0.01)
    monkeypatch.setattr(checkpoint_file, "LOOK", 0.02)
    assert len(await several(config)) == 5
    async with signing_of(config) as signing:
        running = asyncio.create_task(signing.run())
        whole = (config.data / "checkpoints.log").read_bytes()
        assert (signing.alarms, found_in(config, signing.key.public)) == ((), set())
        remove(config)
        await until(lambda: len(signing.alarms) == 1 and "ALARM" in caplog.text)
        assert "checkpoints are gone from" in signing.alarms[0]
        assert found_in(config, signing.key.public) == {"missing"}
        (config.data / "checkpoints.log").write_bytes(whole)  # who puts it back has put it right
        await until(lambda: not signing.alarms and "are whole again" in caplog.text)
        remove(config)
        await until(lambda: len(signing.alarms) == 1)
        running.cancel()
    async with signing_of(config, 1) as signing:  # the next start says so too, and the one after
        assert "checkpoints are gone from" in signing.alarms[0]
    async with signing_of(config) as signing:
        assert "checkpoints are gone from" in signing.alarms[0]
        assert found_in(config, signing.key.public) == {"missing"}


@pytest.mark.parametrize("remove", REMOVALS)
async def test_what_is_removed_outside_between_two_starts_is_an_alarm_until_it_is_accepted(
    config: Config, remove: Callable[[Config], None]
) -> None:
    await several(config)
    remove(config)
    left = (config.data / "checkpoints.log").read_bytes() if remove is not end else None
    async with signing_of(config, 1) as signing:
        (alarm,) = signing.alarms
        assert "checkpoints are gone from" in alarm
        assert found_in(config, signing.key.public) == {"missing"}
        heads: list[Strange] = []

        def changed(strange: Strange) -> Change:
            heads.append(strange)
            return a_change(1)

        await signing.accept(changed)
        assert [one.known == one.found for one in heads] == [True]
        assert signing.alarms == ()
        assert found_in(config, signing.key.public) == set()
        with pytest.raises(Unfit, match="nothing to accept"):
            await signing.accept(lambda _: a_change(2))
        key = signing.key.public
    aside = config.data / "checkpoints.log.1"  # what was left is evidence
    assert aside.read_bytes().startswith(left or b"")
    assert [key.open(note).seq for note in outside(config)] == [0, 2, 4, 6, 8, 11]
    async with signing_of(config) as signing:
        assert (signing.alarms, found_in(config, key)) == ((), set())


async def test_the_newest_checkpoint_alone_is_added_again_as_after_a_crash(config: Config) -> None:
    whole = await several(config)
    async with signing_of(config) as signing:
        key = signing.key.public
    cut(0, -1)(config)
    assert found_in(config, key) == {"missing"}
    async with signing_of(config) as signing:
        assert signing.alarms == ()
    assert outside(config) == whole
    assert found_in(config, key) == set()


async def test_a_file_that_was_moved_and_joined_again_is_whole(config: Config) -> None:
    whole = await several(config)
    path = config.data / "checkpoints.log"
    path.rename(config.data / "rotated")
    async with signing_of(config, 1) as signing:
        assert "checkpoints are gone from" in signing.alarms[0]
    path.write_bytes((config.data / "rotated").read_bytes() + path.read_bytes())
    async with signing_of(config) as signing:
        assert (signing.alarms, found_in(config, signing.key.public)) == ((), set())
    assert outside(config)[:5] == whole


async def test_what_hinders_is_in_the_log_once_and_when_it_is_over(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpointing, "_LOOK", 0.01)
    monkeypatch.setattr(checkpoint_file, "LOOK", 0.02)
    monkeypatch.setattr(checkpoint_file, "RETRY", 0.01)
    path = config.data / "checkpoints.log"
    async with signing_of(config, 1) as signing:
        running = asyncio.create_task(signing.run())
        whole = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        said = f"checkpoints cannot be kept in {path}: it is no regular file"
        await until(lambda: said in caplog.text)
        assert signing.troubles == (said,)
        await asyncio.sleep(0.1)
        path.unlink()
        path.write_bytes(whole)
        await until(lambda: "checkpoints can be made and kept again" in caplog.text)
        running.cancel()
    assert caplog.text.count(said) == 1
