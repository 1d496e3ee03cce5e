"""The reference pages name every key, word and setting, with its default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from coatcheck.declared.reading import headers
from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.servers_json import known_keys, load
from coatcheck.declared.settings import LEVELS, SETTINGS, Setting
from coatcheck.model.credential import Replace
from coatcheck.model.declaration import Output, Provider
from coatcheck.secrets.env import EnvSource

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


class OneValue:
    """A source that has the same value under every path."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find(self, reference: str) -> Any:
        self.asked.append(reference)
        return EnvSource({"v": "value"}).find("v")


@pytest.fixture(scope="module")
def page() -> Any:
    return (REFERENCE / "servers-json.md").read_text()


@pytest.fixture(scope="module")
def settings_page() -> Any:
    return (REFERENCE / "settings.md").read_text()


@pytest.mark.parametrize(
    "key", [*known_keys(), *Provider, *Output, *Replace, "adaptive", "never", "streamable-http", "sse"]
)
def test_every_key_and_word_of_the_file_is_on_its_page(page: str, key: str) -> None:
    assert re.search(rf"[`\"]{re.escape(key)}[`\"]", page)


def test_headers_that_are_set_aside_are_on_the_page(page: str) -> None:
    assert all(f"`{name}`" in page.lower() for name in headers.OURS)


def test_the_example_of_the_page_loads(page: str) -> None:
    example = re.search(r"```jsonc\n(.*?)```", page, re.DOTALL)
    assert example
    files = OneValue()
    environment = EnvSource({"SENTRY_TOKEN": "s", "ALICE_TOKEN": "0123456789abcdef"})
    declaration = load(example[1], None, Sources(environment, files))
    assert [server.name for server in declaration.servers] == ["sentry", "git"]
    assert declaration.notices == ()
    assert files.asked == ["/run/secrets/git-key"]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_in_the_table_with_its_default(settings_page: str, setting: Setting) -> None:
    row = re.search(rf"^\| `{setting.name}` \| (.*?) \| (.*?) \|$", settings_page, re.MULTILINE)
    assert row
    if setting.default not in (None, ()):
        assert (
            row[1]
            == f"`{str(setting.default).lower() if isinstance(setting.default, bool) else setting.default}`"
        )
    if setting.shared:
        assert f"`{setting.shared}`" in settings_page


def test_the_table_names_no_other_setting(settings_page: str) -> None:
    table = settings_page.partition("| setting |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == {setting.name for setting in SETTINGS}
    assert all(f"`{level}`" in table for level in LEVELS)
