"""The file of the key while it changes: whatever breaks off, the key of the store is in one file, and found."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from coatcheck.app.unsealing.key_files import FORMER, NEXT_FILE, FilesOfKey, id_in
from coatcheck.app.unsealing.keys import KEY_FILE, write_key
from coatcheck.app.unsealing.opening import unseal
from coatcheck.core.sealing.keys import Keys
from coatcheck.errors import ConfigError, Sealed, Unfit
from coatcheck.store.engines.sqlite import SqliteDatabase

GOOD = "8f1d0c6a5b7e93b2447fd2a1c0e8365994de7710ab2c4f68d30b915a7e62cc0f"
OTHER = "17a0c55d2e9b8463fe01d7c82b6a4f9033b85e6cd4197a02ef65d83a1b0c7e92"
THIRD = "5b7e93b2447fd2a1c0e8365994de7710ab2c4f68d30b915a7e62cc0f8f1d0c6a"
ID, OTHER_ID, THIRD_ID = (Keys(bytes.fromhex(text)).id for text in (GOOD, OTHER, THIRD))


class SystemEntropy:
    def token(self, size: int) -> bytes:
        return os.urandom(size)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir(mode=0o700)
    write_key(tmp_path / "home" / KEY_FILE, GOOD)
    return tmp_path / "home"


def files(home: Path, **environment: str) -> FilesOfKey:
    return FilesOfKey(home, environment, SystemEntropy())


def names(home: Path) -> set[str]:
    return {path.name for path in home.iterdir()}


def test_a_new_key_takes_its_place_and_the_former_is_kept(home: Path) -> None:
    following = files(home).prepare(None)
    assert following.id != ID
    assert names(home) == {KEY_FILE, NEXT_FILE}
    assert id_in(home / KEY_FILE) == ID, "the former is in force until the store has the new one"
    former = files(home).settle(following.id)
    assert former == str(home / f"{FORMER}{ID}")
    assert names(home) == {KEY_FILE, f"{FORMER}{ID}"}
    assert (id_in(home / KEY_FILE), id_in(Path(former))) == (following.id, ID)
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {0o600}
    assert files(home).settle(following.id) is None, "nothing is done twice"


def test_a_key_of_ones_own(home: Path, tmp_path: Path) -> None:
    write_key(tmp_path / "given", OTHER)
    assert files(home).prepare(str(tmp_path / "given")).id == OTHER_ID
    assert id_in(home / NEXT_FILE) == OTHER_ID


def test_a_change_that_did_not_happen_leaves_nothing(home: Path) -> None:
    files(home).prepare(None)
    assert files(home).settle(ID) is None
    assert names(home) == {KEY_FILE}


def test_a_change_that_broke_off_goes_on_where_it_was(home: Path) -> None:
    """After each step of `settle`, as a kill would leave it."""
    write_key(home / NEXT_FILE, OTHER)
    write_key(home / f"{FORMER}{ID}", GOOD)
    assert files(home).settle(OTHER_ID) == str(home / f"{FORMER}{ID}")
    assert names(home) == {KEY_FILE, f"{FORMER}{ID}"}

    write_key(home / NEXT_FILE, THIRD)
    (home / KEY_FILE).unlink()  # nobody of ours does that
    assert files(home).settle(THIRD_ID) is None
    assert id_in(home / KEY_FILE) == THIRD_ID


def test_a_key_that_may_be_needed_is_never_thrown_away(home: Path) -> None:
    write_key(home / NEXT_FILE, OTHER)
    assert files(home).settle(THIRD_ID) is None
    assert names(home) == {KEY_FILE, NEXT_FILE}
    (home / KEY_FILE).chmod(0o644)  # it cannot be told whether it is the right one
    assert files(home).settle(ID) is None
    assert names(home) == {KEY_FILE, NEXT_FILE}


def test_from_outside_a_file_is_to_be_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(Unfit, match="given twice, by COATCHECK_KEY and by"):
        files(home, COATCHECK_KEY=GOOD).prepare(None)
    (home / KEY_FILE).unlink()
    given = files(home, COATCHECK_KEY=GOOD)
    assert given.origin == "COATCHECK_KEY"
    with pytest.raises(Unfit, match="from outside, by COATCHECK_KEY") as refused:
        given.prepare(None)
    assert "openssl rand -hex 32" in refused.value.fix
    write_key(tmp_path / "given", OTHER)
    assert given.prepare(str(tmp_path / "given")).id == OTHER_ID
    assert given.settle(OTHER_ID) is None
    assert names(home) == set()
    assert files(home, COATCHECK_KEY_FILE="/x").origin == "the file /x (COATCHECK_KEY_FILE)"
    write_key(tmp_path / KEY_FILE, GOOD)
    assert files(home, CREDENTIALS_DIRECTORY=str(tmp_path)).origin == f"the systemd credential {KEY_FILE}"


@pytest.mark.parametrize("text", ["", "change-me", "00" * 32])
def test_what_is_no_key_is_refused_and_nothing_is_left(home: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "given").write_text(text)
    (tmp_path / "given").chmod(0o600)
    odd = [tmp_path / name for name in ("a\x00b", "\ud800x", "x" * 5_000)]
    for path in (tmp_path / "given", tmp_path / "missing", tmp_path, *odd):
        with pytest.raises(Unfit, match="key file"):
            files(home).prepare(str(path))
    assert names(home) == {KEY_FILE}


def test_where_nothing_can_be_written(home: Path) -> None:
    (home / NEXT_FILE).mkdir()
    with pytest.raises(ConfigError, match="cannot be used"):
        files(home).prepare(None)


# --- opening ---------------------------------------------------------------------------------------------


async def test_a_start_ends_what_broke_off(home: Path) -> None:
    database = SqliteDatabase.open(home)
    try:
        keys, store = await unseal(database, home, {}, SystemEntropy())
        assert (keys.id, store.key_id) == (ID, ID)
        write_key(home / NEXT_FILE, OTHER)  # killed before the transaction
        keys, store = await unseal(database, home, {}, SystemEntropy())
        assert (keys.id, NEXT_FILE in names(home)) == (ID, False)

        from registered import a_change

        write_key(home / NEXT_FILE, OTHER)
        await store.rekey(Keys(bytes.fromhex(OTHER)), a_change("key"))  # and killed after it
        keys, store = await unseal(database, home, {}, SystemEntropy())
        assert (keys.id, store.key_id) == (OTHER_ID, OTHER_ID)
        assert {KEY_FILE, f"{FORMER}{ID}"} <= names(home)
        assert NEXT_FILE not in names(home)
    finally:
        database.close()


async def test_without_the_key_it_is_sealed_and_nothing_is_made(home: Path) -> None:
    database = SqliteDatabase.open(home)
    try:
        await unseal(database, home, {}, SystemEntropy())
        (home / KEY_FILE).rename(home / f"{FORMER}{ID}")
        with pytest.raises(Sealed, match=f"belongs to the key {ID}, and no key is given") as missing:
            await unseal(database, home, {}, SystemEntropy())
        assert missing.value.fix.startswith(f"the key {ID} is kept in {home / FORMER}{ID}: copy it to")
        assert KEY_FILE not in names(home)
        for text, why in ((OTHER, f"the key given is {OTHER_ID}"), ("x", "holds no key that can be used")):
            (home / KEY_FILE).write_text(text)
            (home / KEY_FILE).chmod(0o600)
            with pytest.raises(Sealed, match=why):
                await unseal(database, home, {}, SystemEntropy())
        write_key(home / KEY_FILE, GOOD)
        assert (await unseal(database, home, {}, SystemEntropy()))[0].id == ID
    finally:
        database.close()


async def test_a_wrong_key_for_a_new_store_is_no_seal(home: Path) -> None:
    (home / KEY_FILE).write_text("x")
    database = SqliteDatabase.open(home)
    try:
        with pytest.raises(ConfigError, match="holds no key") as refused:
            await unseal(database, home, {}, SystemEntropy())
        assert not isinstance(refused.value, Sealed)
    finally:
        database.close()
