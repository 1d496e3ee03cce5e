"""Which words of a command line are told to be credentials, and which are left in peace."""

from __future__ import annotations

import pytest

from coatcheck.cli.declaring.visible import url_has_credential, words_have_credential
from coatcheck.core.credentials.looks import is_credential


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Authorization", "Bearer x", True),
        ("X-Api-Key", "x", True),
        ("API_TOKEN", "x", True),
        ("GITHUB_PAT", "x", True),
        ("Cookie", "a=b", True),
        ("X-Team", "Bearer ghp_abc", True),
        ("X-Team", "sk-ant-abc", True),
        ("X-Team", "cckg_abc", True),
        ("API_TOKEN", "", False),
        ("X-Team", "platform", False),
        ("X-Author", "me", False),
        ("AWS_ACCESS_KEY_ID", "x", False),
        ("TZ", "Europe/Berlin", False),
        ("PATH", "/usr/bin", False),
    ],
)
def test_a_named_value(name: str, value: str, expected: bool) -> None:
    assert is_credential(name, value) is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.example/mcp?api_key=x", True),
        ("https://x.example/mcp?a=1&q=glpat-abc", True),
        ("https://x.example/mcp?team=platform", False),
        ("https://x.example/key/token", False),
        ("https://[broken?api_key=x", False),
    ],
)
def test_a_url(url: str, expected: bool) -> None:
    assert url_has_credential(url) is expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--token=x"], True),
        (["--api-key", "x"], True),
        (["-y", "server", "--password", "x"], True),
        (["xoxb-1234"], True),
        (["KEY=x"], True),
        (["--token-file=x"], False),
        (["--key-path", "x"], False),
        (["--token"], False),
        (["--token", "--verbose"], False),
        (["--repository", "/srv/repo"], False),
        (["keynote", "author=x"], False),
        ([], False),
    ],
)
def test_the_words_of_a_command(words: list[str], expected: bool) -> None:
    assert words_have_credential(words) is expected
