"""A backup holds everything but the key, and is restored whole or not at all."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import stat
import tarfile
from pathlib import Path

import pytest

from coatcheck.errors import ConfigError
from coatcheck.model.record import RecordFilter
from coatcheck.store import schema
from coatcheck.store.backup import METADATA, back_up, read_facts, restore
from coatcheck.store.browsers import StoredBrowsers
from coatcheck.store.engines.directory import DATABASE_FILE
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.faults import DirectoryLocked
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.registry.store import StoredRegistry
from ledgers import START, TickingClock, a_record, its_settlement
from older import make_sqlite
from registered import KEYS, OTHER_KEYS, SystemEntropy, a_grant, an_edit, one_of_each
from sessions_of_browsers import a_session


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
async def filled(database: SqliteDatabase) -> SqliteDatabase:
    store = await StoredRegistry.open(database, KEYS, SystemEntropy())
    await store.commit(an_edit(one_of_each()))
    ledger = await StoredLedger.open(database, TickingClock())
    record = a_record()
    await ledger.record_settled(record, its_settlement(record))
    await ledger.close()
    return database


@pytest.fixture
def backup(filled: SqliteDatabase, tmp_path: Path) -> Path:
    made = tmp_path / "made.backup"
    back_up(filled.path.parent, made, now=START, version="1.2.3")
    return made


async def test_what_was_backed_up_while_running_comes_back(
    filled: SqliteDatabase, backup: Path, home: Path
) -> None:
    before = await (await StoredRegistry.open(filled, KEYS, SystemEntropy())).load()
    facts = restore(backup, home, key_id=KEYS.id)
    assert facts == read_facts(backup)
    assert (facts.made_at, facts.version) == ("2026-11-03T09:08:07+00:00", "1.2.3")
    assert (facts.revision, facts.key_id) == (schema.HEAD, KEYS.id)
    again = SqliteDatabase.open(home)
    store = await StoredRegistry.open(again, KEYS, SystemEntropy())
    assert await store.load() == before
    ledger = await StoredLedger.open(again, TickingClock())
    assert len(await ledger.list(RecordFilter())) == 1
    await ledger.close()
    again.close()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (backup, home / DATABASE_FILE)} == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert sorted(path.name for path in backup.parent.iterdir()) == ["data", "home", "made.backup"]


async def test_nobody_is_signed_in_at_what_was_restored(
    filled: SqliteDatabase, tmp_path: Path, home: Path
) -> None:
    await StoredBrowsers(filled).add(a_session("a"))
    assert len(await StoredBrowsers(filled).list()) == 1
    back_up(filled.path.parent, made := tmp_path / "signed-in.backup", now=START, version="1")
    restore(made, home, key_id=KEYS.id)
    assert {path.name for path in home.iterdir()} == {DATABASE_FILE, "coatcheck.lock"}
    again = SqliteDatabase.open(home)
    assert await StoredBrowsers(again).list() == []
    assert len(await StoredBrowsers(filled).list()) == 1
    again.close()


async def test_a_backup_with_no_gateway_running(filled: SqliteDatabase, tmp_path: Path, home: Path) -> None:
    filled.close()
    facts = back_up(filled.path.parent, tmp_path / "b", now=START, version="1")
    assert restore(tmp_path / "b", home, key_id=KEYS.id) == facts


async def test_a_backup_under_writes_is_of_one_moment(
    filled: SqliteDatabase, tmp_path: Path, home: Path
) -> None:
    store = await StoredRegistry.open(filled, KEYS, SystemEntropy())
    done = asyncio.Event()

    async def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            await store.commit(an_edit([a_grant(f"g{number}")]))

    writing = asyncio.create_task(write())
    await asyncio.to_thread(back_up, filled.path.parent, tmp_path / "b", now=START, version="1")
    done.set()
    await writing
    restore(tmp_path / "b", home, key_id=KEYS.id)
    again = SqliteDatabase.open(home)
    loaded = await (await StoredRegistry.open(again, KEYS, SystemEntropy())).load()
    again.close()
    assert loaded.damaged == ()
    labels = {one.label for one in loaded.grants.values()} - {"alice-laptop"}
    assert labels == {f"g{number}" for number in range(1, len(labels) + 1)}


def test_no_secret_is_in_a_backup(backup: Path) -> None:
    text = gzip.decompress(backup.read_bytes())
    assert b"alice-laptop" in text
    for planted in (b"planted-", KEYS._pseudorandom, KEYS._pseudorandom.hex().encode()):
        assert planted not in text


def test_a_backup_is_never_written_over(filled: SqliteDatabase, backup: Path) -> None:
    before = backup.read_bytes()
    with pytest.raises(ConfigError, match="exists already"):
        back_up(filled.path.parent, backup, now=START, version="1")
    assert backup.read_bytes() == before


def test_what_cannot_be_backed_up_is_said(tmp_path: Path, filled: SqliteDatabase) -> None:
    with pytest.raises(ConfigError, match="there is no database") as refused:
        back_up(tmp_path / "nowhere", tmp_path / "b", now=START, version="1")
    assert "pg_dump" in refused.value.fix
    with pytest.raises(ConfigError, match="cannot be"):
        back_up(filled.path.parent, tmp_path / "no" / "b", now=START, version="1")


# --- refusals: nothing is changed ------------------------------------------------------------------


def there(home: Path) -> list[str]:
    return sorted({path.name for path in home.iterdir()} - {"coatcheck.lock"}) if home.exists() else []


def refused(backup: Path, home: Path, why: str, key_id: str | None = KEYS.id) -> None:
    before = there(home)
    with pytest.raises(ConfigError, match=why):
        restore(backup, home, key_id=key_id)
    assert there(home) == before


@pytest.mark.parametrize("key_id", [OTHER_KEYS.id, None])
def test_another_key(backup: Path, home: Path, key_id: str | None) -> None:
    refused(backup, home, f"needs the key {KEYS.id}", key_id)
    restore(backup, home, key_id=KEYS.id)


def test_a_directory_that_is_not_empty(backup: Path, home: Path) -> None:
    home.mkdir()
    (home / "coatcheck.key").write_text("k")
    (home / "coatcheck.key.former-0123abcd").write_text("k")
    (home / "servers.json").write_text("{}")
    (home / "coatcheck.sqlite3-wal").write_text("")
    refused(backup, home, "is not empty: it holds coatcheck.sqlite3-wal")
    (home / "coatcheck.sqlite3-wal").unlink()
    restore(backup, home, key_id=KEYS.id)
    refused(backup, home, "is not empty")


def test_a_directory_in_use(backup: Path, filled: SqliteDatabase, home: Path) -> None:
    other = SqliteDatabase.open(home)
    (home / DATABASE_FILE).rename(home.parent / "moved")
    for name in ("-wal", "-shm"):
        (home / f"{DATABASE_FILE}{name}").unlink(missing_ok=True)
    with pytest.raises(DirectoryLocked):
        restore(backup, home, key_id=KEYS.id)
    other.close()


def test_every_damaged_byte_is_noticed(backup: Path, home: Path) -> None:
    whole = backup.read_bytes()
    for place in [*range(10, 60), *range(60, len(whole), max(1, len(whole) // 40))]:
        broken = bytearray(whole)
        broken[place] ^= 0x20
        backup.write_bytes(broken)
        try:
            restore(backup, home, key_id=KEYS.id)
        except ConfigError:
            assert not (home / DATABASE_FILE).exists()
        else:  # a bit that says nothing, such as padding: what was restored is the whole
            (home / DATABASE_FILE).unlink()
    backup.write_bytes(whole)
    restore(backup, home, key_id=KEYS.id)


@pytest.mark.parametrize("size", [0, 1, 10, 100, 0.5, 0.99])
def test_a_backup_that_was_cut_off(backup: Path, home: Path, size: float) -> None:
    whole = backup.read_bytes()
    backup.write_bytes(whole[: int(len(whole) * size) if isinstance(size, float) else size])
    refused(backup, home, "is no backup of Coatcheck, or it is damaged")


def repacked(backup: Path, facts: dict[str, object], database: bytes, name: str = DATABASE_FILE) -> None:
    with tarfile.open(backup, "w:gz") as archive:
        for entry_name, content in ((METADATA, json.dumps(facts).encode()), (name, database)):
            entry = tarfile.TarInfo(entry_name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def unpacked(backup: Path) -> tuple[dict[str, object], bytes]:
    with tarfile.open(backup) as archive:
        files = [archive.extractfile(entry) for entry in archive.getmembers()]
        texts = [file.read() for file in files if file]
    return json.loads(texts[0]), texts[1]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"revision": "9999"}, "newer version"),
        ({"format": 2}, "newer version"),
        ({"sha256": "0" * 64}, "damaged"),
        ({"size": 5}, "damaged"),
        ({"size": "5"}, "damaged"),
        ({"key_id": ""}, "damaged"),
        ({"extra": 1}, "damaged"),
        ({"format": None}, "newer version"),
    ],
)
def test_a_backup_that_says_something_else(
    backup: Path, home: Path, change: dict[str, object], why: str
) -> None:
    facts, database = unpacked(backup)
    repacked(backup, facts, database)
    restore(backup, home, key_id=KEYS.id)
    (home / DATABASE_FILE).unlink()
    repacked(backup, {**facts, **change}, database)
    refused(backup, home, why)


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "other"])
def test_names_in_the_archive_lead_nowhere(backup: Path, home: Path, name: str) -> None:
    facts, database = unpacked(backup)
    repacked(backup, facts, database, name)
    refused(backup, home, "damaged")
    assert not list(home.parent.glob("**/escaped"))


def test_other_files_are_no_backups(tmp_path: Path, home: Path) -> None:
    for content in (b"", b"hello", gzip.compress(b"hello"), gzip.compress(b"\0" * 10240)):
        (tmp_path / "x").write_bytes(content)
        refused(tmp_path / "x", home, "is no backup of Coatcheck")
    refused(tmp_path / "missing", home, "cannot be read: No such file")
    refused(tmp_path, home, "cannot be read: Is a directory")


def test_a_backup_of_an_older_schema_is_migrated_at_the_next_start(
    tmp_path: Path, home: Path, database: SqliteDatabase
) -> None:
    database.close()
    make_sqlite(database.path, "0001")
    facts = back_up(database.path.parent, tmp_path / "b", now=START, version="0.9")
    assert (facts.revision, facts.key_id) == ("0001", "")
    restore(tmp_path / "b", home, key_id=None)
    SqliteDatabase.open(home).close()
    assert SqliteDatabase.revision_at(home / DATABASE_FILE) == schema.HEAD
