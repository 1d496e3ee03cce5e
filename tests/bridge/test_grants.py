"""Where grants come from: read late, read again, and never shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from coatcheck.bridge.grants import FromFile, FromKeyring, source_of
from coatcheck.errors import ConfigError

TOKEN = "cckg_0123456789"


def revealed(source: Any) -> str:
    grant = source.read()
    assert TOKEN not in repr(source) + repr(grant) + source.origin + source.mend
    return str(grant.reveal())


def test_the_variable_is_used_when_nothing_else_is_named(tmp_path: Path) -> None:
    environment = {"COATCHECK_GRANT": TOKEN}
    assert revealed(source_of(environment, None, None)) == TOKEN
    file = tmp_path / "grant"
    file.write_text("cckg_other")
    assert revealed(source_of(environment, file, None)) == "cckg_other"
    assert isinstance(source_of(environment, None, "team"), FromKeyring)


@pytest.mark.parametrize("environment", [{}, {"COATCHECK_GRANT": ""}])
def test_without_any_none_is_sent_and_the_words_say_so(environment: dict[str, str]) -> None:
    source = source_of(environment, None, None)
    assert source.read() is None
    assert "not set" in source.origin
    assert "--grant-file" in source.mend


@pytest.mark.parametrize("text", [TOKEN, TOKEN + "\n", TOKEN + "\r\n", f"  {TOKEN}\t\n\n", "\ufeff" + TOKEN])
def test_a_file_holds_the_grant_and_blanks(tmp_path: Path, text: str) -> None:
    file = tmp_path / "grant"
    file.write_bytes(text.encode())
    assert revealed(FromFile(file)) == TOKEN


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "grant"
    file.write_text(TOKEN)
    source = FromFile(file)
    assert revealed(source) == TOKEN
    file.write_text("cckg_new")
    assert revealed(source) == "cckg_new"


@pytest.mark.parametrize("content", [b"", b" \n", f"Bearer {TOKEN}".encode(), f"{TOKEN}\n{TOKEN}".encode(), TOKEN.encode("utf-16"), b"\xff\xfe", ("cckg_\u00e4" + TOKEN).encode(), b"x" * 100_000, b"a\x00b"])  # fmt: skip
def test_what_cannot_be_a_grant_is_refused_without_being_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "grant"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        FromFile(file).read()
    assert caught.value.fix
    assert TOKEN not in caught.value.message + caught.value.fix


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        FromFile(tmp_path / "none").read()
    with pytest.raises(ConfigError, match="regular"):
        FromFile(tmp_path).read()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="regular"):
        FromFile(pipe).read()


def test_a_file_that_others_can_read_is_known(tmp_path: Path) -> None:
    file = tmp_path / "grant"
    file.write_text(TOKEN)
    for mode, is_open in ((0o600, False), (0o400, False), (0o640, True), (0o604, True)):
        file.chmod(mode)
        assert FromFile(file).is_open_to_others is is_open
    assert not FromFile(tmp_path / "none").is_open_to_others
    tmp_path.chmod(0o755)
    assert not FromFile(tmp_path).is_open_to_others, "or its mode would be told to be changed"


# --- the keyring ------------------------------------------------------------------------------------------


class Ring(KeyringBackend):
    """Holds secrets as the keyring of a system does."""

    priority = 1.0
    locked = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked(TOKEN)
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture
def ring() -> Iterator[Ring]:
    before = keyring.get_keyring()
    made = Ring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_the_keyring_is_asked_for_a_name_of_our_service(ring: Ring) -> None:
    ring.set_password("coatcheck", "team", TOKEN)
    assert revealed(FromKeyring("team")) == TOKEN
    ring.set_password("coatcheck", "team", "cckg_new")
    assert revealed(FromKeyring("team")) == "cckg_new"
    with pytest.raises(ConfigError) as caught:
        FromKeyring("other").read()
    assert caught.value.fix == "keyring set coatcheck other"


def test_a_keyring_that_fails_is_no_defect_and_shows_nothing(ring: Ring) -> None:
    ring.locked = True
    with pytest.raises(ConfigError, match="KeyringLocked") as caught:
        FromKeyring("team").read()
    assert TOKEN not in caught.value.message + caught.value.fix
    assert caught.value.__cause__ is None


def test_a_missing_extra_is_named_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigError) as caught:
        FromKeyring("team").read()
    assert caught.value.fix == "pip install 'coatcheck[keyring]'"
