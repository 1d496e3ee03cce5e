"""Where the key comes from, what of it is refused, and that it is made once."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from coatcheck.app.unsealing.keys import KEY_FILE, find_keys, load_keys
from coatcheck.core.sealing.keys import Keys
from coatcheck.errors import ConfigError

GOOD = "8f1d0c6a5b7e93b2447fd2a1c0e8365994de7710ab2c4f68d30b915a7e62cc0f"
OTHER = "17a0c55d2e9b8463fe01d7c82b6a4f9033b85e6cd4197a02ef65d83a1b0c7e92"
ID, OTHER_ID = (Keys(bytes.fromhex(text)).id for text in (GOOD, OTHER))


class SystemEntropy:
    def token(self, size: int) -> bytes:
        return os.urandom(size)


class NoEntropy:
    def token(self, size: int) -> bytes:
        raise AssertionError("a key was made although there is one")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def written(path: Path, text: str = GOOD, mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_key_is_made_once(home: Path) -> None:
    assert find_keys(home, {}) is None
    first = load_keys(home, {}, SystemEntropy())
    path = home / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().strip()) == 64
    assert load_keys(home, {}, NoEntropy()).id == first.id
    found = find_keys(home, {})
    assert found is not None
    assert found.id == first.id
    assert [entry.name for entry in home.iterdir()] == [KEY_FILE]


def test_none_is_made_for_a_store_that_has_one(home: Path) -> None:
    with pytest.raises(
        ConfigError, match=f"the store belongs to the key {ID}, and no key is given"
    ) as refused:
        load_keys(home, {}, NoEntropy(), ID)
    assert str(home / KEY_FILE) in refused.value.fix
    assert list(home.iterdir()) == []
    assert load_keys(home, {"COATCHECK_KEY": GOOD}, NoEntropy(), ID).id == ID
    assert load_keys(home, {"COATCHECK_KEY": OTHER}, NoEntropy(), ID).id == OTHER_ID, "the store refuses it"


def test_from_outside_in_order_and_no_file_is_made(home: Path, tmp_path: Path) -> None:
    written(tmp_path / "credentials" / KEY_FILE, GOOD, 0o440)
    named = written(tmp_path / "named", OTHER + "\n")
    every = {
        "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"),
        "COATCHECK_KEY_FILE": str(named),
        "COATCHECK_KEY": GOOD,
    }
    assert load_keys(home, every, NoEntropy()).id == ID
    del every["CREDENTIALS_DIRECTORY"]
    assert load_keys(home, every, NoEntropy()).id == OTHER_ID
    del every["COATCHECK_KEY_FILE"]
    assert load_keys(home, every, NoEntropy()).id == ID
    assert list(home.iterdir()) == []


def test_a_credentials_directory_without_our_key_says_nothing(home: Path, tmp_path: Path) -> None:
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path), "COATCHECK_KEY": GOOD, "COATCHECK_KEY_FILE": ""}
    assert load_keys(home, environment, NoEntropy()).id == ID


def test_a_mounted_secret_may_be_a_link(home: Path, tmp_path: Path) -> None:
    written(tmp_path / "real", GOOD, 0o440)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert load_keys(home, {"COATCHECK_KEY_FILE": str(tmp_path / "link")}, NoEntropy()).id == ID


def test_two_keys_are_one_too_many(home: Path) -> None:
    written(home / KEY_FILE)
    assert load_keys(home, {"COATCHECK_KEY": GOOD}, NoEntropy()).id == ID
    with pytest.raises(ConfigError, match=f"two keys are given.*{ID}.*{OTHER_ID}"):
        load_keys(home, {"COATCHECK_KEY": OTHER}, NoEntropy())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not 64 hexadecimal"),
        ("change-me", "not 64"),
        ("00" * 32, "repeats"),
        ("\u00e9" * 64, "not 64"),
        (GOOD * 9, "not 64"),
    ],
)
def test_a_weak_key_is_refused_wherever_it_is(home: Path, tmp_path: Path, text: str, why: str) -> None:
    places = [
        ({}, written(home / KEY_FILE, text)),
        ({"COATCHECK_KEY_FILE": str(tmp_path / "named")}, written(tmp_path / "named", text)),
    ]
    for environment, path in places:
        with pytest.raises(
            ConfigError, match=f"the key file {path} holds no key that can be used: it .*{why}"
        ) as refused:
            load_keys(home, environment, NoEntropy())
        assert "openssl rand -hex 32" in refused.value.fix
        assert not text or text not in refused.value.message
        path.unlink()
    if text:
        with pytest.raises(ConfigError, match="COATCHECK_KEY holds no key"):
            load_keys(home, {"COATCHECK_KEY": text}, NoEntropy())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_may_read(home: Path, mode: int) -> None:
    path = written(home / KEY_FILE, GOOD, mode)
    with pytest.raises(ConfigError, match="other users may read") as refused:
        load_keys(home, {}, NoEntropy())
    assert refused.value.fix == f"run: chmod 600 '{path}'"
    path.chmod(0o600)
    assert load_keys(home, {}, NoEntropy()).id == ID


def test_what_is_no_file_is_refused_and_nothing_is_made_in_its_place(home: Path, tmp_path: Path) -> None:
    (home / KEY_FILE).symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="cannot be used"):
        load_keys(home, {}, NoEntropy())
    (home / KEY_FILE).unlink()
    (home / KEY_FILE).mkdir()
    with pytest.raises(ConfigError, match="no regular file"):
        load_keys(home, {}, NoEntropy())
    with pytest.raises(ConfigError, match="cannot be used: No such file"):
        load_keys(home, {"COATCHECK_KEY_FILE": str(tmp_path / "missing")}, NoEntropy())
