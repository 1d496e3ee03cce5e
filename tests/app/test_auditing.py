"""What was signed before is compared at each start: a store put back, or changed, is an alarm."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chains import fill
from coatcheck.app.auditing import checkpointing_of, seed_in, seed_of
from coatcheck.app.real import SystemClock, SystemEntropy
from coatcheck.config import Config, load_config
from coatcheck.core.recording.notes import notes_in
from coatcheck.errors import ConfigError
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


async def fill_without_signing(database: SqliteDatabase, calls: int) -> None:
    from coatcheck.store.records.ledger import StoredLedger
    from ledgers import TickingClock, a_record, its_settlement

    ledger = await StoredLedger.open(database, TickingClock())
    for _ in range(calls):
        record = a_record()
        await ledger.record_settled(record, its_settlement(record))
    await ledger.close()


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
    assert outside(config) == [made.note]
    async with signing_of(config, 2) as signing:
        assert (signing.alarms, signing.last) == ((), made)
    assert [signing.key.public.open(note).seq for note in outside(config)] == [6, 10]


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
        assert "are gone; a new file is begun" in signing.alarms[0]
    (config.data / "audit.key").unlink()
    async with signing_of(config, 2) as signing:
        assert any("was signed with another key" in alarm for alarm in signing.alarms)


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
